"""A loop of the user's own is watched as the reference's is, and what it has less does not apply."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import own_loops
from benches import bench, run_check
from broken_blocks import INPUT_SHAPE
from catalogue_runs import SUBJECT, new_project
from conformance import Check, Subject
from conformance.checks.training import CHECKS
from conformance.contract.outcomes import NotApplicable
from conformance.contract.subject import RequestError
from conformance.worker.bench import Bench
from flaws import Small
from own_loops import BROKEN_LOOPS, OwnLoop
from reference.runtime.mxnet_compat import mx

CASES = [
    pytest.param(check, variant, id=f"{check.id}{variant}") for check in CHECKS for variant in check.variants or ("",)
]
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
README_BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LACKING = {"training.test_images": "the loop evaluates nothing", "training.metrics": "the loop reports no loss"}


def bench_of(trainer: Any) -> Bench:
    """Return the bench of a right block with a loop."""
    return bench(Subject("small", build=Small, input_shape=INPUT_SHAPE, trainer=trainer))


def run(check: Check, variant: str, on: Bench) -> None:
    """Run a check."""
    run_check(check, on, variant)


@pytest.fixture(scope="module")
def right() -> Bench:
    """Return the bench of a right loop."""
    return bench_of(own_loops.fit)


@pytest.fixture(scope="module")
def bare() -> Bench:
    """Return the bench of the README's loop, which evaluates nothing and reports nothing."""
    found: dict[str, Any] = {}
    exec(next(block for block in README_BLOCKS if "def fit(" in block), found)
    return bench_of(found["fit"])


@pytest.mark.parametrize(("check", "variant"), CASES)
def test_right_loop_passes(check: Check, variant: str, right: Bench) -> None:
    """A loop written with Gluon's Trainer and DataLoader passes, dropout and hybridize() included."""
    run(check, variant, right)


@pytest.mark.parametrize(("check", "variant"), CASES)
def test_bare_loop_passes_what_applies(check: Check, variant: str, bare: Bench) -> None:
    """What a loop leaves out does not apply; the rest holds."""
    if check.id in LACKING:
        with pytest.raises(NotApplicable, match=LACKING[check.id]):
            run(check, variant, bare)
    else:
        run(check, variant, bare)


@pytest.mark.parametrize("fault", BROKEN_LOOPS)
def test_fault_of_an_own_loop_is_caught(fault: str) -> None:
    """Every check refuses a loop of the user's own with a fault it is for, and says what is wrong."""
    loop, name, variant, says = BROKEN_LOOPS[fault]
    check = next(check for check in CHECKS if check.id == f"training.{name}")
    with pytest.raises(AssertionError) as failure:
        run(check, variant, bench_of(loop))
    assert says in str(failure.value)


def test_every_check_has_a_broken_loop() -> None:
    """There is a broken loop for every check and variant."""
    assert {f"training.{name}{variant}" for _, name, variant, _ in BROKEN_LOOPS.values()} == {case.id for case in CASES}


def test_loop_that_lost_the_dropout_is_caught() -> None:
    """Steps in predict mode are refused, though the masks of an own loop are set from outside."""

    class Predicting(OwnLoop):
        def step(self, net: Any, trainer: Any, images: Any, labels: Any) -> tuple[Any, Any, int]:
            with mx.autograd.record(train_mode=False):
                logits = net(images.as_in_context(mx.cpu()))
                losses = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels)
            losses.backward()
            trainer.step(len(images))
            return own_loops.counted(losses, logits, labels)

    with pytest.raises(AssertionError, match="expected train mode, actual predict mode"):
        run_check(CHECKS[0], bench_of(Predicting()))


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        (own_loops.all_at_once, "trainer all_at_once: expected a generator of epochs, actual list"),
        (
            own_loops.without_seed,
            "trainer without_seed: cannot be called as .net, train_data, test_data, recipe",
        ),
        ("own_loops:OwnLoop.absent", "trainer own_loops:OwnLoop.absent: AttributeError"),
        ("own_loops:BROKEN_LOOPS", "trainer own_loops:BROKEN_LOOPS: BROKEN_LOOPS is not callable"),
    ],
)
def test_unusable_loop_is_refused(trainer: Any, says: str) -> None:
    """What is no loop is refused in a line that names it."""
    with pytest.raises(RequestError, match=says):
        _ = bench_of(trainer).part("rehearsals").rehearsal


def test_loop_of_other_epochs_is_refused() -> None:
    """A loop yields once an epoch, for as many epochs as the recipe says."""
    with pytest.raises(AssertionError, match="expected 2 epochs, actual 1: a loop yields once after each"):
        run_check(CHECKS[0], bench_of(own_loops.one_epoch))


def test_command_line_watches_the_loop(tmp_path: Path) -> None:
    """A fault of the loop that is named ends in 1, and the command that repeats it names the loop."""
    project = new_project(tmp_path)
    run = project.catalogue(*SUBJECT, "--trainer", "own_loops:dropping", "--family", "training")
    assert 1 == run.code, run.text
    assert "mine · training.train_images: failed" in run.text
    assert "--subject mine=my_block:Mine --trainer own_loops:dropping --input-shape 3,32,32" in run.text
