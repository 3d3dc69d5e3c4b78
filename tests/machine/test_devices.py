"""How the processes of a run share GPUs, and what a run without one does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from catalogue_runs import SUBJECT, Project, new_project
from conformance import Subject
from conformance.machine import preflight
from conformance.machine.asking import Unusable
from conformance.machine.devices import A_SUBJECT, Device, device_of
from conformance.machine.findings import Findings
from conformance.machine.machine_code import MachineCode
from conformance.machine.remedies import problems_of
from conformance.worker import pool as pools
from conformance.worker import record
from conformance.worker.pool import Pool
from conformance.worker.process import Settings, Worker
from conformance.worker.turn import Turn

BUILD = MachineCode(((8, 6),))
MINE = Subject("mine", build="my_block:MyNet", input_shape=(3, 32, 32))


def device(number: int, *, capability: tuple[int, int] = (8, 6), free: int = 24 << 30) -> Device:
    """Return a device."""
    return Device(number, "A", capability, 24 << 30, free, BUILD, "")


@pytest.mark.parametrize(("worker", "number"), [("", 0), ("gw0", 0), ("gw1", 2), ("gw2", 0), ("gw7", 2)])
def test_worker_has_a_usable_device_in_turn(worker: str, number: int) -> None:
    """Process i has device i modulo n of the n usable ones."""
    devices = [device(0), device(1, capability=(9, 0)), device(2)]
    assert number == device_of(worker, devices).number


def test_device_holds_as_many_subjects_as_fit() -> None:
    """A device is shared within its memory, by one subject at least."""
    assert [1, 1, 4] == [device(0, free=free).slots for free in (1 << 30, A_SUBJECT, 4 * A_SUBJECT + 1)]


def test_places_on_a_device_are_taken_in_turn(tmp_path: Path) -> None:
    """As many hold a place as there are; the next waits until one is given back."""
    first, second = Turn(0, 2, tmp_path), Turn(0, 2, tmp_path)
    taken: list[Turn] = []
    third = threading.Thread(target=lambda: taken.append(Turn(0, 2, tmp_path)))
    third.start()
    time.sleep(0.2)
    assert [] == taken
    second.end()
    third.join(5)
    assert 1 == len(taken)
    for turn in (first, *taken):
        turn.end()


def test_pool_runs_a_subject_on_its_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker of a GPU run has a numbered device and a place on it, and another process for other switches."""
    found = Findings("gpu", facts={"features": ["CUDA"], "gpus": 2, "gpu_error": ""}, code=BUILD)
    driver = {"found": True, "error": "", "version": 12040}
    found = dataclasses.replace(found, devices=(device(0), device(1)), driver=driver)
    for module in (preflight, pools):
        monkeypatch.setattr(module, "preflight", lambda ctx: found)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = Pool(Settings("gpu"))
    plain = pool.worker(MINE)
    assert "gpu:1" == plain.settings.ctx
    assert plain is pool.worker(MINE)
    switched = pool.worker(MINE, (("NVIDIA_TF32_OVERRIDE", "1"),))
    assert switched is not plain
    assert pool.turn is not None
    pool.close()
    assert pool.turn is None


def test_recording_names_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording made on a GPU names the device, the driver and the switches."""
    found = Findings("gpu", facts={"features": ["CUDA"], "gpus": 2, "gpu_error": "", "mxnet": "1.9.1"}, code=BUILD)
    driver = {"found": True, "error": "", "version": 12040}
    found = dataclasses.replace(found, devices=(device(0, capability=(9, 0)), device(1)), driver=driver)
    for module in (preflight, record):
        monkeypatch.setattr(module, "preflight", lambda ctx: found)
    monkeypatch.setattr(record, "ask", lambda question: {**found.facts, "numpy": "1.23.5"})
    facts = record.describe_machine("gpu")
    assert "GPU 1 (A, compute capability 8.6)" == facts["device"]
    assert "CUDA 12040" == facts["driver"]
    assert "NVIDIA_TF32_OVERRIDE=0 MXNET_ENFORCE_DETERMINISM=1" in facts["on the device"]


@pytest.mark.parametrize(("ctx", "tf32"), [("gpu:1", "0"), ("cpu", None)])
def test_worker_on_a_device_is_repeatable(ctx: str, tf32: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process on a GPU has the switches of exact numbers; a variant's own, and then the user's, come before them."""
    started: list[dict[str, str]] = []

    class Process:
        def __init__(self, command: list[str], *, env: dict[str, str], pass_fds: list[int], **_: object) -> None:
            started.append(env)
            self.other_end = os.dup(pass_fds[0])

        def kill(self) -> None:
            """End."""

        def wait(self) -> int:
            """Give the exit code."""
            os.close(self.other_end)
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    subject = Worker(MINE, Settings(ctx), (("MXNET_USE_FUSION", "1"),))
    subject._start()
    subject.close()
    (env,) = started
    assert (tf32, "1", ":16:8") == (
        env.get("NVIDIA_TF32_OVERRIDE"),
        env["MXNET_USE_FUSION"],
        env["CUBLAS_WORKSPACE_CONFIG"],
    )


def test_place_needs_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no usable device no place is given; the CPU is always one."""
    found = Findings("gpu", refusal="MXNet is not installed: install it")
    found = dataclasses.replace(found, problems=tuple(problems_of(found)))
    monkeypatch.setattr(preflight, "preflight", lambda ctx: found)
    assert "cpu" == preflight.place("cpu")
    with pytest.raises(Unusable, match=r"^MXNet is not installed: install it$"):
        preflight.place("gpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with a recorded snapshot."""
    project = new_project(tmp_path_factory.mktemp("project"))
    assert 0 == project.catalogue(*SUBJECT, "--family", "structure", "--snapshot-update").code
    return project


def test_checks_are_skipped_without_a_device(project: Project) -> None:
    """Without a GPU every check is skipped with the preflight's reason, and the run ends in 5."""
    run = project.catalogue(*SUBJECT, "--family", "files", "--ctx", "gpu")
    assert 5 == run.code, run.text
    assert "no usable GPU, so nothing is executed: MXNet 1." in run.text
    assert "is built without CUDA: install gluon-conformance[gpu]" in run.text
    assert "executed 0 of" in run.text


def test_snapshots_stay_without_a_device(project: Project) -> None:
    """A snapshot whose check is skipped for want of a device is neither unused nor deleted by an update."""
    for options in ((), ("--snapshot-update",)):
        run = project.catalogue(*SUBJECT, "--family", "structure", "--ctx", "gpu", *options)
        assert 5 == run.code, run.text
        assert "unused" not in run.text
        assert (project.folder / "snapshots" / "mine.txt").exists()
