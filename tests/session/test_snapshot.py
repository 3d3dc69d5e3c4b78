"""Snapshots: whose folder they are in, what is compared, recorded, refused or not applicable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance import Subject
from conformance.contract.outcomes import Result
from conformance.contract.subject import RequestError
from conformance.session import snapshots as snapshot
from conformance.session.snapshots import RECORDED, SHOWN, compare_snapshot, folder_of, manifest_differences

OWN = Subject("mine", build="my:Net", input_shape=(3, 8, 8))


class Fixture:
    """Stands for syrupy's fixture."""

    def __init__(self, update: bool = False) -> None:
        """Say whether snapshots are recorded."""
        self.update_snapshots = update

    def __call__(self, name: str, extension_class: Any) -> str:
        """Return what is recorded under a name."""
        return (Path(extension_class.folder) / f"{name}.txt").read_text()


def compare(subject: Subject, payload: str, own: Path, fixture: Any) -> Result:
    """Compare a manifest with a subject's snapshot."""
    return compare_snapshot(subject, Result("passed", payload=payload), fixture, own)


def test_folder_is_the_suites_for_references_only(tmp_path: Path) -> None:
    """Our snapshots are beside the suite, a user's in the user's folder."""
    assert RECORDED == folder_of(Subject("vgg11"), tmp_path)
    assert tmp_path == folder_of(OWN, tmp_path)
    assert tmp_path == folder_of(Subject("vgg11", build="my:net"), tmp_path)


def test_recorded_manifest_is_compared(tmp_path: Path) -> None:
    """A manifest equals its snapshot, or the first layer that differs is named."""
    (tmp_path / "mine.txt").write_text("head\n0 | conv | Convolution\n1 | act | relu\n")
    assert "passed" == compare(OWN, "head\n0 | conv | Convolution\n1 | act | relu\n", tmp_path, Fixture()).outcome
    result = compare(OWN, "head\n0 | conv | Convolution\n1 | act | tanh\n", tmp_path, Fixture())
    assert "failed" == result.outcome
    assert ["first diverging layer: 1 | act | tanh", "-1 | act | relu", "+1 | act | tanh"] == result.text.splitlines()


def test_missing_snapshot_fails_references_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference network without a snapshot fails; a block of one's own is told how to record it."""
    monkeypatch.setattr(snapshot, "RECORDED", tmp_path)
    assert "failed" == compare(Subject("vgg11"), "text", tmp_path, Fixture()).outcome
    result = compare(OWN, "text", tmp_path, Fixture())
    assert "not applicable" == result.outcome
    assert "--snapshot-update" in result.text


def test_no_fixture_is_not_applicable(tmp_path: Path) -> None:
    """A test function without syrupy's fixture is told to take it."""
    result = compare(OWN, "text", tmp_path, None)
    assert ("not applicable", "give the test function syrupy's fixture: case.run(snapshot)") == (
        result.outcome,
        result.text,
    )


def test_installed_suite_is_not_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Recording into the installed package is refused."""
    monkeypatch.setattr(snapshot, "HERE", tmp_path)
    monkeypatch.setattr(snapshot, "RECORDED", tmp_path / "snapshots")
    with pytest.raises(RequestError, match="record it in a checkout"):
        compare(Subject("vgg11"), "text", tmp_path, Fixture(update=True))


def test_manifest_differences_are_shortened() -> None:
    """A few lines are shown, the rest is counted."""
    expected = "\n".join(f"{i} | conv | 3" for i in range(20))
    lines = manifest_differences(expected, expected.replace("3", "5"))
    assert SHOWN + 2 == len(lines)
    assert lines[-1].startswith("and ")


def test_manifest_differences_of_the_head_alone_name_it() -> None:
    """Where only the head line differs, that line is named."""
    assert "first diverging layer: old" == manifest_differences("old\n", "new\n")[0]
