"""The workbench: the experiments that checks ask for, each a question to a runner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from conformance import divergence, experiments
from conformance.check import ITSELF, NotApplicable, Problem, owner
from conformance.claimed import Claimed
from conformance.comparison import Array, Summary
from conformance.device_runs import OnDevice
from conformance.graph import Graph
from conformance.instances import Shape
from conformance.recording import EVERYTHING, Recording
from conformance.specification import Specification
from conformance.tracing import structural_names, trace
from reference.mxnet_compat import mx


class Workbench(Claimed):
    """A runner with the experiments of the catalogue's checks."""

    @cached_property
    def resolved(self) -> Any:
        """The bench that the checks get: this, or a port's where the subject is one of another engine."""
        from conformance.engines.resolve import port_bench_of  # here: it makes workbenches

        return port_bench_of(self) or self

    def admit(self, check: str) -> None:
        """Let every check of the catalogue ask; whether it applies is up to the check."""

    @property
    def specification(self) -> Specification:
        """The facts of the network the subject is, or claims to be.

        Raises:
            NotApplicable: If there are none.
        """
        if self.subject.specification is None:
            raise NotApplicable("the network that it claims to be has no specification")
        return self.subject.specification

    @property
    def manifest_other_shape(self) -> Shape:
        """Shape of the manifest's second column: another size, batch and, for networks, number of channels."""
        shape = self.shape(2, other=True)
        return shape if self.subject.specification is None else (shape[0], 1, *shape[2:])

    @property
    def other_graph(self) -> Graph:
        """The graph of a new instance at :attr:`manifest_other_shape`."""
        return trace(self.build(), self.manifest_other_shape)[0]

    def graph_of(self, **kwargs: Any) -> Graph:
        """The graph of an instance built with other arguments."""
        return trace(self.build(**kwargs), self.shape())[0]

    def prepare(self) -> None:
        """Build, trace and load what is asked for, so that a wrong request is known before anything runs."""
        _ = self.graph
        _ = self.loop
        if self.subject.weights is not None:
            _ = self.values

    def output_shape(self, classes: int, channels: int) -> tuple[Shape, int]:
        """Shape of the logits, and channels the first weight reads, for other classes and channels."""
        _ = self.specification
        side = self.shape(train=True)[-1]
        graph, _ = trace(self.build(classes=classes), (2, channels, side, side))
        weight = next(iter(graph.parameters.values()))
        return graph.nodes[graph.head].shape, weight.shape[1] if len(weight.shape) > 1 else 0

    def other_types(self) -> Iterator[Problem]:
        """Operators that do not compute in float64 once the network is cast."""
        return experiments.other_types(self.in_float64)

    def layers_in_two_precisions(self) -> Iterator[tuple[str, Array, Array]]:
        """Each block's output in predict mode, in float64 and in float32, in order: path, expected, actual."""
        precise, plain = (experiments.layers(bench) for bench in (self.in_float64, self))
        for path, output in plain.items():
            yield path or ITSELF, precise[path].asnumpy(), output.asnumpy()

    def initialized(self, value: float) -> dict[str, tuple[float, float]]:
        """Extremes of each parameter that leaves its start to ``initialize``, when that is given a constant."""
        return experiments.initialized(self, value)

    def accumulated_gradients(self) -> Iterator[tuple[str, Array, Array]]:
        """Twice each parameter's gradient after one backward, and that after two with ``grad_req='add'``."""
        return experiments.accumulated(self)

    def slopes(self) -> Iterator[experiments.Slope]:
        """The loss's slope in float64, by backward and by a finite difference, for two batches of images."""
        return (experiments.Slope(self.in_float64, first) for first in (0, 2))

    def logits_after_cast_and_export(self) -> tuple[Array, Array]:
        """Logits of the network cast to float64, and of its exported and imported copy."""
        return experiments.logits_after_export(self.in_float64)

    def together_and_alone(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Every block's output for two samples in one batch, and for each by itself."""
        net = self.net(train=False)
        images = self.images(self.shape(2, train=True))
        together = divergence.block_outputs(net, images)
        return [(together, divergence.block_outputs(net, images[i : i + 1])) for i in range(2)]

    def batch_divergence(self, together: dict[str, Any], alone: dict[str, Any], sample: int) -> Iterator[Problem]:
        """The first block whose output for a sample depends on its batch."""
        return divergence.between_batches(together, alone, sample)

    def seeded_forward(self) -> Recording:
        """Logits and loss of the first training step's forward, in a new instance."""
        recording = Recording()
        net = self.net(train=False)
        self.seed(1)
        with mx.autograd.train_mode():
            logits = net(self.images(self.shape(2, train=True), 1))
            recording.note("step 1: logits", logits)
            recording.note("step 1: loss", self.loss(logits))
        return recording

    def repeated_divergence(self) -> Iterator[Problem]:
        """The first block that a new instance with the same seed, or the same instance later, gives otherwise."""
        return divergence.between_calls(self)

    @cached_property
    def operator_divergence(self) -> Problem | None:
        """The first block whose imperative operators are not the traced ones."""
        return divergence.between_operators(self)

    @cached_property
    def first_divergence(self) -> Problem:
        """The first layer at which the traced network and the imperative one part, in float32 or else in float64."""
        found = self.operator_divergence or divergence.between_values(self)
        if found is None and self.dtype == "float32":
            return self.in_float64.first_divergence
        return found or Problem("first diverging layer: none in the forward pass: see the gradient nearest the output")

    @property
    def export_divergence(self) -> Problem | None:
        """The layer of the first parameter that does not come back from an export as it was."""
        found = self.exported_parameters()
        changed = (name for name, value in self.initial.items() if found.get(name) != value)
        name = next(changed, None)
        return None if name is None else Problem(f"first diverging layer: {name} is exported wrongly", owner(name))

    @cached_property
    def predicted_whole(self) -> Recording:
        """The imperative predictions with all tensors."""
        return self.predict("imperative", EVERYTHING)

    @cached_property
    def trained_whole(self) -> Recording:
        """The imperative training with all tensors."""
        return self.train("imperative", EVERYTHING)

    @cached_property
    def device(self) -> OnDevice:
        """The experiments that run the subject on this bench's device and on the CPU."""
        return OnDevice(self)

    @cached_property
    def initial(self) -> dict[str, Summary]:
        """Every parameter's value before training."""
        return {name: Summary.of(value) for name, value in self.values.items()}

    @property
    def frozen(self) -> frozenset[str]:
        """Parameters that are not to be trained, such as gamma with ``scale=False``; running statistics are others."""
        parameters = self.graph.parameters.items()
        return frozenset(name for name, p in parameters if p.settings["grad_req"] == "null" and not p.is_statistic)

    def _statistics(self, net: Any) -> dict[str, Array]:
        names = structural_names(net)
        kept = {name for name, p in self.graph.parameters.items() if p.is_statistic}
        return {names[full]: p.data().asnumpy() for full, p in net.collect_params().items() if names[full] in kept}

    def statistics_after(self, backwards: int) -> dict[str, Array]:
        """Running statistics after one recorded forward in train mode and one or more backwards."""
        net, images = self.net(), self.images(self.shape(2, train=True))
        self.seed(1)
        with mx.autograd.record():
            loss = self.loss(net(images))
        for left in range(backwards, 0, -1):
            loss.backward(retain_graph=left > 1)
        return self._statistics(net)

    def unexpected_updates(self) -> Iterator[tuple[str, str]]:
        """Running statistics that moved where MXNet says they must not: ``(when, name)``."""
        net, images = self.net(), self.images(self.shape(2, train=True))
        before = {name: Summary.of(value) for name, value in self._statistics(net).items()}

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
            after = {name: Summary.of(value) for name, value in self._statistics(net).items()}
            yield from ((when, name) for name in before if before[name] != after[name])
            before = after
