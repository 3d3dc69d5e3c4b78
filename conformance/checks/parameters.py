"""How many parameters there are and how much work they are, against published numbers and closed formulas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from conformance.contract.check import NETWORKS, Check
from conformance.contract.outcomes import NotApplicable, Problem, owner, refuse
from conformance.contract.specification import Count, count
from conformance.graphs.graph import Graph, Parameter

if TYPE_CHECKING:
    from conformance.experiments.architecture import Architecture
    from conformance.experiments.network import Network

SOURCE = "conformance/contract/specification.py (each network's paper, and torchvision's published counts)"


def _is_fixed(parameter: Parameter) -> bool:
    """Whether a parameter is not trained; where its format does not tell, running statistics are not."""
    usual = "null" if parameter.slot.startswith("moving_") else "write"
    return bool(parameter.settings.get("grad_req", usual) == "null")


def measure(graph: Graph) -> Count:
    """Count a graph's parameters, arrays and the multiply-adds of its convolutions and dense layers."""
    sizes = {name: math.prod(p.shape) for name, p in graph.parameters.items()}
    fixed = sum(size for name, size in sizes.items() if _is_fixed(graph.parameters[name]))
    work = 0
    for node in graph.nodes:
        if node.operator in ("Convolution", "FullyConnected"):
            positions = math.prod(node.shape[2:]) if node.operator == "Convolution" else 1
            work += sizes[node.parameters[0]] * positions
    return Count(sum(sizes.values()), sum(sizes.values()) - fixed, len(sizes), work)


def _refuse_folded(architecture: Architecture) -> None:
    if architecture.folded:
        raise NotApplicable("its BatchNorms are folded into convolutions, so it has other parameters")


def check_counts(architecture: Architecture) -> None:
    """Total, trainable and array counts equal the specification and its closed formula.

    A count that is off names no layer: structure.graph or structure.snapshot does. A trainable count that is
    too small means that a parameter is frozen.
    """
    _refuse_folded(architecture)
    spec = architecture.specification
    actual, formula = measure(architecture.graph), count(spec, classes=architecture.classes)
    problems = [
        f"{key}: expected {getattr(expected, key):,} ({source}), actual {getattr(actual, key):,}"
        for key in ("total", "trainable", "arrays")
        for source, expected in (("specification", spec), ("closed formula", formula))
        if getattr(expected, key) != getattr(actual, key)
    ]
    refuse(problems)


def check_multiply_adds(architecture: Architecture) -> None:
    """Multiply-adds of one 3x224x224 image equal the specification and its closed formula.

    They depend on every kernel, stride and padding before each layer, and tell a network that has the right
    weights at the wrong resolution.
    """
    spec, actual = architecture.specification, measure(architecture.graph).multiply_adds
    expected = {
        "specification": spec.multiply_adds,
        "closed formula": count(spec, classes=architecture.classes).multiply_adds,
    }
    refuse(
        f"multiply-adds: expected {value:,} ({source}), actual {actual:,}"
        for source, value in expected.items()
        if value != actual
    )


def check_published_counts(architecture: Architecture) -> None:
    """Without convolution biases, the trainable count is the published one.

    The 12 networks differ from torchvision's counts by exactly the biases of their convolutions (ResNet,
    DenseNet) or not at all (AlexNet, VGG).
    """
    _refuse_folded(architecture)
    spec, graph = architecture.specification, architecture.graph
    biased = spec.family in ("alexnet", "vgg")
    biases = (
        0
        if biased
        else sum(
            math.prod(graph.parameters[name].shape)
            for node in graph.nodes
            if node.operator == "Convolution"
            for name in node.parameters[1:]
        )
    )
    found = {"less its convolution biases": measure(graph).trainable - biases}
    if not biased and architecture.without_biases is not None:
        found["built with conv_bias=False"] = measure(architecture.without_biases()).trainable
    refuse(
        f"{how}: expected {spec.published:,} parameters, actual {value:,}"
        for how, value in found.items()
        if value != spec.published
    )


def check_initialization(network: Network) -> None:
    """A parameter starts as the initializer that `initialize` is given says, unless it has one of its own.

    Given a constant, every such parameter is that constant. A block that sets its own start, whatever it is asked
    for, trains otherwise than its user's recipe says.
    """
    start = 0.25
    found = network.initialized(start)
    if not found:
        raise NotApplicable("every parameter has an initializer of its own")
    refuse(
        Problem(f"{name}: expected {start} everywhere, actual {low:g} to {high:g}", owner(name))
        for name, (low, high) in found.items()
        if (low, high) != (start, start)
    )


INITIALIZE = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/block.html#mxnet.gluon.Block.initialize"

CHECKS = (
    *(Check(counts, SOURCE, kinds=NETWORKS) for counts in (check_counts, check_multiply_adds, check_published_counts)),
    Check(check_initialization, INITIALIZE),
)
