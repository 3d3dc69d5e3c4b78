"""Networks written to files of other formats, each verified by what it predicts before it takes its place."""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from conformance.contract.subject import ONNX, RequestError
from conformance.contract.tolerances import ONNX_LAYERS
from conformance.experiments.images import batches
from conformance.graphs.tracing import symbol_of, with_unique_names
from conformance.machine.asking import Unusable
from conformance.ports.onnx.exporter import network_to_onnx
from conformance.tensors.comparison import Array, compare
from conformance.tensors.recording_file import replacing
from reference import get_model, list_models
from reference.data.idx import CLASS_NAMES
from reference.runtime.errors import cause
from reference.runtime.mxnet_compat import mx
from reference.training import checkpoints
from reference.training.initialization import initialize
from reference.training.recipes import REFERENCE

PREFIX = "gluon_conformance."
"""Before every key of ONNX's metadata."""
SYMBOL, PARAMETERS = "-symbol.json", "-0000.params"
ATTRIBUTE = "__gluon_conformance__"
"""Attribute of a symbol's input that has the metadata as JSON."""


@dataclass(frozen=True)
class Exportable:
    """A network with weights, and what its file is to say of it."""

    net: Any
    shape: tuple[int, ...]
    facts: Mapping[str, str]

    def predictions(self) -> tuple[Array, Array]:
        """Images of every kind of which there are two, and their logits."""
        ((_, images),) = batches(None, self.shape)
        logits = self.net(mx.nd.array(images)).asnumpy()
        if not np.isfinite(logits).all():
            raise RequestError("the network's own logits are not finite: it cannot be verified")
        return images, logits


def write(arguments: argparse.Namespace) -> str:
    """Write what the command line asks for.

    Returns:
        What was written, in one line.

    Raises:
        RequestError: If the request is wrong, in one line.
        OSError: If the file cannot be written; nothing is left of it then, and a file that was there stays.
        NotExecuted: If an engine is not installed.
        Unusable: If what was written does not give what the network gives; the file is not kept.
    """
    path: Path = arguments.file
    ending = ONNX if arguments.to == "onnx" else SYMBOL
    if not path.name.endswith(ending) or path.name == ending:
        raise RequestError(f"{path}: --to {arguments.to} writes files whose names end in {ending}")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: no such folder: {path.parent}")
    exportable = _named(arguments) if arguments.network in list_models() else _checkpoint(arguments)
    how = (write_onnx if arguments.to == "onnx" else write_symbol)(exportable, path)
    return f"{path}: {path.stat().st_size:,} bytes, {how}"


def _named(arguments: argparse.Namespace) -> Exportable:
    """A reference network, with the user's weights or drawn ones."""
    classes = 1000 if arguments.classes is None else arguments.classes
    side = 224 if arguments.image_size is None else arguments.image_size
    shape = (1, 3, side, side)
    try:
        net = get_model(arguments.network, classes=classes)
        net.check_input(shape)
    except ValueError as error:
        raise RequestError(str(error)) from None
    source = "drawn with seed 0, not trained"
    if arguments.weights is None:
        mx.random.seed(0)
        initialize(net.collect_params().values(), REFERENCE, mx.cpu())
    else:
        source = arguments.weights.name
        try:
            net.load_parameters(str(arguments.weights))
        except Exception as error:
            raise RequestError(f"weights file {arguments.weights} does not fit: {cause(error)}") from None
    return _exportable(net, arguments.network, shape, source)


def _checkpoint(arguments: argparse.Namespace) -> Exportable:
    """The network of a run of ``python -m reference train``, at its image size unless another is asked for."""
    path = Path(arguments.network)
    if arguments.weights is not None or arguments.classes is not None:
        raise RequestError("--weights and --classes are for a named network: a checkpoint has both")
    if not path.exists():
        names = ", ".join(list_models())
        raise RequestError(f"{arguments.network}: neither a network nor a checkpoint: networks are {names}")
    try:
        found, warnings = checkpoints.latest(path) if path.is_dir() else (checkpoints.read(path), [])
        if found is None:
            raise RequestError(f"{path}: no whole checkpoint is there{': ' if warnings else ''}{'; '.join(warnings)}")
        identity = found.identity
        side = int(identity["image_size"]) if arguments.image_size is None else arguments.image_size
        shape = (1, int(identity["recipe.channels"]), side, side)
        net = get_model(identity["network"], classes=int(identity["classes"]))
        checkpoints.apply_parameters(found, net, mx.cpu())
        net.check_input(shape)
    except (ValueError, KeyError) as error:
        raise RequestError(str(error)) from None
    facts = _exportable(net, identity["network"], shape, f"epoch {found.place['epoch']}, step {found.place['step']}")
    return Exportable(facts.net, shape, {**facts.facts, "class_names": json.dumps(CLASS_NAMES)})


