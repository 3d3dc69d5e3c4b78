"""Every check fails on the blocks broken for it, saying what is wrong, and passes on their repaired twins."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from broken_blocks import Broken
from broken_claims import BROKEN, right
from broken_devices import BROKEN_DEVICES
from conformance import CHECKS, Check, Subject
from conformance.snapshot import compare_snapshot
from conformance.workbench import Workbench
from conformance.worker import Result
from loop_patches import restore

CHECK = {check.id: check for check in CHECKS}
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
def reference(name: str) -> Workbench:
    """Return a reference network's bench, shared by all claims to be it."""
    return Workbench(Subject(name))


@cache
def repaired(name: str) -> Workbench:
    """Return the bench of the block without a flaw."""
    return bench_of(right(next(broken.subject for broken in BROKEN if broken.subject.name == name)))


def bench_of(subject: Subject) -> Workbench:
    """Return a new bench of a subject; a claim's reference is shared."""
    bench = Workbench(subject)
    if subject.kind == "claim":
        bench._twin = reference(subject.name)
    return bench


def run(check: str, variant: str, bench: Workbench, folder: Path) -> None:
    """Run a check in this process; a manifest is compared with the repaired block's."""
    payload = CHECK[check].function(bench, *filter(None, [variant]))
    if payload is not None:
        (folder / f"{bench.subject.name}.txt").write_text(CHECK[check].function(repaired(bench.subject.name)))
        snapshot: Any = Recorded()
        result = compare_snapshot(bench.subject, Result("passed", payload=payload), snapshot, folder)
        assert "passed" == result.outcome, result.text


@pytest.mark.parametrize(("broken", "variant"), FLAWS)
def test_check_fails_on_its_broken_block(broken: Broken, variant: str, tmp_path: Path) -> None:
    """A check fails on a block broken for it, and names the fault."""
    bench = bench_of(broken.subject)
    with pytest.raises(AssertionError) as failure:
        run(broken.check, variant, bench, tmp_path)
    assert broken.says in str(failure.value)


@pytest.mark.parametrize(("check", "variant", "name"), TWINS)
def test_check_passes_on_the_repaired_twin(check: str, variant: str, name: str, tmp_path: Path) -> None:
    """A check passes on the block it fails on, once the flaw is taken out."""
    run(check, variant, repaired(name), tmp_path)


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
