"""Two reports compared: what broke, was mended, got slower, less exact; and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from a_report import measurement, report, result
from conformance.__main__ import main
from conformance.report.diff import changes

A, B = "numerics.float64", "numerics.derivative"


def sorts(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the sorts of changes between two results of one check."""
    return [change.sort for change in changes({"id": old}, {"id": new})]


@pytest.mark.parametrize(
    ("before", "after", "sort"),
    [
        ("passed", "failed", "broke"),
        ("passed", "crashed", "broke"),
        ("not applicable", "hung", "broke"),
        ("failed", "passed", "mended"),
        ("crashed", "expected failure", "mended"),
        ("passed", "not executed", "other end"),
        ("failed", "not applicable", "other end"),
    ],
)
def test_outcomes_are_compared(before: str, after: str, sort: str) -> None:
    """What fails now and did not is broken; what holds now and failed is mended; all else is told."""
    assert [sort] == sorts(result(outcome=before), result(outcome=after))


def test_nothing_changed_is_nothing() -> None:
    """Two reports of equal runs have no difference."""
    one = result(outcome="failed", measurements=[measurement("x", 1.0, 0.5)])
    assert [] == sorts(one, one)


@pytest.mark.parametrize(("before", "after", "slower"), [(2.0, 3.1, True), (2.0, 2.9, False), (0.1, 0.9, False)])
def test_slower_is_a_ratio_and_a_second(before: float, after: float, slower: bool) -> None:
    """Half as long again, and at least a second longer: less is noise."""
    assert (["slower"] if slower else []) == sorts(result(seconds=before), result(seconds=after))


@pytest.mark.parametrize(
    ("before", "after", "grew"), [(1e-7, 3e-7, True), (1e-7, 1.9e-7, False), (0.0, 1e-7, True), (1e-11, 1e-10, False)]
)
def test_error_that_grew_is_told(before: float, after: float, grew: bool) -> None:
    """Twice the part of its tolerance, where that part is visible at all."""
    old, new = (result(measurements=[measurement("x", value, 1e-6)]) for value in (before, after))
    assert (["error grew"] if grew else []) == sorts(old, new)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with three reports: old, new and other."""
    grown = [measurement(name, 4e-7, 1e-6) for name in ("x", "y")]
    small = [measurement(name, 1e-7, 1e-6) for name in ("x", "y")]
    old = report(result(check=A, measurements=small), result(check=B, outcome="failed"))
    new = report(
        result(check=A, outcome="failed", first_diverging_layer="stem", measurements=grown, seconds=9.0),
        result(check=B),
        result("other", check=B),
    )
    for name, content in (("old", old), ("new", new), ("other", report(result("another")))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def ended(*arguments: object) -> object:
    """Return the exit code of ``diff``."""
    with pytest.raises(SystemExit) as end:
        main(["diff", *map(str, arguments)])
    return end.value.code


def test_what_broke_ends_in_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table names each change with its place or size, the worst first; the last line counts them."""
    assert 1 == ended(folder / "old.json", folder / "new.json")
    text = capsys.readouterr().out
    for words in (("broke", "first diverging layer: stem"), ("mended", "mine-numerics.derivative")):
        assert any(all(word in line for word in words) for line in text.splitlines())
    assert "x, 4.0 times and 1 more" in text
    assert "9.0 times" in text
    assert "2 checks in both: 1 broke, 1 mended, 1 error grew, 1 slower, 1 only in new" == text.splitlines()[-1]


def test_what_was_mended_ends_in_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that broke is no failure, and equal reports need no table."""
    assert 0 == ended(folder / "new.json", folder / "new.json")
    assert "3 checks in both: 0 broke, 0 mended, 0 error grew, 0 slower\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("old.json", "absent.json"), "absent.json: No such file or directory"),
        (("old.json", "other.json"), "no check is in both: "),
        (("old.json", "new.json", "--slower", "1"), "--slower 1: allowed are ratios above 1"),
    ],
)
def test_what_cannot_be_compared_ends_in_one_line(
    arguments: tuple[str, ...], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and a line that names what is wrong."""
    first, second, *options = arguments
    assert 2 == ended(folder / first, folder / second, *options)
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
