"""Every variant of execution computes what the imperative network computes, bit for bit on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.check import Check, Problem, Vacuous, refuse
from conformance.comparison import compare
from conformance.matching import differences
from conformance.measurement import note_exact
from conformance.rounding import float64_differences
from conformance.tolerances import FUSED_LOGITS

if TYPE_CHECKING:
    from conformance.recording import Recording
    from conformance.workbench import Workbench

SOURCE = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/tutorials/packages/gluon/blocks/hybridize.html"
GRAPHS = ("hybridized", "static_alloc", "static_shape", "imported")
SHOWN = 8


def _refuse_vacuous(recording: Recording) -> None:
    """A recording of nothing, of zeros or of NaN would equal another one and prove nothing."""
    if not recording.summaries:
        raise Vacuous("nothing was recorded")
    for name, summary in recording.summaries.items():
        if not summary.finite:
            raise AssertionError(f"{name} is not finite")
        if "logits" in name and summary.largest == 0:
            raise Vacuous(f"{name} are all zero")


def check_same_operators(bench: Workbench) -> None:
    """The operators that run imperatively are the operators of the traced graph.

    ``hybrid_forward`` runs with ``F = mx.nd`` imperatively and once with ``F = mx.sym`` when hybridized. Code
    that depends on ``F``, on shapes or on Python state makes two networks of one. The operator named is the
    first that the traced graph has and the imperative run has not.
    """
    problems: list[Problem] = []
    for mode, recorded in bench.recorded.items():
        if isinstance(recorded, Exception):
            raise Vacuous(f"autograd's record cannot be read: {recorded}")
        if not recorded.nodes:
            raise Vacuous("autograd recorded no operator")
        problems += [
            Problem(f"{mode}: {difference} (expected: what ran imperatively)", difference.place)
            for difference in differences(recorded, bench.anonymous_graph)
        ]
    if problems:
        place = bench.operator_divergence
        refuse([place, *problems] if place else problems)


def check_predict_mode(bench: Workbench, variant: str) -> None:
    """In predict mode a variant gives the imperative logits, also when its graph is reused at another size.

    Bit for bit; the fused oneDNN graph folds BN into convolutions and is held to a measured bound, and a block
    that is not ours may differ by rounding, which float64 must show to be no more. When only one variant fails,
    the fault is in what that variant adds: tracing, memory planning, export or fusion.
    """
    if variant == "fused":
        _check_fused(bench)
        return
    expected = bench.predicted
    actual = bench.predict(variant, expected=expected)
    _refuse_vacuous(actual)
    different = actual.different()
    note_exact(f"tensors in predict mode ({variant})", len(expected.summaries), len(different))
    names = different[:SHOWN]
    if names and not (bench.subject.kind != "reference" and _only_rounding(bench, variant, train=False)):
        _report(
            bench,
            variant,
            names,
            bench.predict("imperative", frozenset(names)),
            bench.predict(variant, frozenset(names)),
        )


def _check_fused(bench: Workbench) -> None:
    """Compare the fused graph's logits within their bound."""
    expected = bench.predicted
    actual = bench.predict("fused", frozenset(expected.summaries))
    _refuse_vacuous(actual)
    refuse(
        line
        for name in expected.tensors
        for line in compare(
            name, expected.tensors[name], actual.tensors[name], FUSED_LOGITS.bound, FUSED_LOGITS.provenance
        )
    )


def check_train_mode(bench: Workbench, variant: str) -> None:
    """Three training steps of a variant give the imperative logits, loss, gradients, statistics and parameters.

    Bit for bit, with one seed before each step, the second step at another size, and a predict-mode run in
    between. A block that is not ours may sum in another order: what differs in float32 must agree in
    float64. A gradient that differs alone names the layer nearest the loss whose backward is wrong.
    """
    expected = bench.trained
    actual = bench.train(variant, expected=expected)
    _refuse_vacuous(actual)
    different = actual.different()
    note_exact(f"tensors of three training steps ({variant})", len(expected.summaries), len(different))
    if different and not (bench.subject.kind != "reference" and _only_rounding(bench, variant, train=True)):
        names = different[:SHOWN]
        _report(
            bench,
            variant,
            names,
            bench.train("imperative", frozenset(names)),
            bench.train(variant, frozenset(names)),
            len(different),
        )


def _only_rounding(bench: Workbench, variant: str, *, train: bool) -> bool:
    """Whether a variant of a block that is not ours computes in float64 what the imperative one does."""
    precise = bench.in_float64
    expected = precise.trained_whole if train else precise.predicted_whole
    actual = (precise.train if train else precise.predict)(variant, frozenset(expected.tensors))
    return next(float64_differences(bench.graph, expected, actual), None) is None


def _report(
    bench: Workbench, variant: str, names: list[str], expected: Recording, actual: Recording, total: int = 0
) -> None:
    """Run both once more, keep what differed, and say by how much and where it starts."""
    problems: list[str] = []
    for name in names:
        if name in expected.tensors and name in actual.tensors:
            left, right = expected.tensors[name], actual.tensors[name]
            lines = list(compare(name, left, right))
            problems += lines or [f"{name}: differed, but not when both were run again: the result is not repeatable"]
        else:
            problems.append(f"{name}: only {'expected' if name in expected.tensors else 'actual'}")
    if total > len(names):
        problems.append(f"and {total - len(names)} more tensors")
    exported = bench.export_divergence if variant == "imported" else None
    problems.append(exported or bench.first_divergence)
    refuse(problems)


CHECKS = (
    Check(check_same_operators, SOURCE),
    Check(check_predict_mode, SOURCE, variants=(*GRAPHS, "fused")),
    Check(check_train_mode, SOURCE, variants=GRAPHS),
)
