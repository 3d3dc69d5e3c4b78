"""Runs of one network in its variants, and what several checks share of them, computed once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from conformance.experiments import variants
from conformance.experiments.network import Network, Shape
from conformance.graphs.evaluation import evaluate
from conformance.graphs.graph import Graph, Node
from conformance.graphs.symbols import Builder
from conformance.graphs.tracing import recorded_graph, structural_names, trace
from conformance.tensors.comparison import Array, Summary
from conformance.tensors.label import Label
from conformance.tensors.recording import EVERYTHING, Notes, Recording, read
from reference.runtime.mxnet_compat import mx

LEARNING_RATE = 1e-3
BYTES = 255
"""Images whose pixels were not divided by 255: the second run is theirs, so that another range is tried too."""

TRAINING_SETTINGS = ("grad_req", "lr_mult", "wd_mult")


@dataclass(frozen=True)
class Prepared:
    """A network ready to run in one variant, with its parameters by structural name."""

    net: Any
    parameters: Mapping[str, Any]
    variant: str


class Predictions:
    """Three runs in predict mode: full size; another batch, image size and range of values; as first."""

    def __init__(self, runs: Runs) -> None:
        """Take the network's runs."""
        self.runs = runs

    @cached_property
    def usual(self) -> Recording:
        """The imperative recording; its logits are kept."""
        return self.record("imperative", EVERYTHING)

    @property
    def whole(self) -> Recording:
        """The same: it keeps all."""
        return self.usual

    def record(
        self, variant: str, keep: Container[Label] = frozenset(), expected: Recording | None = None
    ) -> Recording:
        """Run a variant.

        Args:
            variant: A key of `conformance.experiments.variants.SETUP`, or ``imported``.
            keep: What is kept in full.
            expected: What every tensor is compared with as it is computed.
        """
        with self.runs.network.stage(f"predicting ({variant})"):
            recording = Recording(expected, keep)
            batches = self.runs.predicted_images
            ready = self.runs.prepared(variant, batches[0], train=False)
            for number, images in enumerate(batches, 1):
                recording.note(Label(number, "run", str(images.shape)), ready.net(images))
            variants.prove(variant, ready.net)
            return recording


class Trainings:
    """Three training steps, see :meth:`Runs.run_steps`."""

    def __init__(self, runs: Runs) -> None:
        """Take the network's runs."""
        self.runs = runs

    @cached_property
    def usual(self) -> Recording:
        """The imperative recording."""
        return self.record("imperative")

    @cached_property
    def whole(self) -> Recording:
        """The same with all tensors."""
        return self.record("imperative", EVERYTHING)

    def record(
        self, variant: str, keep: Container[Label] = frozenset(), expected: Recording | None = None, steps: int = 3
    ) -> Recording:
        """See :meth:`Predictions.record`."""
        network = self.runs.network
        with network.stage(f"training ({variant})"):
            recording = Recording(expected, keep)
            ready = self.runs.prepared(variant, network.images(network.shape(2, train=True)), train=True)
            self.runs.run_steps(ready, recording, steps)
            variants.prove(variant, ready.net)
            return recording


Mode = Predictions | Trainings
"""Runs in predict or in train mode: one is ``usual``, the same with all tensors ``whole``, and any is recorded."""


