"""Runs with a file of expected failures: strict, counted, explained, and how much was executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogue_runs import Project, new_project
from conformance.session.summary import executed

UNSURE = ("--subject", "unsure=my_block:Unsure", "--input-shape", "3,32,32", "--family", "execution,files")
FILE = ("--expected-failures", "known.toml")
FAILS = ("execution.same_operators", "execution.predict_mode", "execution.train_mode")
FATAL = ("--subject", "mine=broken_blocks:crash", "--input-shape", "3,32,32", "--family", "execution,files")


def entries(*checks: str, subject: str = "unsure", more: str = "") -> str:
    """Write entries, each with the check's id as its link."""
    return "".join(
        f'[[expected_failure]]\ncheck = "{check}"\nsubject = "{subject}"\n'
        f'reason = "F decides"\nlink = "https://example.org/{check}"\n{more}\n'
        for check in checks
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a new project."""
    return new_project(tmp_path)


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_expected_failures_are_green_and_counted(processes: tuple[str, ...], project: Project) -> None:
    """A wrong block whose faults are all named ends in 0; the summary counts them and gives reasons and links."""
    project.write("known.toml", entries(*FAILS))
    run = project.catalogue(*UNSURE, *FILE, *processes)
    assert 0 == run.code, run.text
    assert "executed 13 of 13 checks (100.0 %); 0 not applicable, 0 not executed, 10 expected failures" in run.text
    assert "expected failure 5: unsure: F decides (https://example.org/execution.predict_mode)" in run.text


def test_what_passes_is_no_expected_failure(project: Project) -> None:
    """A check that passes, and one that does not apply, fail where they are expected to fail, and name the entry."""
    project.write("known.toml", entries("files.export_round_trip", "behaviour.running_statistics", subject="mine"))
    subject = ("--subject", "mine=my_block:Plain", "--input-shape", "3,32,32", "--family", "files,behaviour")
    project.write(
        "my_block.py",
        "from mxnet.gluon import nn\n\ndef Plain():\n    net = nn.HybridSequential()\n"
        "    net.add(nn.Dense(4))\n    return net\n",
    )
    run = project.catalogue(*subject, *FILE)
    assert 1 == run.code, run.text
    assert "mine · files.export_round_trip: expected to fail, actual passed" in run.text
    assert "mine · behaviour.running_statistics: expected to fail, actual not applicable" in run.text
    assert "remove known.toml: entry 1 ('files.export_round_trip' of 'mine'): what it says no longer holds" in run.text


def test_entry_for_another_build_is_left_out(project: Project) -> None:
    """An entry for older versions of MXNet expects nothing of this one."""
    project.write("known.toml", entries(*FAILS, more='build = "<1.0"'))
    run = project.catalogue(*UNSURE, *FILE)
    assert 1 == run.code, run.text
    assert "executed 13 of 13 checks (100.0 %); 0 not applicable, 0 not executed, 0 expected failures" in run.text


def test_crash_is_counted_as_such(project: Project) -> None:
    """A check that crashed and those that were not executed for it are not counted as executed."""
    run = project.catalogue(*FATAL)
    assert 1 == run.code, run.text
    assert "executed 0 of 13 checks (0.0 %); 0 not applicable, 12 not executed, 1 crashed, 0 expected" in run.text
    assert "1 CRASHED" in run.text


def test_expected_crash_excuses_itself_only(project: Project) -> None:
    """What was not executed for an expected crash leaves the run red, unless it is named as well."""
    project.write("known.toml", entries(FAILS[0], subject="mine"))
    run = project.catalogue(*FATAL, *FILE)
    assert 1 == run.code, run.text
    assert "12 not executed, 1 expected failure" in run.text
    rest = ("files.parameters_round_trip", "files.export_round_trip", "files.export_after_cast")
    project.write("known.toml", entries(*FAILS, *rest, subject="mine"))
    assert 0 == project.catalogue(*FATAL, *FILE).code


def test_run_that_stops_early_says_what_it_left_out(project: Project) -> None:
    """After ``-x`` the checks that were not begun are counted as not executed."""
    run = project.catalogue(*UNSURE, "-x")
    assert 1 == run.code, run.text
    assert "executed 1 of 13 checks (7.7 %); 0 not applicable, 12 not executed, 0 expected failures" in run.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entries("files.absent"), "entry 1 ('files.absent' of 'unsure') names no check"),
        (entries(FAILS[0], subject="mien"), "'mien' is neither a subject of this run (unsure) nor a reference network"),
        (entries(*FAILS, more="expires = 2020-01-01"), "entry 1 ('execution.same_operators' of 'unsure') expired on"),
        (
            entries(FAILS[0], FAILS[0]),
            "entry 2 ('execution.same_operators' of 'unsure') names what known.toml: entry 1",
        ),
        ("[[expected_failure]\n", "known.toml: not TOML: Expected ']]' at the end of an array declaration (at line 1"),
    ],
)
def test_wrong_file_ends_in_one_line(text: str, says: str, project: Project) -> None:
    """A wrong file ends in exit code 4 and one line."""
    project.write("known.toml", text)
    run = project.catalogue(*UNSURE, *FILE, "-q")
    assert 4 == run.code, run.text
    (line,) = run.text.strip().splitlines()
    assert says in line


def test_executed_counts_every_outcome() -> None:
    """The fraction is that of checks which gave an answer; one hung gave none."""
    outcomes = {"passed": 6, "failed": 1, "expected failure": 1, "hung": 1, "not applicable": 1}
    assert "executed 8 of 12 checks (66.7 %); 1 not applicable, 2 not executed, 1 hung, 1 expected failure" == executed(
        outcomes, not_begun=2
    )
