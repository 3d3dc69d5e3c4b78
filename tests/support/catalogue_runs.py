"""Runs of pytest in a project of its own, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
PARTS = os.pathsep.join(str(TESTS / folder) for folder in ("faults", "support"))
"""Where what tests are made of is imported from."""
MINE = """
from flaws import Small
from reference.runtime.mxnet_compat import HybridBlock, mx

class Mine(Small):
    pass

class NeedsArguments(HybridBlock):
    def __init__(self, channels):
        super().__init__()

class Unsure(Small):
    def hybrid_forward(self, F, x):
        y = super().hybrid_forward(F, x)
        return y * 1.001 if F is mx.sym else y

not_callable = 3
def not_a_block():
    return 3
"""
SUBJECT = ("--subject", "mine=my_block:Mine", "--input-shape", "3,32,32")


@dataclass(frozen=True)
class Run:
    """The end of one run: exit code and everything it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Project:
    """A user's folder with `my_block.py`."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        (self.folder / name).write_text(text)

    def pytest(self, *arguments: str) -> Run:
        """Run pytest in the folder, untouched by the run it is called from."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": PARTS, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def catalogue(self, *arguments: str) -> Run:
        """Run the catalogue."""
        return self.pytest("--pyargs", "conformance", *arguments)


def new_project(folder: Path) -> Project:
    """Create a project in an empty folder."""
    project = Project(folder)
    project.write("my_block.py", MINE)
    return project
