"""Which subjects are ports: files by their name, modules by what their build function returns."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from conformance.contract.subject import RequestError
from conformance.experiments.network import Network
from conformance.ports.claim import PortClaim
from conformance.ports.port import Port


def port_claim_of(network: Network) -> PortClaim | None:
    """A subject as a port beside what it claims to be; None if it is a Gluon block.

    Raises:
        NotExecuted: If its engine is not installed.
        RequestError: If it cannot be read, or returns its images.
    """
    subject = network.subject
    if subject.kind != "claim":
        return None
    with network.stage("reading the port"):
        original = replace(subject.original, weights=subject.weights)
        reference = Network(original, network.place, network.stage, network.number)
        port = _module(network) if subject.onnx_file is None else _file(subject.onnx_file, reference.shape()[-1])
        if port is None:
            return None
        if port.graph.head < 0:
            raise RequestError(f"subject {subject.name}: the network returns its images")
        return PortClaim(port, reference, subject.images)


def _file(path: Path, side: int) -> Port:
    from conformance.ports.onnx.port import OnnxPort, read_onnx  # here, where an engine that is missing is reported

    return OnnxPort(read_onnx(path), side)


def _module(network: Network) -> Port | None:
    """A PyTorch module, if that is what the build function returns; its errors are left to the Gluon side."""
    factory = network.factory
    torch: Any = sys.modules.get("torch")  # nothing that has not imported it can build a module of it
    if torch is None:
        return None
    settings = {"classes": network.classes} if "classes" in inspect.signature(factory).parameters else {}
    try:
        module = factory(**settings)
    except Exception:
        return None
    if not isinstance(module, torch.nn.Module):
        return None
    from conformance.ports.torch.port import TorchPort  # here, where PyTorch is known to be there

    return TorchPort(module, network.shape(), network.subject.name)
