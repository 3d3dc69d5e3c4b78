"""A port beside the Gluon network that it claims to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from conformance.contract.outcomes import SHOWN, NotApplicable, Problem, owner
from conformance.contract.specification import Specification, count
from conformance.contract.tolerances import ONNX_LAYERS, TORCH_LAYERS
from conformance.experiments.architecture import Architecture
from conformance.experiments.images import Prediction, batches
from conformance.experiments.network import Network, Shape
from conformance.experiments.runs import Runs
from conformance.graphs.graph import Graph, Node
from conformance.graphs.matching import pair_nodes, pair_parameters
from conformance.ports.inference_form import folds, in_predict_mode, near_epsilon, with_folds
from conformance.ports.port import Port, Trainable
from conformance.ports.step import step_differences
from conformance.tensors.comparison import Array, compare, largest_difference

ONE_ROUNDING = 2.0**-23
"""What a weight may differ by, of the largest of its array: it may have gone through another float32 format."""


class PortClaim:
    """A port beside the Gluon network that it claims to be, see :class:`conformance.experiments.claim.Claim`.

    Args:
        port: The port; what it carries is kept before a check gives it other weights.
        network: The network that it claims to be; it is built with as many classes as the port has.
        images: A folder of the user's, on whose images predictions are compared.
    """

    brings_weights = True

    def __init__(self, port: Port, network: Network, images: Path | None = None) -> None:
        """Put the network beside the port."""
        head = port.graph.nodes[port.graph.head]
        self.port, self.images = port, images
        self.network = network.with_classes(int(head.attributes.get("num_hidden", network.classes)))
        self.carried = dict(port.weights)
        if network.subject.weights is not None:
            _ = self.network.values  # a file that does not fit is known before anything runs

    def shape(self, batch: int = 1, *, train: bool = False) -> Shape:
        """An input shape (N, C, H, W): the reference's, or the only one that the port takes."""
        image = getattr(self.port, "image", None)
        return self.network.shape(batch, train=train) if train or image is None else (batch, *image)

    @property
    def architecture(self) -> Architecture:
        """The port in numbers."""
        return Architecture(self.graph, self.network.classes, self._facts(), folded=self.is_folded)

    def _facts(self) -> Specification | None:
        """The facts of the network it claims to be; counted by the closed formula for other classes or images."""
        spec, side, classes = self.network.subject.specification, self.shape()[-1], self.network.classes
        if spec is None or (classes, side) == (1000, spec.full_size):
            return spec
        found = count(spec, classes=classes, size=side)
        bare = count(spec, classes=classes, size=side, conv_bias=False)
        facts = {key: getattr(found, key) for key in ("total", "trainable", "arrays", "multiply_adds")}
        return replace(spec, **facts, published=bare.trainable, full_size=side)

    @cached_property
    def graph(self) -> Graph:
        """The port's graph, as far as predict mode goes where it is only for predictions."""
        return self.port.graph if isinstance(self.port, Trainable) else in_predict_mode(self.port.graph)

    @cached_property
    def is_folded(self) -> bool:
        """Whether BatchNorms are folded into convolutions: it has fewer, none of them after a convolution alone."""
        plain, own = self.network.graph, self.graph
        counts = [sum(node.operator == "BatchNorm" for node in graph.nodes) for graph in (plain, own)]
        return counts[1] < counts[0] and not folds(own)

    @cached_property
    def expected(self) -> Graph:
        """The reference's graph in the form that the port has."""
        if isinstance(self.port, Trainable):
            return self.network.graph
        graph = in_predict_mode(self.network.graph)
        return with_folds(graph) if self.is_folded else graph

    @property
    def bound(self) -> tuple[float, str]:
        """What another engine's layers may differ by, with provenance."""
        bound = TORCH_LAYERS if isinstance(self.port, Trainable) else ONNX_LAYERS
        return bound.bound, bound.provenance

    def _given(self, values: Mapping[str, Array]) -> Runs:
        """Give the port weights, by the reference's names, and return runs of the reference with the same."""
        known = dict(values)
        for fold in folds(self.network.graph) if self.is_folded else ():
            known |= fold.folded(values)
        self.port.set_weights({twin: known[name] for name, twin in self.names.items()})
        return Runs(self.network.with_weights(values))

    @cached_property
    def names(self) -> dict[str, str]:
        """The port's parameters by the reference's names."""
        return pair_parameters(self.expected, self.graph)

    @cached_property
    def twins(self) -> dict[int, Node]:
        """The port's nodes by the position of the reference's node whose output they have."""
        places = {node.output: node.position for node in self.network.graph.nodes}
        pairs = pair_nodes(self.expected, self.graph)
        return {places[self.expected.nodes[one].output]: self.graph.nodes[other] for one, other in pairs.items()}

    def outputs(self) -> Iterator[tuple[Node, Array, Array]]:
        """See :class:`conformance.experiments.claim.Claim`."""
        runs = self._given(near_epsilon(self.network.graph, self.filled))
        return self._outputs(runs, self.network.images(self.shape()).asnumpy())

    @property
    def filled(self) -> dict[str, Array]:
        """The fill, whatever weights the user has; made anew, as it may be half a gigabyte."""
        subject = replace(self.network.subject, weights=None)
        return Network(subject, number=self.network.number).with_classes(self.network.classes).values

    def _outputs(self, runs: Runs, images: Array) -> Iterator[tuple[Node, Array, Array]]:
        actual = {node.output: array for node, array in self.port.layers(images)}
        for node, expected in runs.node_outputs(images.shape, images=self.network.array(images)):
            twin = self.twins.get(node.position)
            if twin is not None and twin.output in actual:
                yield twin, expected, actual[twin.output]

    @cached_property
    def _own(self) -> Runs:
        """Runs of the reference with the user's weights, or else with those that the port brought."""
        if self.network.subject.weights is not None:
            return Runs(self.network)
        values = {name: self.carried[twin] for name, twin in self.names.items()}
        for fold in folds(self.network.graph) if self.is_folded else ():
            values |= fold.unfolded(values)
        return Runs(self.network.with_weights(values))

    def predictions(self) -> Iterator[Prediction]:
        """What both predict for each image, with the weights that the port brought."""
        self.port.set_weights(self.carried)
        net = self._own.net(train=False)
        for names, images in batches(self.images, self.shape()):
            pair = net(self.network.array(images)).asnumpy(), self.port.logits(images)
            yield from (Prediction(*each) for each in zip(names, images, *pair, strict=True))

    def first_differing_layer(self, prediction: Prediction) -> Iterator[Problem]:
        """The first weight that is another, and the first layer that gives something else.

        For an image, and for one whose channels differ: with grey ones, channels in another order would not show.
        """
        for name, own in self.names.items() if not self.is_folded else ():
            expected = self._own.network.values[name]
            gap = largest_difference(expected, self.carried[own])[0]
            if gap > ONE_ROUNDING * np.abs(expected).max():
                yield Problem(f"weights: {own} is not {name}: largest difference {gap:.3g}", owner(name))
                break
        for image in (prediction.image[None], self.network.images(self.shape()).asnumpy()):
            for twin, expected, actual in self._outputs(self._own, image):
                for line in compare(f"{twin}", expected, actual, *self.bound):
                    yield Problem(f"first diverging layer: {line}", twin.place)
                    return

    def training_differences(self) -> list[Problem]:
        """How a training step in float64 differs, running statistics aside.

        Raises:
            NotApplicable: If the port cannot be trained.
        """
        return [problem for problem in self._step_differences if not self._is_statistic(problem)][:SHOWN]

    def problems(self) -> list[Problem]:
        """How running statistics differ after that step.

        Raises:
            NotApplicable: If the port cannot be trained, or there are none.
        """
        _ = self._trainable
        if not any(node.operator == "BatchNorm" for node in self.graph.nodes):
            raise NotApplicable("the network has no BatchNorm")
        return [problem for problem in self._step_differences if self._is_statistic(problem)]

    def _is_statistic(self, problem: Problem) -> bool:
        parameter = self.graph.parameters.get(problem.partition(":")[0])
        return parameter is not None and parameter.is_statistic

    @cached_property
    def _step_differences(self) -> list[Problem]:
        """What one step of both shows, with the fill as weights."""
        port, runs = self._trainable, self._given(self.filled)
        with self.network.stage("training the reference and the port in float64"):
            return list(step_differences(runs, port, dict(self.names)))

    @property
    def _trainable(self) -> Trainable:
        """The port, if it can be trained."""
        if not isinstance(self.port, Trainable):
            raise NotApplicable(f"{self.port.engine} runs it: an ONNX file predicts, its format has no training")
        return self.port
