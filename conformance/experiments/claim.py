"""A claim beside the network that it claims to be: both run, weights in matching places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from conformance.contract.measurement import note_exact
from conformance.contract.outcomes import SHOWN, Problem
from conformance.contract.tolerances import REORDERED_LAYERS
from conformance.experiments.divergence import backward_divergence
from conformance.experiments.images import Prediction, batches
from conformance.experiments.runs import Runs
from conformance.graphs.cancelled import cancelled_biases
from conformance.graphs.graph import Graph, Node
from conformance.graphs.matching import pair_nodes, pair_parameters
from conformance.tensors.comparison import Array, compare
from conformance.tensors.label import Label
from conformance.tensors.recording import Recording
from conformance.tensors.rounding import float64_differences, same_bits


class Claim(Protocol):
    """A network beside the one that it claims to be."""

    @property
    def expected(self) -> Graph:
        """The graph of the network that it claims to be."""

    @property
    def graph(self) -> Graph:
        """Its own graph."""

    @property
    def bound(self) -> tuple[float, str]:
        """What a layer's output may differ by, with provenance."""

    @property
    def brings_weights(self) -> bool:
        """Whether weights come with it, so that they may be others than the reference's."""

    def outputs(self) -> Iterator[tuple[Node, Array, Array]]:
        """Every layer of it, what the reference gives there, and what it gives itself, in predict mode."""

    def predictions(self) -> Iterator[Prediction]:
        """What both predict for each image, with the same weights."""

    def first_differing_layer(self, prediction: Prediction) -> Iterator[Problem]:
        """The first layer that gives something else for an image."""

    def training_differences(self) -> list[Problem]:
        """How training differs from the reference's."""


class GluonClaim:
    """A Gluon block that claims to be another.

    Args:
        reference: Runs of what it claims to be.
        claimed: Its own runs.
    """

    brings_weights = False

    def __init__(self, reference: Runs, claimed: Runs) -> None:
        """Put both beside each other."""
        self.reference, self.claimed = reference, claimed

    @property
    def expected(self) -> Graph:
        """See :class:`Claim`."""
        return self.reference.graph

    @property
    def graph(self) -> Graph:
        """See :class:`Claim`."""
        return self.claimed.graph

    @property
    def reorders_sums(self) -> bool:
        """Whether the claim nests its concats differently, so that gradients are summed in another order."""
        sizes = [
            [len(node.inputs) for node in graph.nodes if node.operator == "Concat"]
            for graph in (self.expected, self.graph)
        ]
        return sizes[0] != sizes[1]

    @property
    def bound(self) -> tuple[float, str]:
        """Nothing, unless sums are in another order."""
        return (REORDERED_LAYERS.bound, REORDERED_LAYERS.provenance) if self.reorders_sums else (0.0, "")

    def training_differences(self) -> list[Problem]:
        """How three training steps differ from the reference's, and the layer nearest the output that does."""
        found = list(self._in_another_order() if self.reorders_sums else self._bit_for_bit())
        if not found:
            return []
        return [
            *(problem for _, problem in found[:SHOWN]),
            Problem(f"{len(found)} tensors differ"),
            *backward_divergence(self.expected, [label for label, _ in found]),
        ]

    def _bit_for_bit(self) -> Iterator[tuple[Label, Problem]]:
        """Compare the steps by their checksums, and look closer at what differs."""
        expected, actual = (
            self.reference.trainings.usual.summaries,
            self._renamed(self.claimed.trainings.usual).summaries,
        )
        labels = frozenset(label for label in expected if expected[label] != actual.get(label))
        note_exact("tensors of three training steps", len(expected), len(labels))
        return same_bits(*self._kept(self.reference, self.claimed, labels)) if labels else iter(())

    def _in_another_order(self) -> Iterator[tuple[Label, Problem]]:
        """Compare the steps in float64: float32 training amplifies what another order of sums rounds otherwise."""
        reference, claimed = self.reference.in_float64, self.claimed.in_float64
        both = self._kept(reference, claimed, frozenset(reference.trainings.usual.summaries))
        return float64_differences(cancelled_biases(self.expected), *both)

    def _kept(self, reference: Runs, claimed: Runs, labels: frozenset[Label]) -> tuple[Recording, Recording]:
        """Both trained once more, tensors kept under the reference's names."""
        names = pair_parameters(self.expected, self.graph)
        own = frozenset(label._replace(name=names.get(label.name, label.name)) for label in labels)
        left = reference.trainings.record("imperative", labels)
        return left, self._renamed(claimed.trainings.record("imperative", own))

    def _renamed(self, recording: Recording) -> Recording:
        """A claim's recording in the reference's parameter names."""
        return recording.renamed({twin: name for name, twin in pair_parameters(self.expected, self.graph).items()})

    def outputs(self) -> Iterator[tuple[Node, Array, Array]]:
        """See :class:`Claim`."""
        return self._outputs(self.claimed.network.images(self.claimed.network.shape()))

    def _outputs(self, images: Any) -> Iterator[tuple[Node, Array, Array]]:
        pairs = pair_nodes(self.expected, self.graph)
        actual = {node.position: array for node, array in self.claimed.node_outputs(images.shape, images=images)}
        for node, expected in self.reference.node_outputs(images.shape, images=images):
            twin = self.graph.nodes[pairs[node.position]]
            yield twin, expected, actual.pop(twin.position)

    def predictions(self) -> Iterator[Prediction]:
        """See :class:`Claim`."""
        network = self.claimed.network
        nets = self.reference.net(train=False), self.claimed.net(train=False)
        for names, images in batches(network.subject.images, network.shape()):
            pair = [net(network.array(images)).asnumpy() for net in nets]
            yield from (Prediction(*each) for each in zip(names, images, *pair, strict=True))

    def first_differing_layer(self, prediction: Prediction) -> Iterator[Problem]:
        """See :class:`Claim`."""
        for twin, expected, actual in self._outputs(self.claimed.network.array(prediction.image[None])):
            for line in compare(f"{twin}", expected, actual, *self.bound):
                yield Problem(f"first diverging layer: {line}", twin.place)
                return
