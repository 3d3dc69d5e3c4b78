"""Is a difference only rounding? Two float32 runs that are not bit-identical are decided in float64.

Right networks may sum in another order: a concat nested otherwise, memory laid out otherwise. In float32,
training amplifies that rounding step by step; in float64 it stays far below what any fault changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from conformance.comparison import compare
from conformance.graph import Graph, Node
from conformance.tolerances import FLOAT64_TRAINING

if TYPE_CHECKING:
    from conformance.recording import Recording

GRADIENT = "step 1: gradient of "
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


def float64_differences(graph: Graph, expected: Recording, actual: Recording) -> Iterator[str]:
    """Compare two recordings in float64, every tensor kept, within the measured bound.

    The gradient of a cancelled bias is rounding noise beside its layer's weight gradient, and is held to that.
    """
    weights = cancelled_biases(graph)
    for name, tensor in expected.tensors.items():
        if name not in actual.tensors:
            yield f"{name}: missing"
            continue
        weight = weights.get(name.removeprefix(GRADIENT)) if name.startswith(GRADIENT) else None
        scale = expected.tensors.get(GRADIENT + weight) if weight else None
        if weight and scale is None:  # the weight is frozen: nothing says how large the noise may be
            continue
        yield from compare(
            f"{name} (float64)",
            tensor,
            actual.tensors[name],
            FLOAT64_TRAINING.bound,
            FLOAT64_TRAINING.provenance,
            scale,
        )
