"""Does a port train as its reference does? One step in float64 and without dropout, compared tensor by tensor.

In float32 the gradients of deep networks with BatchNorm are rounding noise of some percent; in float64 engines agree.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.contract.outcomes import Problem, owner
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import Subject
from conformance.contract.tolerances import PORT_STATISTICS, PORT_STEP
from conformance.experiments.layers import trainable
from conformance.experiments.runs import Runs
from conformance.graphs.cancelled import cancelled_biases
from conformance.graphs.graph import Graph, Shape
from conformance.ports.port import Step, Trainable
from conformance.tensors.comparison import Array, compare
from reference.runtime.mxnet_compat import mx

#: Image sides at which AlexNet and VGG are trained in float64: at 224 their first dense layer alone takes gigabytes.
SIDES = {"alexnet": 95, "vgg": 64}


def small_subject(network: str) -> Subject:
    """A reference network at full depth and width, for images so small that it can be trained in float64."""
    spec = SPECIFICATIONS[network]
    side = SIDES.get(spec.family, spec.train_size)
    spec = replace(spec, full_size=side, train_size=side, other_size=side)
    return Subject(network, architecture=network, specification=spec)


def batch(runs: Runs, step: int = 1) -> tuple[Array, Array]:
    """Images (2, C, H, W) in the type that the runs computes in, and labels (2,), of a training step."""
    classes = runs.graph.nodes[runs.graph.head].shape[-1]
    return runs.network.images(runs.network.shape(2, train=True), step).asnumpy(), runs.network.labels(
        2, classes
    ).asnumpy()


def reference_step(runs: Runs) -> Step:
    """The step of the network itself, in the type that its runs computes in, by the names of its own parameters."""
    ready = trainable(runs)
    images = mx.nd.array(batch(runs)[0], dtype=runs.network.dtype, ctx=runs.network.ctx)
    images.attach_grad()
    with mx.autograd.record():
        logits = ready.net(images)
        loss = runs.loss(logits)
    loss.backward()
    learning = {name: p for name, p in ready.parameters.items() if p.grad_req != "null"}
    return Step(
        logits=logits.asnumpy(),
        loss=loss.asnumpy(),
        images=images.grad.asnumpy(),
        gradients={name: _taken_gradient(p) for name, p in learning.items()},
        statistics={name: p.data().asnumpy() for name, p in ready.parameters.items() if name not in learning},
    )


def _taken_gradient(parameter: Any) -> Array:
    """A parameter's gradient, whose memory MXNet gets back: a VGG's gradients take a gigabyte."""
    gradient: Array = parameter.grad().asnumpy()
    parameter.grad_req = "null"
    return gradient


def step_differences(runs: Runs, port: Trainable, names: dict[str, str]) -> Iterator[Problem]:
    """Compare a port's training step with its reference's.

    Args:
        runs: Runs of the reference.
        port: The port, with the reference's weights.
        names: Its parameters by the reference's.

    Yields:
        What differs: forward, then running statistics in the order of the graph, then gradients from the loss to the
        images, each with the port's layer.
    """
    expected = reference_step(runs.in_float64)
    gc.collect()  # blocks sit in reference cycles: give the reference's memory back first
    actual = port.step(*batch(runs.in_float64))
    bound = (PORT_STEP.bound, PORT_STEP.provenance)
    for name in ("logits", "loss"):
        yield from map(Problem, compare(f"train mode: {name}", getattr(expected, name), getattr(actual, name), *bound))
    yield from _statistics(runs, expected, actual, names)
    weights = cancelled_biases(runs.graph)
    for name in reversed([name for name in runs.graph.parameters if name in expected.gradients]):
        twin, label = names[name], f"gradient of {names[name]}"
        if twin not in actual.gradients:
            yield Problem(f"{label}: missing; it does not learn", owner(twin))
            continue
        scale = expected.gradients[weights[name]] if name in weights else None
        lines = compare(label, expected.gradients[name], actual.gradients[twin], *bound, scale)
        yield from (Problem(line, owner(twin)) for line in lines)
    yield from map(Problem, compare("gradient of the images", expected.images, actual.images, *bound))


def _statistics(runs: Runs, expected: Step, actual: Step, names: dict[str, str]) -> Iterator[Problem]:
    """Compare running statistics; say so where PyTorch's convention explains a variance."""
    counts = _counts(runs.network.graph_at(runs.network.shape(2, train=True))) if expected.statistics else {}
    for name, right in expected.statistics.items():
        twin = names[name]
        if twin not in actual.statistics:
            yield Problem(f"{twin}: missing; it does not move", owner(twin))
            continue
        found = actual.statistics[twin]
        for line in compare(twin, right, found, PORT_STATISTICS.bound, PORT_STATISTICS.provenance):
            number, momentum = counts[name]
            unbiased = right + (right - momentum * runs.network.values[name]) / (number - 1)
            says = "; it is that of n / (n - 1) times the batch's variance, and MXNet's is that of the batch's own"
            explained = name.endswith("var") and np.allclose(unbiased, found, rtol=PORT_STATISTICS.bound, atol=0)
            yield Problem(line + says * explained, owner(twin))


def _counts(graph: Graph) -> dict[str, tuple[int, float]]:
    """Values a channel that each running statistic is taken over, and its BatchNorm's momentum."""

    def size(shape: Shape) -> int:
        return int(np.prod(shape)) // shape[1]

    norms = [node for node in graph.nodes if node.operator == "BatchNorm"]
    return {name: (size(node.shape), node.attributes["momentum"]) for node in norms for name in node.parameters[2:]}
