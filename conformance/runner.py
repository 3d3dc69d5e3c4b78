"""The runner: builds one subject, feeds it, runs it in a variant, and computes once what checks share."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import variants
from conformance.graph import Graph, Node, differences, pair_parameters
from conformance.comparison import Array
from conformance.recording import Recording, read
from conformance.subject import RequestError, Subject
from conformance.tracing import internal_shapes, structural_names, trace
from conformance.weights import fill, uniform
from reference.data import load_subset, to_images
from reference.models import get_model
from reference.mxnet_compat import mx

if TYPE_CHECKING:
    from typing_extensions import Self

LEARNING_RATE = 1e-3
FULL_SIZE = 224
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Prepared:
    """A network ready to run in one variant, with its parameters by structural name."""

    net: Any
    parameters: Mapping[str, Any]
    variant: str


def _run_names(shapes: Sequence[Shape]) -> list[str]:
    """What the logits of each predict-mode run are called."""
    return [f"logits of run {number} {shape}" for number, shape in enumerate(shapes, 1)]


@contextmanager
def no_stages(name: str) -> Iterator[None]:
    """Run a stage without telling anyone."""
    yield


class Runner:
    """Builds, feeds and runs one subject.

    Args:
        subject: What is tested.
        ctx: ``"cpu"`` or ``"gpu"``.
        stage: Context manager around work that several checks share; it may refuse to start it.
    """

    def __init__(self, subject: Subject, ctx: str = "cpu",
                 stage: Callable[[str], AbstractContextManager[None]] = no_stages) -> None:
        """Keep what the checks need; nothing is built yet."""
        self.subject = subject
        self.ctx = mx.cpu() if ctx == "cpu" else mx.gpu()
        self.stage = stage
        self._twin: Self | None = None

    # --- what to build ------------------------------------------------------------------------------------------

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The subject's own build function.

        Raises:
            RequestError: If it cannot be imported or is not callable.
        """
        build = self.subject.build
        if build is None:
            architecture = self.subject.architecture
            return lambda **kwargs: get_model(architecture, **kwargs)
        if callable(build):
            return build
        module, _, attribute = build.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:
            reason = str(error).strip().splitlines() or [""]
            raise RequestError(f"subject {self.subject.name}={build}: {type(error).__name__}: {reason[0]}") from None
        if not callable(found):
            raise RequestError(f"subject {self.subject.name}={build}: {attribute} is not callable")
        return found  # type: ignore[no-any-return]

    def build(self, **kwargs: Any) -> Any:
        """A new, uninitialized block; networks are asked for ``classes`` (1000 unless given).

        Raises:
            RequestError: If the build function does not accept its arguments or returns no HybridBlock.
        """
        if self.subject.kind != "own":
            kwargs.setdefault("classes", 1000)
        try:
            net = self.factory(**kwargs)
        except TypeError as error:
            text = ", ".join(f"{key}={value}" for key, value in kwargs.items())
            raise RequestError(f"subject {self.subject.name}: build({text}) does not work: {error}") from None
        if not isinstance(net, mx.gluon.HybridBlock):
            raise RequestError(f"subject {self.subject.name}: expected a HybridBlock, actual {type(net).__name__}")
        return net

    # --- what it is ---------------------------------------------------------------------------------------------

    def shape(self, batch: int = 1, *, train: bool = False, other: bool = False) -> Shape:
        """An input shape (N, C, H, W): full size, the training size, or another size the network accepts."""
        if self.subject.kind == "own":
            return (batch, *(self._other_own_shape if other else self.subject.input_shape or ()))
        spec = self.subject.specification
        side = spec.other_size if other else spec.train_size if train else FULL_SIZE
        return (batch, 3, side, side)

    @cached_property
    def _other_own_shape(self) -> Shape:
        """A larger image an own block accepts with the same parameters, or its only shape."""
        shape = self.subject.input_shape or ()
        larger = (*shape[:1], *(side + 16 for side in shape[1:]))
        _, symbol = self.traced
        try:
            small, large = (internal_shapes(symbol, (1, *sides)) for sides in (shape, larger))
        except ValueError:
            return shape
        same = all(small[name] == large[name] for name in symbol.list_inputs() if name != "data")
        return larger if same else shape

    @cached_property
    def traced(self) -> tuple[Graph, Any]:
        """Graph and symbol of a new instance, at full size."""
        with self.stage("building and tracing the network"):
            shape = (1, *self.subject.input_shape) if self.subject.kind == "own" and self.subject.input_shape \
                else self.shape()
            return trace(self.build(), shape)

    @property
    def graph(self) -> Graph:
        """The subject's canonical graph."""
        return self.traced[0]

    @property
    def reference(self) -> Self:
        """The same for the network a claim claims to be, with the same weights in matching nodes."""
        if self._twin is None:
            self._twin = type(self)(Subject(self.subject.architecture or ""), self.ctx.device_type)
            if self.subject.weights is not None and not differences(self._twin.graph, self.graph):
                pairs = pair_parameters(self._twin.graph, self.graph)
                self._twin.values = {name: self.values[pairs[name]] for name in self._twin.graph.parameters}
        return self._twin

    # --- with which weights and images --------------------------------------------------------------------------

    @cached_property
    def values(self) -> dict[str, Array]:
        """Every parameter's value: trained weights, the reference's in matching nodes, or the fill."""
        if self.subject.weights is not None:
            return self._trained()
        own = {name: (place, parameter) for place, (name, parameter) in enumerate(self.graph.parameters.items())}
        if self.subject.kind == "claim":
            places = {name: place for place, name in enumerate(self.reference.graph.parameters)}
            pairs = pair_parameters(self.reference.graph, self.graph)
            own.update({twin: (places[name], own[twin][1]) for name, twin in pairs.items() if twin in own})
        return {name: fill(p.slot, p.shape, place) for name, (place, p) in own.items()}

    def _trained(self) -> dict[str, Array]:
        """Values from the user's file.

        Raises:
            RequestError: If the file does not fit the subject.
        """
        net = self.build()
        try:
            net.load_parameters(str(self.subject.weights), ctx=self.ctx)
        except Exception as error:
            reason = str(error).strip().splitlines() or [""]
            raise RequestError(f"weights file {self.subject.weights} does not fit: {reason[0]}") from None
        names = structural_names(net)
        return {names[full]: p.data().asnumpy() for full, p in net.collect_params().items()}

    def images(self, shape: Shape, first: int = 0) -> Any:
        """Real Fashion-MNIST images of ``shape``, each channel a little different; other shapes get the fill."""
        texture = uniform(shape, -0.25, 0.25, 10_000 + first)
        if len(shape) == 4 and shape[2] == shape[3]:
            pictures, _ = load_subset("test")
            texture += to_images(pictures[first : first + shape[0]], shape[2], channels=shape[1])
        return mx.nd.array(texture, ctx=self.ctx)

    def labels(self, batch: int, classes: int) -> Any:
        """Fixed labels, spread over the classes."""
        return mx.nd.array(np.arange(1, batch + 1) * 37 % classes, ctx=self.ctx)

    def net(self, *, train: bool = True) -> Any:
        """A new instance holding :attr:`values`; without gradients where it is not to be trained."""
        gc.collect()  # blocks and trainers sit in reference cycles: give the last instance's memory back first
        net = self.build()
        names = structural_names(net)
        parameters = net.collect_params()
        for parameter in parameters.values() if not train else ():
            parameter.grad_req = "null"
        net.initialize(mx.init.Zero(), ctx=self.ctx)
        for full, parameter in parameters.items():
            parameter.set_data(mx.nd.array(self.values[names[full]], dtype=parameter.dtype, ctx=self.ctx))
            parameter._finish_deferred_init()
        return net

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
        return Prepared(ready, {name: found[name] for name in self.graph.parameters if name in found}, variant)

    # --- running ------------------------------------------------------------------------------------------------

    def predict(self, variant: str, keep: frozenset[str] = frozenset(), expected: Recording | None = None) -> Recording:
        """Logits in predict mode at full size, then with another batch and image size, then as first."""
        with self.stage(f"predicting ({variant})"):
            recording = Recording(expected, keep)
            shapes = (self.shape(1), self.shape(2, other=True), self.shape(1))
            ready = self.prepared(variant, self.images(shapes[0]), train=False)
            for number, (name, shape) in enumerate(zip(_run_names(shapes), shapes, strict=True)):
                recording.note(name, ready.net(self.images(shape, number % 2)))
            variants.prove(variant, ready.net)
            return recording

    def train(self, variant: str, keep: frozenset[str] = frozenset(), expected: Recording | None = None,
              steps: int = 3) -> Recording:
        """Three SGD steps with a predict-mode run after the first; the second has another size."""
        with self.stage(f"training ({variant})"):
            recording = Recording(expected, keep)
            small = 2 if self.subject.kind == "own" or self.subject.specification.train_size != 224 else 0
            shapes = [self.shape(2, train=True), self.shape(1 + small, train=True, other=True),
                      self.shape(2, train=True)]
            ready = self.prepared(variant, self.images(shapes[0]), train=True)
            trainer = mx.gluon.Trainer(list(ready.parameters.values()), "sgd",
                                       {"learning_rate": LEARNING_RATE}, kvstore=None)
            for step, shape in enumerate(shapes[:steps], 1):
                self._step(ready, trainer, recording, step, shape)
            variants.prove(variant, ready.net)
            return recording

    def _step(self, ready: Prepared, trainer: Any, recording: Recording, step: int, shape: Shape) -> None:
        """Run one training step and note what it computed."""
        images = self.images(shape, step)
        images.attach_grad()
        mx.random.seed(step)
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

    def node_outputs(self, shape: Shape, *, train: bool = False,
                     only: Sequence[int] | None = None) -> Iterator[tuple[Node, Array]]:
        """Outputs of nodes (all, or those at positions ``only``), run as one symbol on images of ``shape``."""
        net = self.net(train=False)
        graph, symbol = trace(net, shape)
        nodes = graph.nodes if only is None else [graph.nodes[position] for position in only]
        internals = symbol.get_internals()
        group = mx.sym.Group([internals[node.output] for node in nodes])
        whole = mx.gluon.SymbolBlock(group, mx.sym.var("data"), params=net.collect_params())
        mx.random.seed(1)
        with mx.autograd.train_mode() if train else contextlib.nullcontext():
            outputs = whole(self.images(shape))
        for node, output in zip(nodes, outputs if len(nodes) > 1 else [outputs], strict=True):
            yield node, read(output)
