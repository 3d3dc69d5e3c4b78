"""A claim computes what the reference computes: same weights in matching nodes, same images, same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.check import CLAIMS, Check, Problem, Vacuous, refuse
from conformance.comparison import compare
from conformance.matching import differences, pair_nodes
from conformance.measurement import note_exact
from conformance.rounding import float64_differences
from conformance.tolerances import REORDERED_LAYERS

if TYPE_CHECKING:
    from conformance.workbench import Workbench

SOURCE = "README, section 'Check your own implementation'"
SHOWN = 8


def _require_pairs(bench: Workbench) -> None:
    """Numbers can be compared where every node has its partner only."""
    found = differences(bench.reference.graph, bench.graph, limit=1)
    if found:
        refuse([Problem(f"weights cannot be matched, as the networks differ: {found[0]}", found[0].place)])


def check_node_outputs(bench: Workbench) -> None:
    """Every node of the claim gives the reference's output in predict mode, at full size.

    Bit for bit, or within a measured bound where the claim nests its concats differently. The first line is
    the first layer, in graph order, that computes something else.
    """
    _require_pairs(bench)
    pairs = pair_nodes(bench.reference.graph, bench.graph)
    actual = {node.position: array for node, array in bench.node_outputs(bench.shape())}
    if not actual:
        raise Vacuous("no node was compared")
    bound = (REORDERED_LAYERS.bound, REORDERED_LAYERS.provenance) if bench.reorders_sums else (0.0, "")
    problems: list[Problem] = []
    for node, expected in bench.reference.node_outputs(bench.shape()):
        twin = bench.graph.nodes[pairs[node.position]]
        problems += compare(f"{twin}", expected, actual.pop(twin.position), *bound, place=twin.place)
    refuse(problems[:SHOWN])


def check_training(bench: Workbench) -> None:
    """Three training steps of the claim give the reference's logits, gradients, statistics and parameters.

    Bit for bit in float32. Where the claim nests its concats differently, gradients are summed in another
    order: both are then run in float64 and held to a measured bound, as float32 training amplifies rounding.
    """
    _require_pairs(bench)
    if bench.reorders_sums:
        bench = bench.in_float64
        names = frozenset(bench.reference.trained.summaries)
        left, right = bench.reference.train("imperative", names), bench.train_as_reference(names)
        problems = list(float64_differences(bench.reference.graph, left, right))
    else:
        expected, actual = bench.reference.trained, bench.trained_as_reference
        names = frozenset(name for name in expected.summaries if expected.summaries[name] != actual.summaries.get(name))
        note_exact("tensors of three training steps", len(expected.summaries), len(names))
        if not names:
            return
        left, right = bench.reference.train("imperative", names), bench.train_as_reference(names)
        problems = [
            line
            for name in left.tensors
            for line in (
                compare(name, left.tensors[name], right.tensors[name])
                if name in right.tensors
                else [f"{name}: missing"]
            )
        ]
    if problems:
        named = [problem.partition(": expected")[0].removesuffix(" (float64)") for problem in problems]
        problems = [*problems[:SHOWN], f"{len(named)} tensors differ", *bench.reference.backward_divergence(named)]
    refuse(problems)


CHECKS = tuple(Check(function, SOURCE, kinds=CLAIMS) for function in (check_node_outputs, check_training))
