"""What a network does beyond its numbers: to its running statistics, to batches, and with seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.contract.outcomes import NotApplicable, Problem, owner
from conformance.contract.tolerances import RUNNING_STATISTICS
from conformance.experiments.divergence import block_outputs
from conformance.experiments.runs import Runs
from conformance.graphs.graph import Node
from conformance.graphs.tracing import parameters_of
from conformance.tensors.comparison import Array, Summary, compare
from conformance.tensors.label import Label
from conformance.tensors.recording import Recording
from reference.runtime.mxnet_compat import mx


class Behaviour:
    """Experiments with one network's batches and seeds.

    Args:
        runs: Of the network.
    """

    def __init__(self, runs: Runs) -> None:
        """Take the runs."""
        self.runs, self.network = runs, runs.network

    @property
    def frozen(self) -> frozenset[str]:
        """Parameters that are not to be trained, such as gamma with ``scale=False``; running statistics are others."""
        parameters = self.runs.graph.parameters.items()
        return frozenset(name for name, p in parameters if p.settings["grad_req"] == "null" and not p.is_statistic)

    def together_and_alone(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Every block's output for two samples in one batch, and for each by itself."""
        net = self.runs.net(train=False)
        images = self.network.images(self.network.shape(2, train=True))
        together = block_outputs(net, images)
        return [(together, block_outputs(net, images[i : i + 1])) for i in range(2)]

    def seeded_forward(self) -> Recording:
        """Logits and loss of the first training step's forward, in a new instance."""
        recording = Recording()
        net = self.runs.net(train=False)
        self.network.seed(1)
        with mx.autograd.train_mode():
            logits = net(self.network.images(self.network.shape(2, train=True), 1))
            recording.note(Label(1, "logits"), logits)
            recording.note(Label(1, "loss"), self.runs.loss(logits))
        return recording


class Statistics:
    """The running statistics of one network's BatchNorms.

    Args:
        runs: Of the network.
    """

    def __init__(self, runs: Runs) -> None:
        """Take the runs."""
        self.runs, self.network = runs, runs.network

    def problems(self) -> list[Problem]:
        """All that is wrong with them.

        Raises:
            NotApplicable: If there are none.
        """
        norms = [node for node in self.runs.graph.nodes if node.operator == "BatchNorm"]
        if not norms:
            raise NotApplicable("the network has no BatchNorm")
        moved = self.unexpected_updates()
        problems = [Problem(f"running statistics of {name} moved {when}", owner(name)) for when, name in moved]
        once, twice = self.after(backwards=1), self.after(backwards=2)
        shape = self.network.shape(2, train=True)
        read = sorted({node.inputs[0][0] for node in norms} - {-1})
        inputs = {node.position: array for node, array in self.runs.node_outputs(shape, train=True, only=read)}
        inputs[-1] = self.network.images(shape).asnumpy()
        for node in norms:
            entered = inputs[node.inputs[0][0]].astype(np.float64)
            problems += self._wrong_updates(node, entered, (once, twice))
        return problems

    def _wrong_updates(
        self, node: Node, entered: Array, after: tuple[dict[str, Array], dict[str, Array]]
    ) -> list[Problem]:
        """Compare one BatchNorm's statistics after one and two backwards with the rule."""
        axes = tuple(axis for axis in range(entered.ndim) if axis != node.attributes["axis"] % entered.ndim)
        momentum = node.attributes["momentum"]
        frozen = bool(node.attributes.get("use_global_stats"))
        problems: list[Problem] = []
        for name, batch in zip(node.parameters[2:], (entered.mean(axes), entered.var(axes)), strict=True):
            value = self.network.values[name].astype(np.float64)
            for count, actual in enumerate(after, 1):
                value = value if frozen else momentum * value + (1 - momentum) * batch
                problems += compare(
                    f"{node}: {name} after {count} backward",
                    value,
                    actual[name].astype(np.float64),
                    RUNNING_STATISTICS.bound,
                    RUNNING_STATISTICS.provenance,
                    place=node.place,
                )
        return problems

    def _of(self, net: Any) -> dict[str, Array]:
        kept = {name for name, p in self.runs.graph.parameters.items() if p.is_statistic}
        return {name: p.data().asnumpy() for name, p in parameters_of(net).items() if name in kept}

    def after(self, backwards: int) -> dict[str, Array]:
        """Running statistics after one recorded forward in train mode and one or more backwards."""
        net, images = self.runs.net(), self.network.images(self.network.shape(2, train=True))
        self.network.seed(1)
        with mx.autograd.record():
            loss = self.runs.loss(net(images))
        for left in range(backwards, 0, -1):
            loss.backward(retain_graph=left > 1)
        return self._of(net)

    def unexpected_updates(self) -> Iterator[tuple[str, str]]:
        """Running statistics that moved where MXNet says they must not: ``(when, name)``."""
        net, images = self.runs.net(), self.network.images(self.network.shape(2, train=True))
        before = {name: Summary.of(value) for name, value in self._of(net).items()}

        def predict() -> None:
            net(images).wait_to_read()

        def train_mode() -> None:
            with mx.autograd.train_mode():
                net(images).wait_to_read()

        def record() -> None:
            with mx.autograd.record():
                net(images).wait_to_read()

        for when, run in (
            ("in predict mode", predict),
            ("in train_mode() without backward", train_mode),
            ("in a recorded forward without backward", record),
        ):
            run()
            after = {name: Summary.of(value) for name, value in self._of(net).items()}
            yield from ((when, name) for name in before if before[name] != after[name])
            before = after
