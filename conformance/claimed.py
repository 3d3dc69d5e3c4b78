"""A claim beside the network that it claims to be: both run, weights in matching places."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from conformance.check import Problem
from conformance.comparison import compare
from conformance.divergence import backward_divergence
from conformance.filing import Filing
from conformance.graph import Graph, Node
from conformance.matching import pair_nodes, pair_parameters
from conformance.measurement import note_exact
from conformance.pictures import Prediction, batches
from conformance.recording import Recording
from conformance.rounding import float64_differences
from conformance.tolerances import REORDERED_LAYERS

if TYPE_CHECKING:
    from typing_extensions import Self

    from conformance.comparison import Array

SHOWN = 8


def _same_bits(graph: Graph, expected: Recording, actual: Recording) -> Iterator[str]:
    """Compare two recordings bit for bit."""
    for name, tensor in expected.tensors.items():
        if name in actual.tensors:
            yield from compare(name, tensor, actual.tensors[name])
        else:
            yield f"{name}: missing"


class Claimed(Filing):
    """A runner whose subject may be a claim."""

    brings_weights = False
    """Whether weights come with the claim, so that they may be others than the reference's."""

    @property
    def expected(self) -> Graph:
        """The graph of the network a claim claims to be."""
        return self.reference.graph

    @cached_property
    def in_float64(self) -> Self:
        """The subject in float64, same values: there the order of sums makes no difference that training amplifies."""
        bench = type(self)(self.subject, self.place, self.stage, "float64", self.number)
        bench._plain = self
        return bench

    @property
    def reorders_sums(self) -> bool:
        """Whether the claim nests its concats differently, so that gradients are summed in another order."""

        def sizes(graph: Graph) -> list[int]:
            return [len(node.inputs) for node in graph.nodes if node.operator == "Concat"]

        return sizes(self.graph) != sizes(self.reference.graph)

    def _renamed(self, recording: Recording) -> Recording:
        """A claim's recording in the reference's parameter names."""
        names = {twin: name for name, twin in pair_parameters(self.reference.graph, self.graph).items()}

        def renamed(label: str) -> str:
            head, _, name = label.rpartition(" ")
            return f"{head} {names.get(name, name)}".strip()

        return Recording(
            summaries={renamed(label): s for label, s in recording.summaries.items()},
            tensors={renamed(label): t for label, t in recording.tensors.items()},
        )

    @property
    def trained_as_reference(self) -> Recording:
        """The claim's training in the reference's parameter names."""
        return self._renamed(self.trained)

    def train_as_reference(self, keep: frozenset[str]) -> Recording:
        """The claim trained once more, keeping tensors named as in the reference."""
        names = pair_parameters(self.reference.graph, self.graph)
        own = frozenset(
            f"{label.rpartition(' ')[0]} {names.get(label.rpartition(' ')[2], label.rpartition(' ')[2])}"
            for label in keep
        )
        return self._renamed(self.train("imperative", own))

    @property
    def layer_bound(self) -> tuple[float, str]:
        """What a layer's output may differ by, with provenance: nothing, unless sums are in another order."""
        return (REORDERED_LAYERS.bound, REORDERED_LAYERS.provenance) if self.reorders_sums else (0.0, "")

    def training_differences(self) -> list[str]:
        """How three training steps differ from the reference's, and the layer nearest the output that does."""
        bench = self.in_float64 if self.reorders_sums else self
        if self.reorders_sums:
            names = frozenset(bench.reference.trained.summaries)
        else:
            expected, actual = bench.reference.trained.summaries, bench.trained_as_reference.summaries
            names = frozenset(name for name in expected if expected[name] != actual.get(name))
            note_exact("tensors of three training steps", len(expected), len(names))
        if not names:
            return []
        left, right = bench.reference.train("imperative", names), bench.train_as_reference(names)
        compared = float64_differences if self.reorders_sums else _same_bits
        problems = list(compared(bench.reference.graph, left, right))
        named = [problem.partition(": expected")[0].removesuffix(" (float64)") for problem in problems]
        if not problems:
            return []
        return [
            *problems[:SHOWN],
            f"{len(named)} tensors differ",
            *backward_divergence(bench.reference.graph, named),
        ]

    def ported_statistics(self) -> list[Problem] | None:
        """How running statistics of another engine differ from the reference's; None for a Gluon block."""
        return None

    def both_outputs(self) -> Iterator[tuple[Node, Array, Array]]:
        """Every node of a claim, what the reference gives there, and what it gives itself, in predict mode."""
        pairs = pair_nodes(self.reference.graph, self.graph)
        actual = {node.position: array for node, array in self.node_outputs(self.shape())}
        for node, expected in self.reference.node_outputs(self.shape()):
            twin = self.graph.nodes[pairs[node.position]]
            yield twin, expected, actual.pop(twin.position)

    def predictions(self) -> Iterator[Prediction]:
        """What the reference and a claim predict for each image, with the same weights."""
        nets = self.reference.net(train=False), self.net(train=False)
        for names, images in batches(self.subject.images, self.shape()):
            pair = [net(self.array(images)).asnumpy() for net in nets]
            yield from (Prediction(*each) for each in zip(names, images, *pair, strict=True))

    def first_differing_layer(self, prediction: Prediction) -> Iterator[Problem]:
        """The first layer that gives something else for an image."""
        pairs = pair_nodes(self.reference.graph, self.graph)
        images = self.array(prediction.image[None])
        actual = {node.position: array for node, array in self.node_outputs(images.shape, images=images)}
        bound = self.layer_bound
        for node, expected in self.reference.node_outputs(images.shape, images=images):
            twin = self.graph.nodes[pairs[node.position]]
            for line in compare(f"{twin}", expected, actual[twin.position], *bound):
                yield Problem(f"first diverging layer: {line}", twin.place)
                return
