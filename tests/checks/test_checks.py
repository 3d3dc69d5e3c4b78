"""Every check fails on the blocks broken for it, saying what is wrong, and passes on their repaired twins."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benches import CHECK, bench, run_check, runs_of
from broken_blocks import Broken
from broken_claims import BROKEN, right
from broken_devices import BROKEN_DEVICES
from conformance import CHECKS, Check, Subject
from conformance.contract.outcomes import Result
from conformance.experiments.runs import Runs
from conformance.session.snapshots import compare_snapshot
from conformance.worker.bench import Bench
from loop_patches import restore

FLAWS = [
    pytest.param(broken, variant, id="-".join(filter(None, (broken.check, variant, broken.subject.name, broken.flaw))))
    for broken in BROKEN
    for variant in broken.variants
]
TWINS = sorted({(broken.check, variant, broken.subject.name) for broken in BROKEN for variant in broken.variants})


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Leave the training loop as it was."""
    yield
    restore()


class Recorded:
    """Stands for syrupy's fixture where only a recorded file is to be read."""

    update_snapshots = False

    def __call__(self, name: str, extension_class: Any) -> str:
        """Return what is recorded under a name."""
        return (Path(extension_class.folder) / f"{name}.txt").read_text()


@cache
def reference(name: str) -> Runs:
    """Return a reference network's runs, shared by all claims to be it."""
    return runs_of(Subject(name))


@cache
def repaired(name: str) -> Bench:
    """Return the bench of the block without a flaw."""
    return bench_of(right(next(broken.subject for broken in BROKEN if broken.subject.name == name)))


def bench_of(subject: Subject) -> Bench:
    """Return a new bench of a subject; a claim's reference is shared."""
    return bench(subject, reference=reference(subject.name) if subject.kind == "claim" else None)


def run(check: str, variant: str, on: Bench, subject: Subject, folder: Path) -> None:
    """Run a check in this process; a manifest is compared with the repaired block's."""
    payload = run_check(check, on, variant)
    if payload is not None:
        (folder / f"{subject.name}.txt").write_text(run_check(check, repaired(subject.name)))
        snapshot: Any = Recorded()
        result = compare_snapshot(subject, Result("passed", payload=payload), snapshot, folder)
        assert "passed" == result.outcome, result.text


@pytest.mark.parametrize(("broken", "variant"), FLAWS)
def test_check_fails_on_its_broken_block(broken: Broken, variant: str, tmp_path: Path) -> None:
    """A check fails on a block broken for it, and names the fault."""
    on = bench_of(broken.subject)
    with pytest.raises(AssertionError) as failure:
        run(broken.check, variant, on, broken.subject, tmp_path)
    assert broken.says in str(failure.value)


@pytest.mark.parametrize(("check", "variant", "name"), TWINS)
def test_check_passes_on_the_repaired_twin(check: str, variant: str, name: str, tmp_path: Path) -> None:
    """A check passes on the block it fails on, once the flaw is taken out."""
    subject = next(broken.subject for broken in BROKEN if broken.subject.name == name)
    run(check, variant, repaired(name), subject, tmp_path)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_check_has_a_broken_block_for_every_variant(check: Check) -> None:
    """Every check has a broken block that it catches, in every variant."""
    caught = {variant for broken in BROKEN if broken.check == check.id for variant in broken.variants}
    caught |= {variant for broken in BROKEN_DEVICES if broken.check == check.id for variant in broken.variants}
    assert set(check.variants or ("",)) <= caught


def test_broken_blocks_name_checks() -> None:
    """Every broken block is made for a check that exists."""
    assert {broken.check for broken in BROKEN} <= set(CHECK)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_check_states_title_remedy_and_source(check: Check) -> None:
    """Every check says what holds in one sentence, what to do otherwise, and where that is stated."""
    assert check.title.endswith(".")
    assert check.remedy
    assert check.source
