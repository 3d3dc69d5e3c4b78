"""Every variant of execution computes what the imperative network computes, bit for bit on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.contract.check import Check
from conformance.contract.measurement import note_exact
from conformance.contract.outcomes import SHOWN, Problem, Vacuous, refuse
from conformance.contract.tolerances import FUSED_LOGITS
from conformance.graphs.cancelled import cancelled_biases
from conformance.graphs.matching import differences
from conformance.tensors.comparison import compare
from conformance.tensors.rounding import float64_differences

if TYPE_CHECKING:
    from conformance.experiments.divergence import Divergence
    from conformance.experiments.runs import Mode, Runs
    from conformance.tensors.label import Label
    from conformance.tensors.recording import Recording

SOURCE = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/tutorials/packages/gluon/blocks/hybridize.html"
GRAPHS = ("hybridized", "static_alloc", "static_shape", "imported")


def _refuse_vacuous(recording: Recording) -> None:
    """A recording of nothing, of zeros or of NaN would equal another one and prove nothing."""
    if not recording.summaries:
        raise Vacuous("nothing was recorded")
    for label, summary in recording.summaries.items():
        if not summary.finite:
            raise AssertionError(f"{label} is not finite")
        if label.of_logits and summary.largest == 0:
            raise Vacuous(f"{label} are all zero")


def check_same_operators(runs: Runs, divergence: Divergence) -> None:
    """The operators that run imperatively are the operators of the traced graph.

    ``hybrid_forward`` runs with ``F = mx.nd`` imperatively and once with ``F = mx.sym`` when hybridized. Code
    that depends on ``F``, on shapes or on Python state makes two networks of one. The operator named is the
    first that the traced graph has and the imperative run has not.
    """
    problems: list[Problem] = []
    for mode, recorded in runs.recorded.items():
        if isinstance(recorded, Exception):
            raise Vacuous(f"autograd's record cannot be read: {recorded}")
        if not recorded.nodes:
            raise Vacuous("autograd recorded no operator")
        problems += [
            Problem(f"{mode}: {difference} (expected: what ran imperatively)", difference.place)
            for difference in differences(recorded, runs.anonymous_graph)
        ]
    if problems:
        place = divergence.operators
        refuse([place, *problems] if place else problems)


def check_predict_mode(runs: Runs, divergence: Divergence, variant: str) -> None:
    """In predict mode a variant gives the imperative logits, also when its graph is reused at another size.

    Bit for bit; the fused oneDNN graph folds BN into convolutions and is held to a measured bound, and a block
    that is not ours may differ by rounding, which float64 must show to be no more. When only one variant fails,
    the fault is in what that variant adds: tracing, memory planning, export or fusion.
    """
    if variant == "fused":
        _check_fused(runs.predictions)
        return
    different = _departures(runs.predictions, variant, f"tensors in predict mode ({variant})")[:SHOWN]
    if different and not _only_rounding(runs, runs.in_float64.predictions, variant):
        _report(runs.predictions, divergence, variant, different)


def check_train_mode(runs: Runs, divergence: Divergence, variant: str) -> None:
    """Three training steps of a variant give the imperative logits, loss, gradients, statistics and parameters.

    Bit for bit, with one seed before each step, the second step at another size, and a predict-mode run in
    between. A block that is not ours may sum in another order: what differs in float32 must agree in
    float64. A gradient that differs alone names the layer nearest the loss whose backward is wrong.
    """
    different = _departures(runs.trainings, variant, f"tensors of three training steps ({variant})")
    if different and not _only_rounding(runs, runs.in_float64.trainings, variant):
        _report(runs.trainings, divergence, variant, different)


def _departures(mode: Mode, variant: str, what: str) -> list[Label]:
    """What a variant computes otherwise than the imperative network, bit for bit."""
    expected = mode.usual
    actual = mode.record(variant, expected=expected)
    _refuse_vacuous(actual)
    different = actual.different()
    note_exact(what, len(expected.summaries), len(different))
    return different


def _check_fused(predictions: Mode) -> None:
    """Compare the fused graph's logits within their bound."""
    expected = predictions.usual
    actual = predictions.record("fused", frozenset(expected.summaries))
    _refuse_vacuous(actual)
    refuse(
        line
        for label in expected.tensors
        for line in compare(
            str(label), expected.tensors[label], actual.tensors[label], FUSED_LOGITS.bound, FUSED_LOGITS.provenance
        )
    )


def _only_rounding(runs: Runs, precise: Mode, variant: str) -> bool:
    """Whether a variant of a block that is not ours computes in float64 what the imperative one does."""
    if runs.network.subject.kind == "reference":
        return False
    expected = precise.whole
    actual = precise.record(variant, frozenset(expected.tensors))
    return next(float64_differences(cancelled_biases(runs.graph), expected, actual), None) is None


def _report(mode: Mode, divergence: Divergence, variant: str, different: list[Label]) -> None:
    """Run both once more, keep what differed, and say by how much and where it starts."""
    labels = different[:SHOWN]
    expected, actual = (mode.record(each, frozenset(labels)) for each in ("imperative", variant))
    problems: list[str] = []
    for label in labels:
        if label in expected.tensors and label in actual.tensors:
            lines = list(compare(str(label), expected.tensors[label], actual.tensors[label]))
            problems += lines or [f"{label}: differed, but not when both were run again: the result is not repeatable"]
        else:
            problems.append(f"{label}: only {'expected' if label in expected.tensors else 'actual'}")
    if len(different) > len(labels):
        problems.append(f"and {len(different) - len(labels)} more tensors")
    exported = divergence.export() if variant == "imported" else None
    refuse([*problems, exported or divergence.first])


CHECKS = (
    Check(check_same_operators, SOURCE),
    Check(check_predict_mode, SOURCE, variants=(*GRAPHS, "fused")),
    Check(check_train_mode, SOURCE, variants=GRAPHS),
)
