"""Files of expected failures: what they may say, what is refused, and which cases they cover."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import conformance
from conformance.checks.catalogue import CHECKS
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import RequestError, Subject
from conformance.machine.build import SPECIFIED
from conformance.session.cases import cases
from conformance.session.expected_failures import (
    ExpectedFailure,
    expected_of,
    for_build,
    read_file,
    require_cases,
    stated_by,
)

TODAY = date(2026, 6, 1)
ENTRY = """
[[expected_failure]]
check = "execution.predict_mode"
subject = "vgg11"
variant = "fused"
reason = "rounds otherwise"
link = "https://example.org/1"
build = "<1.9"
expires = 2026-06-01
"""
DAMAGED: dict[str, tuple[str, str, str]] = {
    "not TOML": ('check = "execution', 'check = "execution\n', "not TOML: Illegal character '\\n' (at line 3, column"),
    "other table": ("[[expected_failure]]", "[[expected_failures]]", "allowed are [[expected_failure]] tables only"),
    "one table": ("[[expected_failure]]", "[expected_failure]", "allowed are [[expected_failure]] tables only"),
    "unknown key": ("build =", "version =", "key 'version': allowed are check, subject, reason, link, variant, build"),
    "no link": ('link = "https://example.org/1"', "", "link: expected a text that is not empty, actual None"),
    "link is none": ("https://example.org/1", "see above", "link 'see above': expected a URL"),
    "no reason": ("rounds otherwise", " ", "reason: expected a text that is not empty, actual ' '"),
    "no subject": ('"vgg11"', "[]", "subject: expected a text that is not empty, actual []"),
    "wrong type": ('"fused"', "3", "variant: expected a text that is not empty, actual 3"),
    "build": ("<1.9", "old", "build 'old': expected versions of MXNet, e.g. '<1.9'"),
    "date in quotes": ("2026-06-01", '"2026-06-01"', "expires '2026-06-01': expected a date without quotes"),
    "date with time": ("2026-06-01", "2026-06-01T10:00:00", "expires '2026-06-01 10:00:00': expected a date"),
    "expired": ("2026-06-01", "2026-05-31", "expired on 2026-05-31: mend the cause, or give the entry a new date"),
}
UNMATCHED: dict[str, tuple[ExpectedFailure, str]] = {
    "check": (ExpectedFailure("files.absent", "vgg11", "x"), "names no check"),
    "variant": (
        ExpectedFailure("execution.train_mode", "vgg11", "x", variant="fused"),
        "execution.train_mode has no variant 'fused': allowed are hybridized, static_alloc, static_shape, imported",
    ),
    "variant of none": (
        ExpectedFailure("files.export_round_trip", "vgg11", "x", variant="fused"),
        "has no variant 'fused': allowed are none",
    ),
    "subject": (
        ExpectedFailure("files.export_round_trip", "vgg12", "x"),
        "'vgg12' is neither a subject of this run (mine, vgg11, vgg13) nor a reference network",
    ),
    "kind": (ExpectedFailure("claim.training", "vgg11", "x"), "claim.training is not for reference subjects"),
    "never run": (ExpectedFailure("convergence.learns", "vgg13", "x"), "never run on vgg13: bounds are measured"),
}


def test_file_gives_entries(tmp_path: Path) -> None:
    """Every key of a table becomes a field, and the last day still counts."""
    path = tmp_path / "known.toml"
    path.write_text(ENTRY)
    (entry,) = read_file(path, TODAY)
    place = f"{path}: entry 1 ('execution.predict_mode' of 'vgg11')"
    assert (
        ExpectedFailure(
            "execution.predict_mode",
            "vgg11",
            "rounds otherwise",
            "https://example.org/1",
            "fused",
            "<1.9",
            "",
            TODAY,
            place,
        )
        == entry
    )
    assert "rounds otherwise (https://example.org/1)" == entry.why


def test_table_may_list_subjects(tmp_path: Path) -> None:
    """A table with several subjects is an entry for each."""
    path = tmp_path / "known.toml"
    path.write_text(ENTRY.replace('"vgg11"', '["vgg11", "vgg13"]'))
    assert ["vgg11", "vgg13"] == [entry.subject for entry in read_file(path, TODAY)]


def test_empty_file_expects_nothing(tmp_path: Path) -> None:
    """A file without tables is right: the last entry has been removed."""
    (tmp_path / "known.toml").write_text("# nothing fails\n")
    assert () == read_file(tmp_path / "known.toml", TODAY)


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_file_is_refused(case: str, tmp_path: Path) -> None:
    """A damaged file is refused in one line that names the file and what is wrong."""
    old, new, says = DAMAGED[case]
    path = tmp_path / "known.toml"
    path.write_text(ENTRY.replace(old, new))
    with pytest.raises(RequestError) as refusal:
        read_file(path, TODAY)
    assert str(refusal.value).startswith(str(path))
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are named."""
    with pytest.raises(RequestError, match=r"absent.toml: No such file or directory$"):
        read_file(tmp_path / "absent.toml", TODAY)
    with pytest.raises(RequestError, match=r"Is a directory$"):
        read_file(tmp_path, TODAY)
    (tmp_path / "latin.toml").write_bytes(ENTRY.encode() + b"# \xe4\n")
    with pytest.raises(RequestError, match=r"latin.toml: not UTF-8 \(at line 10\)$"):
        read_file(tmp_path / "latin.toml", TODAY)


