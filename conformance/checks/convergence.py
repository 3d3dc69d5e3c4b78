"""Short training runs on real images: the network learns what can be learned, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conformance.contract.check import NETWORKS, Check
from conformance.contract.measurement import Measurement, note, note_curve
from conformance.contract.outcomes import refuse
from conformance.contract.tolerances import CONTROL_ACCURACY, LEARNED_ACCURACY, Tolerance

if TYPE_CHECKING:
    from conformance.contract.subject import Subject
    from conformance.experiments.training.courses import Lessons


def unless_measured(subject: Subject) -> str:
    """Apply to the networks for which a bound was measured."""
    if subject.architecture in LEARNED_ACCURACY:
        return ""
    return f"bounds are measured for the smallest network of each family: {', '.join(LEARNED_ACCURACY)}"


SOURCE = "benchmarks/convergence.py: each bound beside what 20 seeds gave"


def check_learns(lessons: Lessons) -> None:
    """It learns 64 real images to the stated train accuracy in the stated number of steps.

    A network whose single steps are right and that does not learn has a wrong initializer, scale or mode.
    """
    bound, lesson = LEARNED_ACCURACY[lessons.network.subject.architecture or ""], lessons.learn(shuffled=False)
    actual = lesson.train_accuracy
    _note("train accuracy", actual, bound, lesson.curve, least=True)
    if actual < bound.bound:
        refuse([f"train accuracy: expected at least {bound.bound} ({bound.provenance}), actual {actual:.3f}"])


def check_negative_control(lessons: Lessons) -> None:
    """With shuffled labels, held-out accuracy stays at chance.

    Accuracy above chance from labels that say nothing means that the true labels leak into the run.
    """
    bound, lesson = CONTROL_ACCURACY[lessons.network.subject.architecture or ""], lessons.learn(shuffled=True)
    actual = lesson.held_out_accuracy
    _note("held-out accuracy", actual, bound, lesson.curve, least=False)
    if actual > bound.bound:
        refuse([f"held-out accuracy: expected at most {bound.bound} ({bound.provenance}), actual {actual:.3f}"])


def _note(what: str, accuracy: float, bound: Tolerance, curve: Sequence[float], *, least: bool) -> None:
    """Note an accuracy beside its bound, and the running train accuracy that led to it."""
    note(Measurement(what, accuracy, bound.bound, bound.provenance, least=least))
    note_curve("train accuracy while training", curve)


CHECKS = tuple(
    Check(function, SOURCE, kinds=NETWORKS, unless=unless_measured)
    for function in (check_learns, check_negative_control)
)
