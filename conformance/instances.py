"""Instances: new networks of one subject, with the weights and images that a check needs."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.check import cause
from conformance.comparison import Array
from conformance.describe import context
from conformance.engines.install import require_no_engine
from conformance.graph import Graph
from conformance.matching import differences, pair_parameters
from conformance.subject import Build, RequestError
from conformance.tracing import internal_shapes, structural_names, trace
from conformance.weights import fill, uniform
from reference.data import load_subset, to_images
from reference.models import get_model
from reference.mxnet_compat import mx

if TYPE_CHECKING:
    from typing_extensions import Self

    from conformance.subject import Subject

Shape = tuple[int, ...]
RUNS_APART = 100_003
"""How far apart the seeds of two runs of different number are."""
IMAGES_APART = 5


@contextmanager
def no_stages(name: str) -> Iterator[None]:
    """Run a stage without telling anyone."""
    yield


def imported(code: Build, what: str, before: str = " ") -> Callable[..., Any]:
    """Return what ``"package.module:attribute"`` names, or a callable as it is.

    Args:
        code: The name or the callable.
        what: What messages call it.
        before: Stands before the name in messages.

    Raises:
        RequestError: If it cannot be imported or is not callable.
        NotExecuted: If it needs an engine that is not installed.
    """
    if callable(code):
        return code
    module, _, attribute = code.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        require_no_engine(error)
        raise RequestError(f"{what}{before}{code}: {type(error).__name__}: {cause(error)}") from None
    if not callable(found):
        raise RequestError(f"{what}{before}{code}: {attribute} is not callable")
    return found  # type: ignore[no-any-return]


class Instances:
    """Builds and feeds one subject.

    Args:
        subject: What is tested.
        ctx: The device: ``"cpu"``, or ``"gpu:1"`` and the like.
        stage: Context manager around work that several checks share; it may refuse to start it.
        dtype: What the networks compute in.
        number: Which weights, images and dropout masks: 0 for the usual ones.
    """

    def __init__(
        self,
        subject: Subject,
        ctx: str = "cpu",
        stage: Callable[[str], AbstractContextManager[None]] = no_stages,
        dtype: str = "float32",
        number: int = 0,
    ) -> None:
        """Keep what the checks need; nothing is built yet."""
        self.subject = subject
        self.place = ctx
        self.ctx = context(ctx)
        self.stage = stage
        self.dtype = dtype
        self.number = number
        self.classes = 1000
        self._twin: Self | None = None
        self._plain: Self | None = None  # the same subject in float32: its values are not kept twice

    def seed(self, step: int) -> None:
        """Seed MXNet's own random numbers before a training step or a run."""
        mx.random.seed(step + RUNS_APART * self.number)

    @cached_property
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
            return trace(self.build(), self.shape())

    @property
    def graph(self) -> Graph:
        """The subject's canonical graph."""
        return self.traced[0]

    @property
    def reference(self) -> Self:
        """The same for the network a claim claims to be, with the same weights in matching nodes."""
        if self._twin is None:
            subject = self.subject.original
            self._twin = type(self)(subject, self.place, dtype=self.dtype, number=self.number)
            if self.subject.weights is not None and not differences(self._twin.graph, self.graph):
                pairs = pair_parameters(self._twin.graph, self.graph)
                self._twin.values = {name: self.values[pairs[name]] for name in self._twin.graph.parameters}
        return self._twin

    @cached_property
    def values(self) -> dict[str, Array]:
        """Every parameter's value: trained weights, the reference's in matching nodes, or the fill."""
        if self._plain is not None:
            return self._plain.values
        if self.subject.weights is not None:
            return self.trained_values()
        own = {name: (place, parameter) for place, (name, parameter) in enumerate(self.graph.parameters.items())}
        if self.subject.kind == "claim":
            places = {name: place for place, name in enumerate(self.reference.graph.parameters)}
            pairs = pair_parameters(self.reference.graph, self.graph)
            own.update({twin: (places[name], own[twin][1]) for name, twin in pairs.items() if twin in own})
        offset, ones = RUNS_APART * self.number, self.graph.fixed_gammas
        return {
            name: np.ones(p.shape, np.float32) if name in ones else fill(p.slot, p.shape, place + offset)
            for name, (place, p) in own.items()
        }

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
        names = structural_names(net)
        return {names[full]: p.data().asnumpy() for full, p in net.collect_params().items()}

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
        names = structural_names(net)
        parameters = net.collect_params()
        for parameter in parameters.values() if not train else ():
            parameter.grad_req = "null"
        net.initialize(mx.init.Zero(), ctx=self.ctx)
        for full, parameter in parameters.items():
            value = (self.values if values is None else values)[names[full]]
            parameter.set_data(mx.nd.array(value, dtype=parameter.dtype, ctx=self.ctx))
            parameter._finish_deferred_init()
        return net
