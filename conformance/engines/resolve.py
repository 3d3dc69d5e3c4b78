"""Which subjects are ports: files by their name, modules by what their build function returns."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.engines.port import Port
from conformance.engines.port_bench import PortBench
from conformance.subject import RequestError

if TYPE_CHECKING:
    from conformance.workbench import Workbench


def port_bench_of(bench: Workbench) -> PortBench | None:
    """The bench of a subject that is a port, None if it is a Gluon block.

    Raises:
        NotExecuted: If its engine is not installed.
        RequestError: If it cannot be read, or returns its images.
    """
    subject = bench.subject
    if subject.kind != "claim":
        return None
    with bench.stage("reading the port"):
        original = replace(subject.original, weights=subject.weights)
        reference = type(bench)(original, bench.ctx.device_type, bench.stage, number=bench.number)
        port = _module(bench) if subject.onnx_file is None else _file(subject.onnx_file, reference.shape()[-1])
        if port is None:
            return None
        if port.graph.head < 0:
            raise RequestError(f"subject {subject.name}: the network returns its images")
        return PortBench(subject, port, reference)


def _file(path: Path, side: int) -> Port:
    from conformance.engines.onnx_port import OnnxPort, read_onnx  # here, where an engine that is missing is reported

    return OnnxPort(read_onnx(path), side)


def _module(bench: Workbench) -> Port | None:
    """A PyTorch module, if that is what the build function returns; its errors are left to the Gluon side."""
    factory = bench.factory
    torch: Any = sys.modules.get("torch")  # nothing that has not imported it can build a module of it
    if torch is None:
        return None
    settings = {"classes": bench.classes} if "classes" in inspect.signature(factory).parameters else {}
    try:
        module = factory(**settings)
    except Exception:
        return None
    if not isinstance(module, torch.nn.Module):
        return None
    from conformance.engines.torch_port import TorchPort  # here, where PyTorch is known to be there

    return TorchPort(module, bench.shape(), bench.subject.name)
