"""Experiments with a network's numbers: in float64, with accumulated gradients, with a finite difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import variants
from conformance.check import Problem
from conformance.comparison import Array
from conformance.divergence import block_outputs
from conformance.rounding import cancelled_biases
from conformance.symbols import DATA
from conformance.tracing import structural_names, trace
from reference.mxnet_compat import mx

if TYPE_CHECKING:
    from conformance.runner import Runner

CHANGES = (1e-6, 1e-7, 1e-8)
"""How much a finite difference changes the loss, tried in turn until it agrees with backward.

A relu or a maximum that bends between its two points spoils a large one; float64's rounding in a large network, a small
one. A wrong gradient agrees with none.
"""


def _types(symbol: Any, dtype: str) -> dict[str, str]:
    """Type of every value of a symbol whose input is of a type; empty where MXNet says that they do not fit."""
    try:
        _, types, _ = symbol.infer_type(**{DATA: dtype})
    except mx.MXNetError:
        return {}
    return {name: np.dtype(kind).name for name, kind in zip(symbol.list_outputs(), types or (), strict=False)}


def _is_other(kind: str, dtype: str) -> bool:
    """Whether a type is a floating type, but not the one asked for: integers may be counts or places."""
    return kind.startswith("float") and kind != dtype


def other_types(bench: Runner) -> Iterator[Problem]:
    """The first operator of the network, cast to another type, that does not compute in that type."""
    graph, symbol = trace(bench.new(train=False), bench.shape())
    internals = symbol.get_internals()
    found = _types(internals, bench.dtype)
    if found and not any(_is_other(kind, bench.dtype) for kind in found.values()):
        return
    for node in graph.nodes:
        kind = _types(internals[node.output], bench.dtype).get(node.output, "floats that do not fit")
        if _is_other(kind, bench.dtype):
            yield Problem(f"{node}: expected {bench.dtype}, actual {kind}", node.place)
            return


def layers(bench: Runner) -> dict[str, Any]:
    """Each block's imperative output for one batch of the training size, in predict mode, in order."""
    return block_outputs(bench.new(train=False), bench.images(bench.shape(1, train=True)))


def logits_after_export(bench: Runner) -> tuple[Array, Array]:
    """Hybridized logits of the network as cast, and those of its exported and imported copy."""
    images = bench.images(bench.shape(1, train=True))
    net = bench.net(train=False)
    names = structural_names(net)
    net.hybridize()
    expected, exported = net(images).asnumpy(), variants.export(net, images, names)
    del net  # a large network in float64 does not fit twice into a worker's memory
    return expected, exported.load(bench.ctx)(images).asnumpy()


def initialized(bench: Runner, value: float) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each parameter without an initializer of its own, after ``initialize``."""
    net = bench.build()
    net.initialize(mx.init.Constant(value), ctx=bench.ctx)
    net.infer_shape(bench.images(bench.shape(1)))
    names = structural_names(net)
    found = {}
    for full, parameter in net.collect_params().items():
        if bench.graph.parameters[names[full]].settings["init"] == "default":
            parameter._finish_deferred_init()
            data = parameter.data()
            found[names[full]] = (float(data.min().asscalar()), float(data.max().asscalar()))
    return found


def accumulated(bench: Runner) -> Iterator[tuple[str, Array, Array]]:
    """Each parameter, twice its gradient after one backward, and that after a second one was added to it."""
    net, images = bench.net(), bench.images(bench.shape(2, train=True))
    names = structural_names(net)
    parameters = {names[full]: p for full, p in net.collect_params().items() if p.grad_req != "null"}
    for parameter in parameters.values():
        parameter.grad_req = "add"
    net.collect_params().zero_grad()
    twice: dict[str, Array] = {}
    for _ in range(2):
        bench.seed(1)
        with mx.autograd.record():
            loss = bench.loss(net(images))
        loss.backward()
        if not twice:
            twice = {name: p.grad().asnumpy() for name, p in parameters.items()}
    for name, parameter in parameters.items():
        once = twice.pop(name)
        yield name, np.add(once, once, out=once), parameter.grad().asnumpy()


class Slope:
    """The loss in train mode along one direction, by backward and by a finite difference, in float64.

    Every parameter moves along its own gradient, by the same share of its length, so that each one that
    learns has its part in the sum. Biases that a BatchNorm cancels have no true gradient and stay.
    """

    def __init__(self, bench: Runner, first: int = 0) -> None:
        """Run backward once, on the images from number ``first`` on."""
        self.bench = bench
        self.net, self.images = bench.net(), bench.images(bench.shape(2, train=True), first)
        names = structural_names(self.net)
        found = {names[full]: p for full, p in self.net.collect_params().items() if p.grad_req != "null"}
        bench.seed(1)
        with mx.autograd.record():
            loss = bench.loss(self.net(self.images)).sum()
        loss.backward()
        cancelled = cancelled_biases(bench.graph)
        self.parameters: dict[str, Any] = {}
        self.scales: dict[str, float] = {}
        self.parts: dict[str, float] = {}
        for name in bench.graph.parameters:
            if name in found and name not in cancelled:
                length, slope = (float(a.norm().asscalar()) for a in (found[name].data(), found[name].grad()))
                if slope:
                    self.parameters[name] = found[name]
                    self.scales[name], self.parts[name] = (length or 1.0) / slope, slope * (length or 1.0)

    def _move(self, names: Sequence[str], step: float) -> None:
        """Move parameters along their gradients, in place: not even a copy of one would fit beside a large network."""
        for name in names:
            value, slope, length = self.parameters[name].data(), self.parameters[name].grad(), step * self.scales[name]
            slope *= length
            value += slope
            slope /= length

    def _loss(self) -> float:
        self.bench.seed(1)
        with mx.autograd.train_mode():
            return float(self.bench.loss(self.net(self.images)).sum().asscalar())

    def of(self, names: Sequence[str], bound: float) -> tuple[float, float]:
        """Slope over some parameters, by the finite difference that agrees best with backward, and by backward."""
        backward = sum(self.parts[name] for name in names)
        found = []
        for change in CHANGES:
            found.append(self._difference(names, change / backward))
            if abs(found[-1] - backward) <= bound * backward:
                break
        return min(found, key=lambda numeric: abs(numeric - backward)), backward

    def _difference(self, names: Sequence[str], step: float) -> float:
        self._move(names, step)
        after = self._loss()
        self._move(names, -2 * step)
        before = self._loss()
        self._move(names, step)
        return (after - before) / (2 * step)

    def nearest_the_loss(self, bound: float) -> str:
        """The last parameter, in graph order, whose gradient is not the derivative, found by halving."""
        names = list(self.parameters)
        low, high = 0, len(names)
        while high - low > 1:
            middle = (low + high) // 2
            numeric, analytic = self.of(names[middle:high], bound)
            low, high = (middle, high) if abs(numeric - analytic) > bound * analytic else (low, middle)
        return names[low]
