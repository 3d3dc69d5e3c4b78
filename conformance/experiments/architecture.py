"""What a network is in numbers, be it Gluon's or another engine's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from conformance.contract.outcomes import NotApplicable
from conformance.contract.specification import Specification
from conformance.experiments.network import Network
from conformance.graphs.graph import Graph


@dataclass(frozen=True)
class Architecture:
    """A network's graph, beside the facts of the network that it is or claims to be.

    Attributes:
        graph: Its graph.
        classes: Number of logits.
        facts: The specification, where there is one.
        folded: Whether BatchNorms are folded into convolutions, so that it has other parameters.
        without_biases: The graph of the same network built without biases in convolutions, where that can be had.
    """

    graph: Graph
    classes: int
    facts: Specification | None
    folded: bool = False
    without_biases: Callable[[], Graph] | None = None

    @property
    def specification(self) -> Specification:
        """The facts.

        Raises:
            NotApplicable: If there are none.
        """
        if self.facts is None:
            raise NotApplicable("the network that it claims to be has no specification")
        return self.facts


def architecture_of(network: Network) -> Architecture:
    """The architecture of a Gluon network."""

    def without_biases() -> Graph:
        return network.graph_at(network.shape(), conv_bias=False)

    known = without_biases if network.subject.kind == "reference" else None
    return Architecture(network.graph, network.classes, network.subject.specification, without_biases=known)
