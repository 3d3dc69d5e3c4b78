"""The variants of execution: how each is set up on a network, and the proof that it ran."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.contract.outcomes import NotApplicable, Vacuous
from conformance.graphs.tracing import blocks
from reference.runtime.mxnet_compat import mx

FUSED_BACKEND = "MKLDNN"
FUSED_OPERATOR = "_sg_mkldnn"


def _imperative(net: Any, images: Any) -> Any:
    return net


def _hybridized(net: Any, images: Any) -> Any:
    net.hybridize()
    return net


def _static_alloc(net: Any, images: Any) -> Any:
    net.hybridize(static_alloc=True)
    return net


def _static_shape(net: Any, images: Any) -> Any:
    net.hybridize(static_alloc=True, static_shape=True)
    return net


def require_fusion(ctx: Any) -> None:
    """Refuse a device or a build that cannot fuse operators with oneDNN.

    Raises:
        NotApplicable: With the reason.
    """
    if ctx.device_type != "cpu":
        raise NotApplicable("oneDNN computes on the CPU")
    if not mx.runtime.Features().is_enabled("MKLDNN"):
        raise NotApplicable("this MXNet build has no oneDNN")
    if os.environ.get("MXNET_MKLDNN_ENABLED") == "0":
        raise NotApplicable("oneDNN is switched off by MXNET_MKLDNN_ENABLED=0")


def _fused(net: Any, images: Any) -> Any:
    """Let oneDNN fuse convolution, BN, activation and sum into single operators."""
    require_fusion(images.context)
    if not hasattr(net, "optimize_for"):
        raise NotApplicable("this version of MXNet has no HybridBlock.optimize_for")
    net.optimize_for(images, backend=FUSED_BACKEND)
    return net


SETUP: Mapping[str, Callable[[Any, Any], Any]] = {
    "imperative": _imperative,
    "hybridized": _hybridized,
    "static_alloc": _static_alloc,
    "static_shape": _static_shape,
    "fused": _fused,
}


@dataclass
class Exported:
    """An exported network: its two files, and the structural names of its parameters by full name."""

    folder: Path
    names: Mapping[str, str]

    def load(self, ctx: Any) -> Any:
        """Read the files back as a SymbolBlock."""
        gc.collect()
        stem = self.folder / "network"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MXNet warns that it was not told the images' type
            return mx.gluon.SymbolBlock.imports(f"{stem}-symbol.json", ["data"], f"{stem}-0000.params", ctx=ctx)


def export(net: Any, images: Any, names: Mapping[str, str]) -> Exported:
    """Export a network after one hybridized predict-mode run; the files go with the object."""
    folder = Path(tempfile.mkdtemp())
    exported = Exported(folder, names)
    weakref.finalize(exported, shutil.rmtree, folder, ignore_errors=True)
    net.hybridize()
    net(images).wait_to_read()
    net.export(str(folder / "network"))
    return exported


def prove(variant: str, net: Any) -> None:
    """Fail unless a network that has just run did so in the variant asked for.

    Raises:
        Vacuous: If no cached graph was built (or one was, for imperative), or it is not of the right sort.
    """
    cached = [path or "the network" for path, block in blocks(net) if getattr(block, "_cached_op", None) is not None]
    if variant == "imperative":
        if cached:
            raise Vacuous(f"imperative was asked for, but {cached[0]} ran as a cached graph")
        return
    if getattr(net, "_cached_op", None) is None:
        raise Vacuous(f"{variant} was asked for, but no cached graph was built: it ran imperatively")
    flags = dict(getattr(net, "_flags", ()))
    wanted = {
        "static_alloc": variant in ("static_alloc", "static_shape"),
        "static_shape": variant == "static_shape",
    }
    if variant in ("hybridized", *wanted) and any(bool(flags.get(key)) != value for key, value in wanted.items()):
        raise Vacuous(f"{variant} was asked for, but the cached graph's flags are {flags}")
    if variant == "imported" and not isinstance(net, mx.gluon.SymbolBlock):
        raise Vacuous(f"imported was asked for, but a {type(net).__name__} ran")
    if variant == "fused" and FUSED_OPERATOR not in net._cached_graph[1].tojson():
        raise NotApplicable("oneDNN found nothing to fuse in this network")
