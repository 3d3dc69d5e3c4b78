"""Networks as other formats keep them: without what predict mode does not need, BatchNorms folded or not.

A file for predictions has no dropout, and its BatchNorms' momentum says nothing. Some exporters go further and fold a
BatchNorm into the convolution before it, which then has other weights and computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from conformance.graphs.graph import Graph, Node
from conformance.tensors.comparison import Array
from conformance.tensors.fill import uniform

Values = Mapping[str, Array]
EVERY_EIGHTH = 8
"""Every eighth channel gets a running variance of the size of epsilon, from :data:`NEAR` times it on."""
NEAR = (0.25, 4.0)


def _without(graph: Graph, dropped: Mapping[int, int], changed: Callable[[Node], Node]) -> Graph:
    """A graph less some nodes, whose readers read another node instead."""
    kept = [node for node in graph.nodes if node.position not in dropped]
    places = {node.position: place for place, node in enumerate(kept)} | {-1: -1}

    def place(position: int) -> int:
        while position in dropped:
            position = dropped[position]
        return places[position]

    nodes = tuple(
        replace(
            changed(node),
            position=places[node.position],
            inputs=tuple((place(source), output) for source, output in node.inputs),
        )
        for node in kept
    )
    read = {name for node in nodes for name in node.parameters}
    parameters = {name: each for name, each in graph.parameters.items() if name in read}
    return Graph(nodes, parameters, place(graph.head))


def in_predict_mode(graph: Graph) -> Graph:
    """A graph without its dropouts and its BatchNorms' momentum."""

    def timeless(node: Node) -> Node:
        attributes = {key: value for key, value in node.attributes.items() if key != "momentum"}
        return replace(node, attributes=attributes) if node.operator == "BatchNorm" else node

    dropped = {node.position: node.inputs[0][0] for node in graph.nodes if node.operator == "Dropout"}
    return _without(graph, dropped, timeless)


@dataclass(frozen=True)
class Fold:
    """A convolution and the BatchNorm that alone reads it."""

    convolution: Node
    norm: Node

    @property
    def names(self) -> tuple[str, str]:
        """Parameters of the convolution that both become; without a bias it takes the BatchNorm's beta."""
        return self.convolution.parameters[0], (*self.convolution.parameters, self.norm.parameters[1])[1]

    def folded(self, values: Values) -> dict[str, Array]:
        """That convolution's parameters."""
        weight, *biases = (values[name].astype(np.float64) for name in self.convolution.parameters)
        gamma, beta, mean, variance = (values[name].astype(np.float64) for name in self.norm.parameters)
        scale = gamma / np.sqrt(variance + self.norm.attributes["eps"])
        bias = beta + ((biases[0] if biases else 0) - mean) * scale
        pair = (weight * scale[:, None, None, None], bias)
        return {name: each.astype(np.float32) for name, each in zip(self.names, pair, strict=True)}

    def unfolded(self, values: Values) -> dict[str, Array]:
        """Parameters of both from that convolution's: the BatchNorm then passes everything through."""
        weight, bias = (values[name] for name in self.names)
        ones, zeros = np.ones_like(bias), np.zeros_like(bias)
        pair = dict(zip(self.convolution.parameters, (weight, bias), strict=False))
        beta = zeros if len(self.convolution.parameters) > 1 else bias
        norm = (ones, beta, zeros, ones - np.float32(self.norm.attributes["eps"]))
        return pair | dict(zip(self.norm.parameters, norm, strict=True))


def folds(graph: Graph) -> list[Fold]:
    """Every BatchNorm that can be folded into the convolution before it."""
    found = []
    for node in graph.nodes:
        source = graph.nodes[node.inputs[0][0]] if node.inputs and node.inputs[0][0] >= 0 else None
        if source is None or (node.operator, source.operator) != ("BatchNorm", "Convolution"):
            continue
        if len(graph.consumers(source.position)) == 1:
            found.append(Fold(source, node))
    return found


def with_folds(graph: Graph) -> Graph:
    """A graph with every BatchNorm folded that can be; a convolution then gives what the BatchNorm gave."""
    found = {fold.convolution.position: fold for fold in folds(graph)}

    def widened(node: Node) -> Node:
        if node.position not in found:
            return node
        fold = found[node.position]
        attributes = {**node.attributes, "no_bias": False}
        return replace(node, attributes=attributes, parameters=fold.names, output=fold.norm.output)

    plain = _without(graph, {fold.norm.position: fold.convolution.position for fold in found.values()}, widened)
    slots = {fold.names[1]: replace(graph.parameters[fold.names[1]], slot="bias") for fold in found.values()}
    return replace(plain, parameters={**plain.parameters, **slots})


def near_epsilon(graph: Graph, values: Values) -> dict[str, Array]:
    """Values in which some running variances are of the size of epsilon, so that another epsilon gives other outputs.

    Their gammas are made small to match, so that the signal keeps its scale.
    """
    result = dict(values)
    for node in graph.nodes:
        if node.operator == "BatchNorm":
            gamma, _, _, variance = node.parameters
            epsilon = node.attributes["eps"]
            small, few = result[variance].copy(), result[gamma].copy()
            chosen = small[::EVERY_EIGHTH]
            chosen[:] = uniform(chosen.shape, NEAR[0] * epsilon, NEAR[1] * epsilon, node.position)
            few[::EVERY_EIGHTH] *= np.sqrt(chosen + np.float32(epsilon))
            result |= {variance: small, gamma: few}
    return result
