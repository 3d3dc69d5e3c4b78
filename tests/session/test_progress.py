"""The live table: on a terminal only, and gone at the end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from catalogue_runs import PARTS, SUBJECT, new_project


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_terminal_shows_how_far_the_run_is(processes: tuple[str, ...], tmp_path: Path) -> None:
    """What has ended of each subject and family, in the place of pytest's dots, with and without xdist."""
    project = new_project(tmp_path)
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--pyargs", "conformance", *SUBJECT, "--family", "files", *processes],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": PARTS, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = _all(ours)
    assert 0 == done.wait(), text
    live, end = text[: text.rindex("checks that passed")], text[text.rindex("checks that passed") :]
    for words in ("0/3", "1/3", "2 of 3", "mine-files.export_round_trip"):
        assert words in live
    assert "test_catalogue.py" not in live.partition("subject")[2]
    assert "0 not executed" in end
    assert "3 passed" in end


def _all(file: int) -> str:
    """Read a pseudo-terminal until nobody writes to it."""
    parts = []
    try:
        while part := os.read(file, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(file)
    return b"".join(parts).decode()


def test_run_without_a_terminal_has_pytests_own_lines(tmp_path: Path) -> None:
    """A log gets dots and a percentage, and no table that moves."""
    run = new_project(tmp_path).catalogue(*SUBJECT, "--family", "files")
    assert "... " in run.text.partition("test_catalogue.py")[2]
    assert "[100%]" in run.text
    assert "1/3" not in run.text
    assert "\x1b" not in run.text
