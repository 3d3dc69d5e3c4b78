"""What an import brings: pytest's process stays light and free of MXNet, the subject's needs NumPy and MXNet alone."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import conformance
from benches import CHECK
from conformance import CHECKS, Subject
from conformance.contract.task import Task
from conformance.worker.process import DRAW, PREPARE, Settings, Worker
from conformance.worker.record import RECORD
from flaws import Small

ROOMS = ("session", "report", "checks", "contract")
FOREIGN = ("cloudpickle", "jinja2", "packaging", "pluggy", "pytest", "rich", "syrupy", "xdist")
BLOCKED = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FOREIGN}:
            raise ImportError(f"{{name}} has no place here")

sys.meta_path.insert(0, Blocked())
"""


def imported(statement: str) -> set[str]:
    """Return all that is imported once a statement has run in a new process."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def modules() -> Iterator[str]:
    """Return every module of the rooms that run in pytest's process."""
    for room in ROOMS:
        folder = Path(conformance.__file__).parent / room
        yield f"conformance.{room}"
        yield from (f"conformance.{room}.{each.name}" for each in pkgutil.iter_modules([str(folder)]))


def test_rooms_of_pytests_process_leave_mxnet_out() -> None:
    """Session, report, checks and contract are imported, every module of them, without MXNet."""
    found = imported(f"import {', '.join(modules())}")
    assert "conformance.session.run" in found
    assert not {name for name in found if name.partition(".")[0] in ("mxnet", "reference")}


def test_plugin_is_light() -> None:
    """What pytest imports in every run of an environment brings neither syrupy, NumPy nor the catalogue."""
    found = imported("import conformance.plugin")
    assert not {"syrupy", "numpy", "mxnet", "conformance.checks", "conformance.session"} & found
    assert len([name for name in found if name.startswith("conformance")]) == 2


def test_package_has_its_public_names() -> None:
    """Every public name can be imported from the package, and any other is refused."""
    assert all(getattr(conformance, name) is not None for name in conformance.__all__)
    with pytest.raises(AttributeError, match="module 'conformance' has no attribute 'absent'"):
        _ = conformance.absent


def test_subjects_process_needs_numpy_and_mxnet_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject with a name is prepared, checked, drawn and recorded where nothing else can be imported."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    subject = Subject("mine", build="flaws:Small", input_shape=(3, 32, 32))
    own = {check.family: check for check in CHECKS if "own" in check.kinds and not check.ctx}
    assert {"structure", "parameters", "execution", "behaviour", "numerics", "files", "training"} == set(own)
    tasks = [PREPARE, *(check.task(next(iter(check.variants), "")) for check in own.values())]
    with closing(Worker(subject, Settings(time_limit=60, threads=1))) as worker:
        for task in (*tasks, CHECK["structure.snapshot"].task(""), DRAW, Task(RECORD, ("",), "record")):
            result = worker.run(task)
            assert "passed" == result.outcome, (task.name, result.text, result.output)


def test_subject_without_a_name_needs_cloudpickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is blocked is blocked: a lambda cannot be unpickled there, and the process ends."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    subject = Subject("mine", build=lambda: Small(), input_shape=(3, 32, 32))
    with closing(Worker(subject, Settings(time_limit=60, threads=1))) as worker:
        result = worker.run(PREPARE)
    assert "crashed" == result.outcome
    assert "has no place here" in result.output
