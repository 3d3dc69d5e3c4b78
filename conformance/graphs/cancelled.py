"""Biases that a later BatchNorm cancels: their true gradient is zero, and what is computed is rounding noise."""

from __future__ import annotations

from conformance.graphs.graph import Graph, Node

#: A constant added to a channel passes these unchanged, so a BatchNorm behind them takes it out again.
TRANSPARENT = frozenset({"Concat", "add"})


def _passes_constants(node: Node) -> bool:
    pad = node.attributes.get("pad") or (0,)
    padded = any(pad) and node.attributes.get("pool_type") != "max"
    return node.operator in TRANSPARENT or (node.operator == "Pooling" and not padded)


def cancelled_biases(graph: Graph) -> dict[str, str]:
    """Biases whose true gradient is zero as a BatchNorm cancels them -> the weight beside them."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for source, _ in node.inputs:
            readers.setdefault(source, []).append(node)
    cancelled: dict[int, bool] = {graph.head: False}
    for node in reversed(graph.nodes):
        users = readers.get(node.position, [])
        cancelled.setdefault(
            node.position,
            bool(users)
            and all(
                (user.operator == "BatchNorm" and not user.attributes.get("use_global_stats"))
                or (_passes_constants(user) and cancelled[user.position])
                for user in users
            ),
        )
    layers = (node for node in graph.nodes if node.operator in ("Convolution", "FullyConnected"))
    return {
        node.parameters[1]: node.parameters[0]
        for node in layers
        if len(node.parameters) == 2 and cancelled[node.position]
    }
