"""A network: new instances of one subject, with the weights and images that a check needs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.contract.subject import RequestError
from conformance.experiments.importing import imported
from conformance.graphs.graph import Graph
from conformance.graphs.matching import differences, pair_parameters
from conformance.graphs.tracing import internal_shapes, parameters_of, trace
from conformance.tensors.comparison import Array
from conformance.tensors.fill import fill, uniform
from reference.data.idx import load_subset
from reference.data.images import to_images
from reference.networks.registry import get_model
from reference.runtime.devices import context
from reference.runtime.errors import cause
from reference.runtime.mxnet_compat import mx

if TYPE_CHECKING:
    from conformance.contract.subject import Subject

Shape = tuple[int, ...]
RUNS_APART = 100_003
"""How far apart the seeds of two runs of different number are."""
IMAGES_APART = 5


@contextmanager
def no_stages(name: str) -> Iterator[None]:
    """Run a stage without telling anyone."""
    yield


class Network:
    """Builds and feeds one subject, on one device and in one type.

    What is expensive – the trace, the weights, the network that a claim claims to be – is made once, and shared with
    the same network :meth:`on` another device or :meth:`cast` to another type.

    Args:
        subject: What is tested.
        place: The device: ``"cpu"``, or ``"gpu:1"`` and the like.
        stage: Context manager around work that several checks share; it may refuse to start it.
        number: Which weights, images and dropout masks: 0 for the usual ones.
        original: The network that a claim claims to be, where it is at hand.
    """

    def __init__(
        self,
        subject: Subject,
        place: str = "cpu",
        stage: Callable[[str], AbstractContextManager[None]] = no_stages,
        number: int = 0,
        original: Network | None = None,
    ) -> None:
        """Keep what the checks need; nothing is built yet."""
        self.subject = subject
        self.place = place
        self.stage = stage
        self.number = number
        self.dtype = "float32"
        self.classes = 1000
        self._shared: dict[str, Any] = {} if original is None else {"original": original}

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """Make something the first time that this network, or one that shares with it, is asked for it."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def _changed(self, **changes: Any) -> Network:
        other = copy(self)
        vars(other).update(changes)
        return other

    def on(self, place: str) -> Network:
        """The same network on another device."""
        return self._changed(place=place)

    def cast(self, dtype: str) -> Network:
        """The same network in another type."""
        return self._changed(dtype=dtype)

    def with_weights(self, values: Mapping[str, Array]) -> Network:
        """The same network with other values of its parameters, by structural name."""
        _ = self.traced
        return self._changed(_shared={**self._shared, "values": dict(values)})

    def with_classes(self, classes: int) -> Network:
        """The same subject with another number of classes, which is another network."""
        return self._changed(classes=classes, _shared={})

    @property
    def ctx(self) -> Any:
        """The device, as MXNet's context."""
        return context(self.place)

    def seed(self, step: int) -> None:
        """Seed MXNet's own random numbers before a training step or a run."""
        mx.random.seed(step + RUNS_APART * self.number)

    @property
    def factory(self) -> Callable[..., Any]:
        """The subject's own build function.

        Raises:
            RequestError: If it cannot be imported or is not callable.
            NotExecuted: If it cannot be imported without an engine that is not installed.
        """
        build = self.subject.build
        if build is None:
            return partial(get_model, self.subject.architecture or self.subject.name)
        return imported(build, f"subject {self.subject.name}", "=")

    def build(self, **kwargs: Any) -> Any:
        """A new, uninitialized block; one with a specification is asked for :attr:`classes` unless others are given.

        Raises:
            RequestError: If the build function does not accept its arguments or returns no HybridBlock.
        """
        if self.subject.specification is not None:
            kwargs.setdefault("classes", self.classes)
        try:
            net = self.factory(**kwargs)
        except TypeError as error:
            text = ", ".join(f"{key}={value}" for key, value in kwargs.items())
            raise RequestError(f"subject {self.subject.name}: build({text}) does not work: {error}") from None
        if not isinstance(net, mx.gluon.HybridBlock):
            raise RequestError(f"subject {self.subject.name}: expected a HybridBlock, actual {type(net).__name__}")
        return net

    def shape(self, batch: int = 1, *, train: bool = False, other: bool = False) -> Shape:
        """An input shape (N, C, H, W): full size, the training size, or another size the network accepts."""
        spec = self.subject.specification
        if spec is None:
            return (batch, *(self._other_own_shape if other else self.subject.input_shape or ()))
        side = spec.other_size if other else spec.train_size if train else spec.full_size
        return (batch, 3, side, side)

    @property
    def _other_own_shape(self) -> Shape:
        """A larger image an own block accepts with the same parameters, or its only shape."""
        shape: Shape = self._once("other shape", self._find_other_own_shape)
        return shape

    def _find_other_own_shape(self) -> Shape:
        shape = self.subject.input_shape or ()
        larger = (*shape[:1], *(side + 16 for side in shape[1:]))
        _, symbol = self.traced
        try:
            small, large = (internal_shapes(symbol, (1, *sides)) for sides in (shape, larger))
        except ValueError:
            return shape
        same = all(small[name] == large[name] for name in symbol.list_inputs() if name != "data")
        return larger if same else shape

    @property
    def traced(self) -> tuple[Graph, Any]:
        """Graph and symbol of a new instance, at full size."""
        found: tuple[Graph, Any] = self._once("traced", self._trace)
        return found

    def _trace(self) -> tuple[Graph, Any]:
        with self.stage("building and tracing the network"):
            return trace(self.build(), self.shape())

    @property
    def graph(self) -> Graph:
        """The subject's canonical graph."""
        return self.traced[0]

    @property
    def original(self) -> Network:
        """The network that a claim claims to be, with the user's weights in matching nodes where there are any."""
        found: Network = self._once("original", self._make_original)
        return found.on(self.place).cast(self.dtype)

    def _make_original(self) -> Network:
        original = Network(self.subject.original, self.place, number=self.number)
        if self.subject.weights is None or differences(original.graph, self.graph):
            return original
        pairs = pair_parameters(original.graph, self.graph)
        return original.with_weights({name: self.values[pairs[name]] for name in original.graph.parameters})

    @property
    def values(self) -> dict[str, Array]:
        """Every parameter's value: trained weights, the reference's in matching nodes, or the fill."""
        found: dict[str, Array] = self._once("values", self._make_values)
        return found

    def _make_values(self) -> dict[str, Array]:
        if self.subject.weights is not None:
            return self.trained_values()
        own = self.graph.parameters
        given = self._values_of_the_original() if self.subject.kind == "claim" else {}
        offset, ones = RUNS_APART * self.number, self.graph.fixed_gammas
        return {
            name: given[name]
            if name in given
            else np.ones(p.shape, np.float32)
            if name in ones
            else fill(p.slot, p.shape, place + offset)
            for place, (name, p) in enumerate(own.items())
        }

    def _values_of_the_original(self) -> dict[str, Array]:
        """What the network that it claims to be has in matching nodes: the same arrays, as a VGG has 0.5 GB of them."""
        own, original = self.graph, self.original
        places = {name: place for place, name in enumerate(original.graph.parameters)}
        pairs = {twin: name for name, twin in pair_parameters(original.graph, own).items() if twin in own.parameters}
        given: dict[str, Array] = {}
        for twin, name in pairs.items():
            parameter, ones = own.parameters[twin], twin in own.fixed_gammas
            value = original.values[name]
            if value.shape == tuple(parameter.shape) and original.graph.parameters[name].slot == parameter.slot:
                given[twin] = value
            elif not ones:
                given[twin] = fill(parameter.slot, parameter.shape, places[name] + RUNS_APART * self.number)
        return given

    def trained_values(self) -> dict[str, Array]:
        """Values from the user's file.

        Raises:
            RequestError: If the file does not fit the subject.
        """
        net = self.build()
        try:
            net.load_parameters(str(self.subject.weights), ctx=self.ctx)
        except Exception as error:
            raise RequestError(f"weights file {self.subject.weights} does not fit: {cause(error)}") from None
        return {name: p.data().asnumpy() for name, p in parameters_of(net).items()}

    def images(self, shape: Shape, first: int = 0) -> Any:
        """Real Fashion-MNIST images of ``shape``, each channel a little different; other shapes get the fill."""
        texture = uniform(shape, -0.25, 0.25, 10_000 + first + RUNS_APART * self.number)
        if len(shape) == 4 and shape[2] == shape[3]:
            pictures, _ = load_subset("test")
            chosen = np.arange(first, first + shape[0]) + IMAGES_APART * self.number
            texture += to_images(pictures[chosen % len(pictures)], shape[2], channels=shape[1])
        return self.array(texture)

    def array(self, values: Array) -> Any:
        """Values as an array of MXNet's, on the device and of the type that the network computes in."""
        return mx.nd.array(values, dtype=self.dtype, ctx=self.ctx)

    def labels(self, batch: int, classes: int) -> Any:
        """Fixed labels, spread over the classes."""
        return mx.nd.array(np.arange(1, batch + 1) * 37 % classes, ctx=self.ctx)

    def new(self, *, train: bool = True, values: Mapping[str, Array] | None = None, **kwargs: Any) -> Any:
        """A new instance holding :attr:`values`; without gradients where it is not to be trained.

        Args:
            train: Whether parameters get gradients.
            values: Other values of the parameters, by structural name.
            **kwargs: See :meth:`build`.
        """
        gc.collect()  # blocks and trainers sit in reference cycles: give the last instance's memory back first
        net = self.build(**kwargs)
        net.hybridize(active=False)  # a block may have hybridized itself; how it runs is the variant's choice
        if self.dtype != "float32":
            net.cast(self.dtype)
        parameters = parameters_of(net)
        for parameter in parameters.values() if not train else ():
            parameter.grad_req = "null"
        net.initialize(mx.init.Zero(), ctx=self.ctx)
        for name, parameter in parameters.items():
            value = (self.values if values is None else values)[name]
            parameter.set_data(mx.nd.array(value, dtype=parameter.dtype, ctx=self.ctx))
            parameter._finish_deferred_init()
        return net

    def initialized(self, value: float) -> dict[str, tuple[float, float]]:
        """Extremes of each parameter without an initializer of its own, after ``initialize`` is given a constant."""
        net = self.build()
        net.initialize(mx.init.Constant(value), ctx=self.ctx)
        net.infer_shape(self.images(self.shape(1)))
        found = {}
        for name, parameter in parameters_of(net).items():
            if self.graph.parameters[name].settings["init"] == "default":
                parameter._finish_deferred_init()
                data = parameter.data()
                found[name] = (float(data.min().asscalar()), float(data.max().asscalar()))
        return found

    def graph_at(self, shape: Shape, **kwargs: Any) -> Graph:
        """The graph of another instance.

        Args:
            shape: Of its images (N, ...).
            **kwargs: See :meth:`build`.
        """
        return trace(self.build(**kwargs), shape)[0]
