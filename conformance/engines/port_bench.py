"""The port's bench: answers for a network of another engine what the workbench answers for a Gluon block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conformance.check import NotApplicable, Problem, owner
from conformance.claimed import SHOWN
from conformance.comparison import Array, compare, largest_difference
from conformance.engines.port import Port, Trainable
from conformance.engines.predicting import folds, in_predict_mode, near_epsilon, with_folds
from conformance.engines.training import step_differences
from conformance.graph import Graph, Node
from conformance.matching import pair_nodes, pair_parameters
from conformance.pictures import Prediction, batches
from conformance.specification import Specification, count
from conformance.subject import Subject
from conformance.tolerances import ONNX_LAYERS, TORCH_LAYERS

if TYPE_CHECKING:
    from conformance.instances import Shape
    from conformance.workbench import Workbench

TRAINED = frozenset({"claim.training", "behaviour.running_statistics"})
ANSWERED = TRAINED | {
    "structure.graph",
    "parameters.counts",
    "parameters.multiply_adds",
    "parameters.published_counts",
    "claim.node_outputs",
    "claim.predictions",
}
#: Why a check says nothing about a port, by its id or family.
REASONS = {
    "structure": "types, initializers and training settings are Gluon's own",
    "parameters": "how parameters start is up to Gluon's initializers",
    "execution": "the variants of execution are Gluon's",
    "behaviour": "a port is compared with the reference in claim.node_outputs and claim.training",
    "numerics": "it is about MXNet's types and autograd",
    "files": "it is about MXNet's files",
    "training": "it is about the training loop of reference, which trains Gluon blocks",
    "convergence": "it trains with the loop of reference, which trains Gluon blocks",
    "device": "MXNet on a device is compared with MXNet on the CPU",
    "record": "only Gluon blocks are recorded",
}


ONE_ROUNDING = 2.0**-23
"""What a weight may differ by, of the largest of its array: it may have gone through another float32 format."""


class PortBench:
    """A port beside the Gluon network that it claims to be.

    Args:
        subject: What is tested.
        port: The port; what it carries is kept before a check gives it other weights.
        reference: The workbench of the network that it claims to be; it is given as many classes as the port has.
    """

    brings_weights = True

    def __init__(self, subject: Subject, port: Port, reference: Workbench) -> None:
        """Put the reference beside the port."""
        self.subject, self.port, self.reference = subject, port, reference
        head = port.graph.nodes[port.graph.head]
        self.classes = reference.classes = int(head.attributes.get("num_hidden", reference.classes))
        self.carried = dict(port.weights)

    @property
    def resolved(self) -> PortBench:
        """The bench that the checks get: this."""
        return self

    def admit(self, check: str) -> None:
        """Refuse a check that says nothing about a port.

        Raises:
            NotApplicable: With the reason.
        """
        if check not in ANSWERED and check not in ("prepare", "draw"):
            raise NotApplicable(f"{self.port.engine} runs it: {REASONS[check.partition('.')[0]]}")
        if check in TRAINED and not isinstance(self.port, Trainable):
            raise NotApplicable(f"{self.port.engine} runs it: an ONNX file predicts, its format has no training")
        if check in ("parameters.counts", "parameters.published_counts") and self.is_folded:
            raise NotApplicable("its BatchNorms are folded into convolutions, so it has other parameters")

    def prepare(self) -> None:
        """Load what is asked for, so that a wrong request is known before anything runs."""
        if self.subject.weights is not None:
            _ = self.reference.values

    def shape(self, batch: int = 1, *, train: bool = False) -> Shape:
        """An input shape (N, C, H, W): the reference's, or the only one that the port takes."""
        image = getattr(self.port, "image", None)
        return self.reference.shape(batch, train=train) if train or image is None else (batch, *image)

    @property
    def specification(self) -> Specification:
        """The facts of the network it claims to be; counted by the closed formula for other classes or images."""
        spec = self.reference.specification
        side = self.shape()[-1]
        if (self.classes, side) == (1000, spec.full_size):
            return spec
        found = count(spec, classes=self.classes, size=side)
        bare = count(spec, classes=self.classes, size=side, conv_bias=False)
        facts = {key: getattr(found, key) for key in ("total", "trainable", "arrays", "multiply_adds")}
        return replace(spec, **facts, published=bare.trainable, full_size=side)

    @cached_property
    def graph(self) -> Graph:
        """The port's graph, as far as predict mode goes where it is only for predictions."""
        return self.port.graph if isinstance(self.port, Trainable) else in_predict_mode(self.port.graph)

    @cached_property
    def is_folded(self) -> bool:
        """Whether BatchNorms are folded into convolutions: it has fewer, none of them after a convolution alone."""
        plain, own = self.reference.graph, self.graph
        counts = [sum(node.operator == "BatchNorm" for node in graph.nodes) for graph in (plain, own)]
        return counts[1] < counts[0] and not folds(own)

    @cached_property
    def expected(self) -> Graph:
        """The reference's graph in the form that the port has."""
        if isinstance(self.port, Trainable):
            return self.reference.graph
        graph = in_predict_mode(self.reference.graph)
        return with_folds(graph) if self.is_folded else graph

    @property
    def layer_bound(self) -> tuple[float, str]:
        """What another engine's layers may differ by, with provenance."""
        bound = TORCH_LAYERS if isinstance(self.port, Trainable) else ONNX_LAYERS
        return bound.bound, bound.provenance

    def give(self, values: Mapping[str, Array]) -> None:
        """Give both the same weights, by the reference's names."""
        self.reference.values = dict(values)
        known = dict(values)
        for fold in folds(self.reference.graph) if self.is_folded else ():
            known |= fold.folded(values)
        self.port.set_weights({twin: known[name] for name, twin in self.names.items()})

    @cached_property
    def names(self) -> dict[str, str]:
        """The port's parameters by the reference's names."""
        return pair_parameters(self.expected, self.graph)

    @cached_property
    def twins(self) -> dict[int, Node]:
        """The port's nodes by the position of the reference's node whose output they have."""
        places = {node.output: node.position for node in self.reference.graph.nodes}
        pairs = pair_nodes(self.expected, self.graph)
        return {places[self.expected.nodes[one].output]: self.graph.nodes[other] for one, other in pairs.items()}

    def both_outputs(self) -> Iterator[tuple[Node, Array, Array]]:
        """Every layer of the port, what the reference gives there, and what it gives itself."""
        self.give(near_epsilon(self.reference.graph, self.filled))
        images = self.reference.images(self.shape()).asnumpy()
        return self._outputs(images)

    @property
    def filled(self) -> dict[str, Array]:
        """The fill, whatever weights the user has; made anew, as it may be half a gigabyte."""
        bench = type(self.reference)(replace(self.reference.subject, weights=None), number=self.reference.number)
        bench.classes = self.classes
        return bench.values

    def _outputs(self, images: Array) -> Iterator[tuple[Node, Array, Array]]:
        actual = {node.output: array for node, array in self.port.layers(images)}
        for node, expected in self.reference.node_outputs(images.shape, images=self.reference.array(images)):
            twin = self.twins.get(node.position)
            if twin is not None and twin.output in actual:
                yield twin, expected, actual[twin.output]

    def _own_weights(self) -> None:
        """Give the port what it brought, and the reference the user's weights, or else the port's."""
        self.port.set_weights(self.carried)
        if self.subject.weights is not None:
            self.reference.values = self.reference.trained_values()
            return
        values = {name: self.carried[twin] for name, twin in self.names.items()}
        for fold in folds(self.reference.graph) if self.is_folded else ():
            values |= fold.unfolded(values)
        self.reference.values = values

    def predictions(self) -> Iterator[Prediction]:
        """What both predict for each image, with the weights that the port brought."""
        self._own_weights()
        net = self.reference.net(train=False)
        for names, images in batches(self.subject.images, self.shape()):
            pair = net(self.reference.array(images)).asnumpy(), self.port.logits(images)
            yield from (Prediction(*each) for each in zip(names, images, *pair, strict=True))

    def first_differing_layer(self, prediction: Prediction) -> Iterator[Problem]:
        """The first weight that is another, and the first layer that gives something else.

        For an image, and for one whose channels differ: with grey ones, channels in another order would not show.
        """
        for name, own in self.names.items() if not self.is_folded else ():
            expected = self.reference.values[name]
            gap = largest_difference(expected, self.carried[own])[0]
            if gap > ONE_ROUNDING * np.abs(expected).max():
                yield Problem(f"weights: {own} is not {name}: largest difference {gap:.3g}", owner(name))
                break
        for image in (prediction.image[None], self.reference.images(self.shape()).asnumpy()):
            for twin, expected, actual in self._outputs(image):
                for line in compare(f"{twin}", expected, actual, *self.layer_bound):
                    yield Problem(f"first diverging layer: {line}", twin.place)
                    return

    def training_differences(self) -> list[Problem]:
        """How a training step in float64 differs, running statistics aside."""
        return [problem for problem in self._step_differences if not self._is_statistic(problem)][:SHOWN]

    def ported_statistics(self) -> list[Problem]:
        """How running statistics differ after that step."""
        return [problem for problem in self._step_differences if self._is_statistic(problem)][:SHOWN]

    def _is_statistic(self, problem: Problem) -> bool:
        parameter = self.graph.parameters.get(problem.partition(":")[0])
        return parameter is not None and parameter.is_statistic

    @cached_property
    def _step_differences(self) -> list[Problem]:
        """What one step of both shows, with the fill as weights."""
        assert isinstance(self.port, Trainable)
        self.give(self.filled)
        wide = self.reference.in_float64
        wide.values, wide.classes = self.reference.values, self.classes
        with self.reference.stage("training the reference and the port in float64"):
            return list(step_differences(self.reference, self.port, dict(self.names)))
