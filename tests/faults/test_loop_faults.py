"""The training loop is right, and its faults are put in place and taken back as the tests mean it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benches import CHECK, bench, bench_of_block, run_check
from broken_blocks import INPUT_SHAPE, own
from conformance import Check, Subject
from conformance.checks.training import CHECKS
from conformance.contract.outcomes import NotApplicable, Vacuous
from conformance.experiments.training.rehearsal import Rehearsals
from conformance.worker.bench import Bench
from conformance.worker.pool import Pool
from flaws import Pooled, Small, after
from loop_faults import LOOP_FAULTS, LoopFault
from loop_patches import ORIGINALS, restore
from reference.runtime.mxnet_compat import mx
from reference.training import loop as training

CASES = [
    pytest.param(check, variant, id=f"{check.id}{variant}") for check in CHECKS for variant in check.variants or ("",)
]


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Leave the loop as it was."""
    yield
    restore()


@pytest.fixture(scope="module")
def right() -> Bench:
    """Return the bench of a right block and the real loop."""
    return bench(Subject("small", build=Small, input_shape=INPUT_SHAPE))


@pytest.mark.parametrize(("check", "variant"), CASES)
def test_real_loop_passes(right: Bench, check: Check, variant: str) -> None:
    """The loop as it is passes every check of it."""
    run_check(check, right, variant)


@pytest.mark.parametrize("fault", LOOP_FAULTS, ids=lambda fault: fault.wrong)
def test_fault_is_caught(fault: LoopFault) -> None:
    """A check fails on the loop with one fault, and names it."""
    check = next(check for check in CHECKS if check.id == fault.check)
    with pytest.raises(AssertionError) as failure:
        run_check(check, bench(fault.subject), fault.variant)
    assert fault.says in str(failure.value)
    assert not isinstance(failure.value, Vacuous)


def test_fault_reaches_the_worker_and_stays_there() -> None:
    """A build function breaks the loop of its own worker process, and the check's failure comes back."""
    fault = LOOP_FAULTS[0]
    pool = Pool()
    try:
        result = pool.worker(fault.subject).run(CHECK[fault.check].task(fault.variant))
    finally:
        pool.close()
    assert "failed" == result.outcome
    assert fault.says in result.text
    assert all(getattr(training, name) is original for name, original in ORIGINALS.items())


def test_faults_differ() -> None:
    """Every fault has a name of its own, and is caught by a check that exists."""
    assert len(LOOP_FAULTS) == len({fault.wrong for fault in LOOP_FAULTS})
    assert {case.id for case in CASES} == {fault.check + fault.variant for fault in LOOP_FAULTS}


@pytest.mark.parametrize(("check", "variant"), CASES)
def test_loop_without_steps_is_vacuous(monkeypatch: pytest.MonkeyPatch, check: Check, variant: str) -> None:
    """A loop that records nothing proves nothing."""
    monkeypatch.setattr(training, "fit", lambda *arguments, **options: iter([]))
    with pytest.raises(Vacuous, match="the loop made no step that autograd recorded"):
        run_check(check, bench_of_block(Small), variant)


def test_block_without_parameters_is_vacuous() -> None:
    """A block without parameters cannot be trained."""
    with pytest.raises(Vacuous, match="the network has no parameter"):
        run_check(CHECKS[0], bench_of_block(Pooled))


def test_outputs_that_are_no_logits_do_not_apply() -> None:
    """The loop is for classifiers."""
    with pytest.raises(NotApplicable, match=r"its outputs \(2, 16, 32, 32\) are not logits"):
        run_check(CHECKS[0], bench_of_block(lambda: mx.gluon.nn.Conv2D(16, 3, padding=1)))


def test_updates_within_rounding_are_vacuous() -> None:
    """Updates that rounding hides prove nothing."""
    updates = next(check for check in CHECKS if check.id == "training.updates")
    with pytest.raises(Vacuous, match=r"epoch 1, step 1 \(8 images\): no parameter moved enough"):
        run_check(updates, bench(own(after("", lambda F, y: y * 1e-9))), "sgd")


def test_accuracies_that_say_nothing_are_vacuous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every image is classified right, a wrong count may give the accuracy too."""

    def always_the_first_class(F: Any, y: Any) -> Any:
        return y * 1e-3 + F.one_hot(F.zeros_like(F.argmax(y, axis=1)), 5)

    monkeypatch.setattr(Rehearsals, "_labels", lambda self, start, images: np.zeros(len(images), np.int64))
    metrics = next(check for check in CHECKS if check.id == "training.metrics")
    with pytest.raises(Vacuous, match="every accuracy is 0 or 1"):
        run_check(metrics, bench(own(after("", always_the_first_class))))


def test_loop_without_evaluation_has_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that evaluates nothing is refused by the checks of test images and metrics."""
    fit = training.fit
    monkeypatch.setattr(
        training, "fit", lambda net, train, test, *rest, **options: fit(net, train, None, *rest, **options)
    )
    unevaluated = bench_of_block(Small)
    for check, says in (("test_images", "test image 0: expected 1 times"), ("metrics", "no test metrics to compare")):
        with pytest.raises(AssertionError, match=says):
            run_check(f"training.{check}", unevaluated)