@pytest.mark.parametrize("case", UNMATCHED)
def test_entry_that_matches_nothing_is_refused(case: str) -> None:
    """An entry that no case can match is refused."""
    entry, says = UNMATCHED[case]
    mine = Subject("mine", build="a:B", input_shape=(3, 8, 8))
    with pytest.raises(RequestError) as refusal:
        require_cases([entry], [mine, Subject("vgg11"), Subject("vgg13")], CHECKS)
    assert says in str(refusal.value)


def test_reference_network_need_not_be_selected() -> None:
    """An entry for a reference network is right in a run of others."""
    entry = ExpectedFailure("claim.training", "vgg11", "x")
    require_cases([entry], [Subject("alexnet")], CHECKS)
    assert all(case.expected is None for case in cases([Subject("alexnet")], expected=[entry]))


def test_entry_without_variant_covers_every_variant() -> None:
    """A named variant is covered alone, and without one all are."""
    every = ExpectedFailure("execution.train_mode", "vgg11", "x")
    one = ExpectedFailure("execution.predict_mode", "vgg11", "y", variant="fused")
    expected = {case.id: case.expected for case in cases([Subject("vgg11")], ["execution"], [every, one])}
    assert {
        "vgg11-execution.predict_mode-fused": one,
        **{
            f"vgg11-execution.train_mode-{v}": every for v in ("hybridized", "static_alloc", "static_shape", "imported")
        },
    } == {name: entry for name, entry in expected.items() if entry is not None}


def test_case_with_two_entries_is_refused() -> None:
    """Of two entries for one case, one would never be seen to be out of date."""
    subject, check = Subject("vgg11"), next(check for check in CHECKS if check.id == "execution.train_mode")
    first = ExpectedFailure(check.id, "vgg11", "x", place="first")
    second = ExpectedFailure(check.id, "vgg11", "y", variant="imported", place="second")
    assert first == expected_of([first, second], subject, check, "hybridized")
    with pytest.raises(RequestError, match="second names what first has named before"):
        expected_of([first, second], subject, check, "imported")


@pytest.mark.parametrize(("build", "kept"), [("<1.9", False), (">=1.9", True), ("==1.9.*", True), ("", True)])
def test_entry_is_for_a_build(build: str, kept: bool) -> None:
    """An entry is for the versions it names, pre-releases of them too."""
    entry = ExpectedFailure("files.export_round_trip", "vgg11", "x", build=build)
    assert ((entry,) if kept else ()) == for_build([entry], lambda: {"mxnet": "1.9.2rc1", "features": []})


@pytest.mark.parametrize(("features", "kept"), [(["CUDA", "MKLDNN"], True), (["CUDA"], False)])
def test_entry_is_for_a_feature(features: list[str], kept: bool) -> None:
    """An entry for builds with a feature is not for others."""
    entry = ExpectedFailure("files.export_round_trip", "vgg11", "x", feature="MKLDNN")
    assert ((entry,) if kept else ()) == for_build([entry], lambda: {"mxnet": "1.9.1", "features": features})


def test_build_is_asked_where_it_matters_only() -> None:
    """Entries for every build need no MXNet."""
    entry = ExpectedFailure("files.export_round_trip", "vgg11", "x")
    assert (entry,) == for_build([entry], lambda: pytest.fail("asked"))


def test_known_builds_are_others() -> None:
    """What is known of other builds names cases, and nothing of the specified version."""
    entries = read_file(Path(conformance.__file__).parent / "known_builds.toml", TODAY)
    require_cases(entries, [Subject(name) for name in SPECIFICATIONS], CHECKS)
    assert any(entry.is_for("1.8.0", ["MKLDNN"]) for entry in entries)
    assert not any(entry.is_for(SPECIFIED, ["MKLDNN", "CUDA"]) for entry in entries)


def test_subject_states_entries_of_the_same_kind() -> None:
    """A Subject's entries name a check, or a check and a variant, and need a reason."""
    subject = Subject("vgg11", expected_failures={"execution.train_mode-imported": "https://example.org"})
    (entry,) = stated_by(subject)
    assert ("execution.train_mode", "imported", "https://example.org") == (entry.check, entry.variant, entry.why)
    assert [entry] == [case.expected for case in cases([subject]) if case.expected]
    with pytest.raises(RequestError, match="expected failure 'x' of vgg11 has no reason"):
        next(stated_by(Subject("vgg11", expected_failures={"x": " "})))
