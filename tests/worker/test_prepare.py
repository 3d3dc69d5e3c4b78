"""A subject that ends its process before any check has run still fails one, by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NET = """
import ctypes
from mxnet.gluon import HybridBlock


class Net(HybridBlock):
    def __init__(self):
        super().__init__()
        {build}

    def hybrid_forward(self, F, x):
        {run}
        return x
"""
CRASH = "ctypes.string_at(0)"


@pytest.mark.parametrize(("build", "run"), [(CRASH, "pass"), ("pass", CRASH)], ids=["built", "traced"])
def test_crash_before_the_checks_fails_one(build: str, run: str, tmp_path: Path) -> None:
    """One check fails with the signal and the stage, the others are not executed, and the exit code is 1."""
    (tmp_path / "nets.py").write_text(NET.format(build=build, run=run))
    subject = ("--subject", "mine=nets:Net", "--input-shape", "3,8,8")

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", "conformance", *subject, "--family", "files"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == result.returncode, result.stdout
    assert "mine · files.parameters_round_trip: crashed" in result.stdout
    assert "mine ended the worker process with SIGSEGV while " in result.stdout
    assert "1 failed, 2 skipped" in result.stdout
