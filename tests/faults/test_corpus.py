"""The corpus of faults: large, each fault named, caught and placed; its table is the one that was committed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benches import server
from conformance import CHECKS
from corpus import EQUIVALENT, Fault
from kill_matrix import CORPUS, failures, isolated
from kill_table import Kill, Row, summary, table
from loop_patches import restore
from small_networks import BUILD, own

MATRIX = (Path(__file__).parents[2] / "docs" / "kill-matrix.md").read_text(encoding="utf-8")
#: Checks that the design names whether or not a fault of the corpus needs them.
NAMED_BY_DESIGN = {"parameters.counts", "convergence.learns", "convergence.negative_control"}
ONE_OF_EACH = {fault.kind: fault for fault in CORPUS if fault.network in ("small", "padded", "resnet")}
FAULT = next(fault for fault in CORPUS if fault.id == "padded: count_include_pad").bare


def test_corpus_is_large_and_every_fault_has_a_name() -> None:
    """There are at least 150 single faults of all kinds, no two of one name."""
    assert len(CORPUS) >= 150
    assert len(CORPUS) == len({fault.id for fault in CORPUS})
    kinds = {"layer", "wiring", "size", "parameters", "head", "execution", "files", "training", "loop"}
    assert kinds == {fault.kind for fault in CORPUS}


def test_matrix_is_of_this_corpus() -> None:
    """The committed matrix has a row for every fault and none that survives, and says what is no fault."""
    rows = re.findall(r"^\| ([\w-]+: [^|]+) \|", MATRIX, re.MULTILINE)
    assert [fault.id for fault in CORPUS] == rows
    assert f"{len(CORPUS)} faults, 0 survivors as claims" in MATRIX
    assert all(what in MATRIX for what, _ in EQUIVALENT)


@pytest.mark.parametrize("check", [check for check in CHECKS if not check.ctx], ids=lambda check: check.id)
def test_every_check_decides_something(check: object) -> None:
    """A check that refuses no fault in any setting has no place, unless the design names it."""
    name = check.id  # type: ignore[attr-defined]
    counts = re.search(rf"^\| \d+ \| `{re.escape(name)}` \| (\d+) \| (\d+) \| (\d+) \|", MATRIX, re.MULTILINE)
    assert counts is not None
    assert name in NAMED_BY_DESIGN or any(map(int, counts.groups()))


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Leave the training loop as it was."""
    yield
    restore()


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_fault_is_caught_and_its_place_named(kind: str) -> None:
    """The first failure on a claim names the faulty layer."""
    fault = ONE_OF_EACH[kind]
    _, place, _ = next(failures(fault.claim, server(fault.claim), fault.families))
    assert fault.place in ("", place)


def test_right_network_meets_no_failure() -> None:
    """The block that the faults are made of passes everything."""
    subject = own("padded", BUILD["padded"])
    assert [] == list(failures(subject, server(subject), ()))


def test_process_of_a_fault_may_crash() -> None:
    """A fault that ends its process counts as caught, as the suite reports it by name."""
    crashing = Fault("execution", "crash", "absent", "", None)  # its process ends before it answers
    assert Kill(("crashed",)) == isolated(crashing, "claim")


def test_summary_counts_survivors_and_places() -> None:
    """A fault without a failing check survives; a place counts where there is one to be named."""
    caught = Kill(("structure.graph", "claim.training"), FAULT.place, "text")
    elsewhere = Kill(("structure.snapshot",), "conv", "first diverging layer: conv")
    rows = [Row(FAULT, caught, elsewhere, 1.0), Row(FAULT, Kill(), None, 1.0)]
    found = summary(rows)
    assert (1, 1.0) == (found.survivors, found.named)
    assert "2 faults, 1 survivors as claims: padded: count_include_pad" == found.lines[0]
    assert "SURVIVES" in str(rows[1])
    assert "names 'conv', not 'pool'" in str(rows[0])


def test_table_shows_each_setting() -> None:
    """A row has the numbers of the checks in each setting, a dash where none failed, and whether the place is named."""
    rows = [Row(FAULT, Kill(("structure.graph",), "pool"), Kill(("structure.snapshot",), "pool"), 1.0)]
    text = table(rows)
    assert "| padded: count_include_pad | layer | pool | 2 | 1 | – | yes |" in text
    assert "| 2 | `structure.graph` | 1 | 0 | 0 | 1 |" in text