def _exportable(net: Any, name: str, shape: tuple[int, ...], weights: str) -> Exportable:
    """Put what the file says of itself beside the network."""
    net(mx.nd.zeros(shape)).wait_to_read()  # parameters wait for the shape of the images
    digest = hashlib.sha256()
    for key, parameter in net._collect_params_with_prefix().items():
        digest.update(key.encode() + parameter.data().asnumpy().tobytes())
    facts = {
        "network": name,
        "classes": str(net(mx.nd.zeros(shape)).shape[1]),
        "image_shape": ",".join(map(str, shape[1:])),
        "normalization": "float32 pixels divided by 255, in [0, 1]; no mean, no scale",
        "output": "logits, before softmax",
        "weights": weights,
        "weights_sha256": digest.hexdigest(),
        "suite": f"gluon-conformance {version('gluon-conformance')}",
        "mxnet": mx.__version__,
    }
    return Exportable(net, shape, facts)


def write_onnx(exportable: Exportable, path: Path) -> str:
    """Write an ONNX file; returns what was verified."""
    from conformance.ports.onnx.port import OnnxPort, read_onnx  # here, where an engine that is missing is reported

    model = network_to_onnx(exportable.net, exportable.shape)
    for key, value in exportable.facts.items():
        model.metadata_props.add(key=PREFIX + key, value=value)
    images, expected = exportable.predictions()
    with replacing(path) as file:
        file.write(model.SerializeToString())
        file.flush()
        port = OnnxPort(read_onnx(Path(file.name)), exportable.shape[-1])
        _require_same(path, expected, port.logits(images), ONNX_LAYERS.bound, ONNX_LAYERS.provenance)
    return f"verified with {port.engine} on {len(images)} images"


def write_symbol(exportable: Exportable, path: Path) -> str:
    """Write MXNet's symbol and, beside it, its parameters; returns what was verified."""
    beside = path.with_name(path.name.removesuffix(SYMBOL) + PARAMETERS)
    symbol = with_unique_names(symbol_of(exportable.net)[0])
    raw = json.loads(symbol.tojson())
    (data,) = (node for node in raw["nodes"] if node["name"] == "data")
    data.setdefault("attrs", {})[ATTRIBUTE] = json.dumps(dict(exportable.facts))
    states = frozenset(symbol.list_auxiliary_states())
    values = exportable.net.collect_params().items()
    arrays = {f"{'aux' if name in states else 'arg'}:{name}": each.data() for name, each in values}
    images, expected = exportable.predictions()
    with replacing(path) as graph, replacing(beside) as parameters:
        graph.write(json.dumps(raw, indent=1).encode())
        graph.flush()
        try:
            mx.nd.save(parameters.name, arrays)
        except mx.MXNetError as error:
            raise OSError(0, cause(error), str(beside)) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that it infers all the same
            loaded = mx.gluon.SymbolBlock.imports(graph.name, ["data"], parameters.name)
        _require_same(path, expected, loaded(mx.nd.array(images)).asnumpy(), 0.0, "")
    return f"{beside.name} beside it, verified with MXNet {mx.__version__} on {len(images)} images"


def _require_same(path: Path, expected: Array, actual: Array, bound: float, provenance: str) -> None:
    """Refuse a file that predicts something else.

    Raises:
        Unusable: With the difference.
    """
    for line in compare("logits", expected, actual, bound, provenance):
        raise Unusable(f"{path}: not written, as it does not predict what the network predicts: {line}")
