"""The runner: runs one subject in a variant, and computes once what several checks share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from conformance import variants
from conformance.comparison import Array
from conformance.graph import Graph, Node
from conformance.instances import Instances, Shape
from conformance.recording import Notes, Recording, read
from conformance.symbols import Builder
from conformance.tracing import recorded_graph, structural_names, trace
from reference.mxnet_compat import mx

LEARNING_RATE = 1e-3
BYTES = 255
"""Images whose pixels were not divided by 255: the second run is theirs, so that another range is tried too."""

TRAINING_SETTINGS = ("grad_req", "lr_mult", "wd_mult")


def _run_names(shapes: Sequence[Shape]) -> list[str]:
    """What the logits of each predict-mode run are called."""
    return [f"logits of run {number} {shape}" for number, shape in enumerate(shapes, 1)]


@dataclass(frozen=True)
class Prepared:
    """A network ready to run in one variant, with its parameters by structural name."""

    net: Any
    parameters: Mapping[str, Any]
    variant: str


class Runner(Instances):
    """Runs one subject: predictions, training steps, the output of every node."""

    @cached_property
    def recorded(self) -> dict[str, Graph | Exception]:
        """The graph of what ran imperatively in predict and in train mode, as autograd recorded it.

        This is the first time the subject runs: one that crashes or hangs at every run does so here, once.
        """
        with self.stage("running the network imperatively"):
            net, images = self.new(train=False), self.images(self.shape(1, train=True))
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
        return Builder(self.traced[1], {}, None).build({})

    def net(self, *, train: bool = True) -> Any:
        """A new instance, once the subject has been seen to run."""
        _ = self.recorded
        return self.new(train=train)

    @cached_property
    def exported(self) -> variants.Exported:
        """The subject exported once, to be imported by everyone who asks."""
        net = self.net(train=False)
        return variants.export(net, self.images(self.shape()), structural_names(net))

    def prepared(self, variant: str, images: Any, *, train: bool) -> Prepared:
        """A new instance set up to run in ``variant``."""
        if variant == "imported":
            ready, names = self.exported.load(self.ctx), self.exported.names
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
        first, other = self.images(self.shape(1)), self.images(self.shape(2, other=True), 1)
        return [first, other * BYTES, first]

    def training_shapes(self) -> list[Shape]:
        """Shapes of the batches of the training steps; the second has another size."""
        spec = self.subject.specification
        small = 2 if spec is None or spec.train_size < spec.full_size else 0
        usual = self.shape(2, train=True)
        return [usual, self.shape(1 + small, train=True, other=True), usual]

    def predict(self, variant: str, keep: Container[str] = frozenset(), expected: Recording | None = None) -> Recording:
        """Logits in predict mode at full size, then with another batch, image size and range, then as first."""
        with self.stage(f"predicting ({variant})"):
            recording = Recording(expected, keep)
            batches = self.predicted_images
            ready = self.prepared(variant, batches[0], train=False)
            for name, images in zip(_run_names([batch.shape for batch in batches]), batches, strict=True):
                recording.note(name, ready.net(images))
            variants.prove(variant, ready.net)
            return recording

    def train(
        self,
        variant: str,
        keep: Container[str] = frozenset(),
        expected: Recording | None = None,
        steps: int = 3,
    ) -> Recording:
        """A recording of training steps in ``variant``."""
        with self.stage(f"training ({variant})"):
            recording = Recording(expected, keep)
            ready = self.prepared(variant, self.images(self.shape(2, train=True)), train=True)
            self.run_steps(ready, recording, steps)
            variants.prove(variant, ready.net)
            return recording

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
        images = self.images(shape, step)
        images.attach_grad()
        self.seed(step)
        with mx.autograd.record():
            logits = ready.net(images)
            loss = self.loss(logits)
        loss.backward()
        label = f"step {step}"
        recording.note(f"{label}: logits", logits)
        recording.note(f"{label}: loss", loss)
        recording.note(f"{label}: input gradient", images.grad)
        if step == 1:
            for name, parameter in ready.parameters.items():
                if parameter.grad_req != "null":
                    recording.note(f"{label}: gradient of {name}", parameter.grad())
        if trainer is not None:
            trainer.step(shape[0], ignore_stale_grad=True)
        if step in (1, 3):
            for name, parameter in ready.parameters.items():
                recording.note(f"{label}: {name}", parameter.data())
        if step == 1:
            recording.note(f"{label}: logits in predict mode afterwards", ready.net(images))

    def loss(self, logits: Any) -> Any:
        """Softmax cross-entropy of each sample (N,); the mean square where outputs are not (N, classes)."""
        if logits.ndim == 2 and logits.shape[1] > 1:
            labels = self.labels(*logits.shape)
            return mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels)
        return logits.square().reshape((logits.shape[0], -1)).mean(axis=1)

    @cached_property
    def predicted(self) -> Recording:
        """The imperative recording in predict mode, to which the variants are compared; its logits are kept."""
        shapes = (self.shape(1), self.shape(2, other=True), self.shape(1))
        return self.predict("imperative", frozenset(_run_names(shapes)))

    @cached_property
    def trained(self) -> Recording:
        """The imperative recording of training, to which the variants are compared."""
        return self.train("imperative")

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
        internals = change(symbol).get_internals()
        group = mx.sym.Group([internals[node.output] for node in nodes])
        whole = mx.gluon.SymbolBlock(group, mx.sym.var("data", dtype=self.dtype), params=net.collect_params())
        self.seed(1)
        with mx.autograd.train_mode() if train else contextlib.nullcontext():
            outputs = whole(self.images(shape) if images is None else images)
        for node, output in zip(nodes, outputs if len(nodes) > 1 else [outputs], strict=True):
            yield node, read(output)
