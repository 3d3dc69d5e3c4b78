"""A claim computes what the reference computes: same weights in matching nodes, same images, same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.check import CLAIMS, Check, Vacuous, refuse
from conformance.comparison import compare
from conformance.matching import differences, pair_nodes
from conformance.tolerances import REORDERED_SUMS

if TYPE_CHECKING:
    from conformance.workbench import Workbench

SOURCE = "README, section 'Check your own implementation'"
SHOWN = 8


def _require_pairs(bench: Workbench) -> None:
    """Numbers can be compared where every node has its partner only."""
    found = differences(bench.reference.graph, bench.graph, limit=1)
    if found:
        raise AssertionError(f"weights cannot be matched, as the networks differ; first diverging layer: {found[0]}")


def check_node_outputs(bench: Workbench) -> None:
    """Every node of the claim gives the reference's output in predict mode, at full size.

    The first line is the first layer, in graph order, that computes something else.
    """
    _require_pairs(bench)
    pairs = pair_nodes(bench.reference.graph, bench.graph)
    actual = {node.position: array for node, array in bench.node_outputs(bench.shape())}
    if not actual:
        raise Vacuous("no node was compared")
    problems: list[str] = []
    for node, expected in bench.reference.node_outputs(bench.shape()):
        twin = bench.graph.nodes[pairs[node.position]]
        problems += compare(f"{twin}", expected, actual.pop(twin.position))
    refuse(problems[:SHOWN])


def check_training(bench: Workbench) -> None:
    """Three training steps of the claim give the reference's logits, gradients, statistics and parameters.

    Bit for bit; where the claim concatenates in another nesting than the reference, gradients are summed in
    another order and are held to a measured bound.
    """
    _require_pairs(bench)
    expected, actual = bench.reference.trained, bench.trained_as_reference
    names = [name for name in expected.summaries if expected.summaries[name] != actual.summaries.get(name)]
    if not names:
        return
    keep = frozenset(names)
    left, right = bench.reference.train("imperative", keep), bench.train_as_reference(keep)
    bound = REORDERED_SUMS if bench.reorders_sums else None
    problems = [
        line
        for name in names
        for line in (
            compare(
                name,
                left.tensors[name],
                right.tensors[name],
                bound.bound if bound else 0.0,
                bound.provenance if bound else "",
            )
            if name in right.tensors
            else [f"{name}: missing"]
        )
    ]
    if problems:
        problems = [*problems[:SHOWN], f"{len(problems)} tensors differ", *bench.backward_divergence(names)]
    refuse(problems)


CHECKS = tuple(Check(function, SOURCE, kinds=CLAIMS) for function in (check_node_outputs, check_training))
