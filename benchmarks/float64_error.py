"""How far float32 is from the truth: each network in float32 by every engine, against MXNet in float64.

``python benchmarks/float64_error.py [NETWORK ...]`` prints a row a network; ``--write docs/float64-error.md`` puts them
into that document, beside the rows of other networks that it has. Needs the extra ``torch``; ONNX Runtime takes part
where the extra ``onnx`` is installed.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import Subject
from conformance.experiments.network import Network
from conformance.experiments.runs import Runs
from conformance.graphs.cancelled import cancelled_biases
from conformance.ports.claim import PortClaim
from conformance.ports.port import Port, Step
from conformance.ports.step import SIDES, batch, reference_step, small_subject
from conformance.ports.torch.networks import build
from conformance.ports.torch.port import TorchPort
from conformance.tensors.comparison import Array, largest_difference

COLUMNS = (
    *("logits: MXNet", "PyTorch", "ONNX Runtime"),
    *("worst layer: MXNet", "PyTorch", "ONNX Runtime"),
    *("images' gradient: MXNet", "PyTorch"),
    *("median parameter's gradient: MXNet", "PyTorch", "worst parameter's gradient: MXNet", "PyTorch"),
)
HEAD = (f"| network | {' | '.join(COLUMNS)} |", f"| --- {'| --- ' * len(COLUMNS)}|")
INTRODUCTION = """# What float32 loses

`python benchmarks/float64_error.py --write docs/float64-error.md` writes this page. Each network, with the weights of
the catalogue, is run in float32 by MXNet, PyTorch and ONNX Runtime, and in float64 by MXNet; a number is the largest
difference from float64, relative to the tensor's largest magnitude.

Forward is predict mode at 224 pixels, one real image: the logits, then the worst of all layers. Backward is one step in
train mode without dropout, two images (AlexNet {alexnet} pixels, VGG {vgg}, the others 64): the gradient of the images,
then the median parameter's and the worst one's; biases that a BatchNorm cancels have none. ONNX files have no backward.

The engines are about equally far from the truth, so a bound between two of them (`TORCH_LAYERS` and `ONNX_LAYERS` of
`conformance/contract/tolerances.py`) is a few times what one of them loses. Gradients of networks with BatchNorm are \
another
matter: in float32 they are off by percents, some by tens of percents, in any engine. So training is compared in float64
everywhere here.

"""


def relative(expected: Array, actual: Array) -> float:
    """Largest difference relative to the expected tensor's largest magnitude."""
    return largest_difference(expected, actual)[0] / float(np.abs(expected).max())


def ports(network: str, runs: Runs) -> Iterator[Port | None]:
    """The network in PyTorch and in ONNX Runtime, with its weights; None for an engine that is not installed."""
    yield torch_port(network, runs)
    if importlib.util.find_spec("onnxruntime") is None:
        yield None
        return
    from conformance.ports.onnx.exporter import network_to_onnx
    from conformance.ports.onnx.port import OnnxPort

    yield OnnxPort(network_to_onnx(runs.network.new(train=False), runs.network.shape()))


def torch_port(network: str, runs: Runs) -> TorchPort:
    """The network in PyTorch, with the reference's weights."""
    fixed = SPECIFICATIONS[network].family in SIDES
    port = TorchPort(
        build(network, **{"image_size": runs.network.shape()[-1]} if fixed else {}), runs.network.shape(), network
    )
    names = PortClaim(port, runs.network).names
    port.set_weights({twin: runs.network.values[name] for name, twin in names.items()})
    return port


def forward(network: str) -> list[float | None]:
    """Errors of the logits, then of the worst layer, by MXNet, PyTorch and ONNX Runtime."""
    runs = Runs(Network(Subject(network)))
    wide = runs.in_float64
    truth = {node.position: array.copy() for node, array in wide.node_outputs(wide.network.shape())}
    images = runs.network.images(runs.network.shape()).asnumpy()
    own = [(node.position, array) for node, array in runs.node_outputs(runs.network.shape())]
    errors = [_errors(truth, own, runs.graph.head)]
    for port in ports(network, runs):
        if port is None:
            errors.append((None, None))
            continue
        twins = PortClaim(port, runs.network).twins
        places = {twin.position: place for place, twin in twins.items()}
        found = ((places[node.position], array) for node, array in port.layers(images))
        errors.append(_errors(truth, found, runs.graph.head))
    return [logits for logits, _ in errors] + [worst for _, worst in errors]


def _errors(
    truth: dict[int, Array], layers: Iterable[tuple[int, Array]], head: int
) -> tuple[float | None, float | None]:
    """Errors of the logits and of the worst layer."""
    found = {position: relative(truth[position], array) for position, array in layers}
    return found[head], max(found.values())


def backward(network: str) -> list[float | None]:
    """Errors of the images' gradient, the median parameter's and the worst one's, each by MXNet and PyTorch."""
    runs = Runs(Network(small_subject(network)))
    truth = reference_step(runs.in_float64)
    gc.collect()
    port = torch_port(network, runs)
    names = PortClaim(port, runs.network).names
    cancelled = cancelled_biases(runs.graph)
    learning = {name: twin for name, twin in names.items() if name in truth.gradients and name not in cancelled}
    own: dict[str, str] = {name: name for name in learning}
    errors = [_step_errors(truth, reference_step(runs), own)]
    gc.collect()
    errors.append(_step_errors(truth, port.step(*batch(runs)), learning))
    return [error for column in zip(*errors, strict=True) for error in column]


def _step_errors(truth: Step, step: Step, names: dict[str, str]) -> tuple[float, float, float]:
    """Errors of the images' gradient, the median parameter's and the worst one's.

    ``names`` are the parameters of ``step`` by those of ``truth``.
    """
    errors = [relative(truth.gradients[name], step.gradients[twin]) for name, twin in names.items()]
    return relative(truth.images, step.images), float(np.median(errors)), max(errors)


def row(network: str) -> str:
    """One network's row of the table."""
    cells = [*forward(network), *backward(network)]
    gc.collect()
    return f"| {network} | {' | '.join('not installed' if cell is None else f'{cell:.1e}' for cell in cells)} |"


def write(path: Path, network: str, found: str) -> None:
    """Put a network's row into the document, whole or not at all."""
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = {name: line for name in SPECIFICATIONS for line in before if line.startswith(f"| {name} |")}
    rows[network] = found
    lines = [*HEAD, *(rows[name] for name in SPECIFICATIONS if name in rows)]
    unfinished = path.with_suffix(".part")
    unfinished.write_text(INTRODUCTION.format(**SIDES) + "\n".join(lines) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def main(argv: list[str]) -> None:
    """Print the rows, and write the document where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(SPECIFICATIONS))
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    print(*HEAD, sep="\n")
    for network in arguments.networks:
        found = row(network)
        print(found, flush=True)
        if arguments.write is not None:
            write(arguments.write, network, found)


if __name__ == "__main__":
    main(sys.argv[1:])
