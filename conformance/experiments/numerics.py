"""Experiments with a network's numbers: in float64, with accumulated gradients, with a finite difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from conformance.contract.outcomes import ITSELF, Problem
from conformance.experiments.divergence import block_outputs
from conformance.experiments.runs import Runs
from conformance.graphs.cancelled import cancelled_biases
from conformance.graphs.symbols import DATA
from conformance.graphs.tracing import parameters_of, trace
from conformance.tensors.comparison import Array
from reference.runtime.mxnet_compat import mx

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


class Numerics:
    """Experiments with the numbers behind one network's training.

    Args:
        runs: Of the network, in float32.
    """

    def __init__(self, runs: Runs) -> None:
        """Take the runs."""
        self.runs = runs

    def other_types(self) -> Iterator[Problem]:
        """The first operator of the network cast to float64 that does not compute in that type."""
        network = self.runs.in_float64.network
        graph, symbol = trace(network.new(train=False), network.shape())
        internals = symbol.get_internals()
        found = _types(internals, network.dtype)
        if found and not any(_is_other(kind, network.dtype) for kind in found.values()):
            return
        for node in graph.nodes:
            kind = _types(internals[node.output], network.dtype).get(node.output, "floats that do not fit")
            if _is_other(kind, network.dtype):
                yield Problem(f"{node}: expected {network.dtype}, actual {kind}", node.place)
                return

    def layers_in_two_precisions(self) -> Iterator[tuple[str, Array, Array]]:
        """Each block's output in predict mode, in float64 and in float32, in order: path, expected, actual."""
        precise, plain = (
            block_outputs(network.new(train=False), network.images(network.shape(1, train=True)))
            for network in (self.runs.in_float64.network, self.runs.network)
        )
        for path, output in plain.items():
            yield path or ITSELF, precise[path].asnumpy(), output.asnumpy()

    def accumulated_gradients(self) -> Iterator[tuple[str, Array, Array]]:
        """Twice each parameter's gradient after one backward, and that after two with ``grad_req='add'``."""
        network = self.runs.network
        net, images = self.runs.net(), network.images(network.shape(2, train=True))
        parameters = {name: p for name, p in parameters_of(net).items() if p.grad_req != "null"}
        for parameter in parameters.values():
            parameter.grad_req = "add"
        net.collect_params().zero_grad()
        twice: dict[str, Array] = {}
        for _ in range(2):
            network.seed(1)
            with mx.autograd.record():
                loss = self.runs.loss(net(images))
            loss.backward()
            if not twice:
                twice = {name: p.grad().asnumpy() for name, p in parameters.items()}
        for name, parameter in parameters.items():
            once = twice.pop(name)
            yield name, np.add(once, once, out=once), parameter.grad().asnumpy()

    def slopes(self) -> Iterator[Slope]:
        """The loss's slope in float64, by backward and by a finite difference, for two batches of images."""
        return (Slope(self.runs.in_float64, first) for first in (0, 2))


class Slope:
    """The loss in train mode along one direction, by backward and by a finite difference, in float64.

    Every parameter moves along its own gradient, by the same share of its length, so that each one that
    learns has its part in the sum. Biases that a BatchNorm cancels have no true gradient and stay.
    """

    def __init__(self, runs: Runs, first: int = 0) -> None:
        """Run backward once, on the images from number ``first`` on."""
        self.runs = runs
        network = runs.network
        self.net, self.images = runs.net(), network.images(network.shape(2, train=True), first)
        found = {name: p for name, p in parameters_of(self.net).items() if p.grad_req != "null"}
        network.seed(1)
        with mx.autograd.record():
            loss = runs.loss(self.net(self.images)).sum()
        loss.backward()
        cancelled = cancelled_biases(runs.graph)
        self.parameters: dict[str, Any] = {}
        self.scales: dict[str, float] = {}
        self.parts: dict[str, float] = {}
        for name in runs.graph.parameters:
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
        self.runs.network.seed(1)
        with mx.autograd.train_mode():
            return float(self.runs.loss(self.net(self.images)).sum().asscalar())

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