class Runs:
    """Runs one network: predictions, training steps, the output of every node."""

    def __init__(self, network: Network) -> None:
        """Take the network; nothing has run yet."""
        self.network = network
        self.predictions = Predictions(self)
        self.trainings = Trainings(self)

    @property
    def graph(self) -> Graph:
        """The network's canonical graph."""
        return self.network.graph

    @cached_property
    def in_float64(self) -> Runs:
        """The same network in float64: there the order of sums makes no difference that training amplifies."""
        return Runs(self.network.cast("float64"))

    @cached_property
    def recorded(self) -> dict[str, Graph | Exception]:
        """The graph of what ran imperatively in predict and in train mode, as autograd recorded it.

        This is the first time the subject runs: one that crashes or hangs at every run does so here, once.
        """
        with self.network.stage("running the network imperatively"):
            net, images = self.network.new(train=False), self.network.images(self.network.shape(1, train=True))
            images.attach_grad()
            graphs: dict[str, Graph | Exception] = {}
            for mode in ("predict mode", "train mode"):
                with mx.autograd.record(train_mode=mode == "train mode"):
                    output = net(images)
                output.wait_to_read()
                try:
                    graphs[mode] = recorded_graph(output)
                except Exception as error:
                    graphs[mode] = error
            return graphs

    @cached_property
    def anonymous_graph(self) -> Graph:
        """The traced graph without parameter names, to be compared with a recorded one."""
        return Builder(self.network.traced[1], {}, None).build({})

    @cached_property
    def initial(self) -> dict[str, Summary]:
        """Every parameter's value before training."""
        return {name: Summary.of(value) for name, value in self.network.values.items()}

    def net(self, *, train: bool = True) -> Any:
        """A new instance, once the subject has been seen to run."""
        _ = self.recorded
        return self.network.new(train=train)

    @cached_property
    def exported(self) -> variants.Exported:
        """The subject exported once, to be imported by everyone who asks."""
        net = self.net(train=False)
        return variants.export(net, self.network.images(self.network.shape()), structural_names(net))

    def prepared(self, variant: str, images: Any, *, train: bool) -> Prepared:
        """A new instance set up to run in ``variant``."""
        if variant == "imported":
            ready, names = self.exported.load(self.network.ctx), self.exported.names
        else:
            net = self.net(train=train)
            ready, names = variants.SETUP[variant](net, images), structural_names(net)
        found = {names[full]: parameter for full, parameter in ready.collect_params().items() if full in names}
        if variant == "imported":  # a file holds values, not how they are trained
            for name, parameter in found.items():
                for key in TRAINING_SETTINGS:
                    setattr(parameter, key, self.graph.parameters[name].settings[key])
        return Prepared(ready, {name: found[name] for name in self.graph.parameters if name in found}, variant)

    @property
    def predicted_images(self) -> list[Any]:
        """The batches of the predict-mode runs: the second has another size, number and range of values."""
        network = self.network
        first, other = network.images(network.shape(1)), network.images(network.shape(2, other=True), 1)
        return [first, other * BYTES, first]

    def training_shapes(self) -> list[Shape]:
        """Shapes of the batches of the training steps; the second has another size."""
        spec = self.network.subject.specification
        small = 2 if spec is None or spec.train_size < spec.full_size else 0
        usual = self.network.shape(2, train=True)
        return [usual, self.network.shape(1 + small, train=True, other=True), usual]

    def run_steps(
        self, ready: Prepared, recording: Notes, steps: int = 3, learning_rate: float = LEARNING_RATE
    ) -> None:
        """Three SGD steps with a predict-mode run after the first; the second has another size."""
        trained = list(ready.parameters.values())
        settings = {"learning_rate": learning_rate}
        trainer = mx.gluon.Trainer(trained, "sgd", settings, kvstore=None) if trained else None
        for step, shape in enumerate(self.training_shapes()[:steps], 1):
            self._step(ready, trainer, recording, step, shape)

    def _step(self, ready: Prepared, trainer: Any, recording: Notes, step: int, shape: Shape) -> None:
        """Run one training step and note what it computed."""
        images = self.network.images(shape, step)
        images.attach_grad()
        self.network.seed(step)
        with mx.autograd.record():
            logits = ready.net(images)
            loss = self.loss(logits)
        loss.backward()
        recording.note(Label(step, "logits"), logits)
        recording.note(Label(step, "loss"), loss)
        recording.note(Label(step, "input gradient"), images.grad)
        if step == 1:
            for name, parameter in ready.parameters.items():
                if parameter.grad_req != "null":
                    recording.note(Label(step, "gradient", name), parameter.grad())
        if trainer is not None:
            trainer.step(shape[0], ignore_stale_grad=True)
        if step in (1, 3):
            for name, parameter in ready.parameters.items():
                recording.note(Label(step, "parameter", name), parameter.data())
        if step == 1:
            recording.note(Label(step, "logits in predict mode afterwards"), ready.net(images))

    def loss(self, logits: Any) -> Any:
        """Softmax cross-entropy of each sample (N,); the mean square where outputs are not (N, classes)."""
        if logits.ndim == 2 and logits.shape[1] > 1:
            labels = self.network.labels(*logits.shape)
            return mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels)
        return logits.square().reshape((logits.shape[0], -1)).mean(axis=1)

    def node_outputs(
        self,
        shape: Shape,
        *,
        train: bool = False,
        only: Sequence[int] | None = None,
        change: Callable[[Any], Any] = lambda symbol: symbol,
        images: Any = None,
    ) -> Iterator[tuple[Node, Array]]:
        """Outputs of nodes (all, or those at positions ``only``), run as one symbol on images of ``shape``.

        ``change`` makes of the network's symbol the one that is run; its operators keep their names. ``images`` are
        others of that shape than the usual ones.
        """
        net = self.net(train=False)
        graph, symbol = trace(net, shape)
        nodes = graph.nodes if only is None else [graph.nodes[position] for position in only]
        if not nodes:
            return
        given = self.network.images(shape) if images is None else images
        self.network.seed(1)
        with mx.autograd.train_mode() if train else contextlib.nullcontext():
            outputs = evaluate(change(symbol), [node.output for node in nodes], given, net.collect_params())
        for node, output in zip(nodes, outputs, strict=True):
            yield node, read(output)
