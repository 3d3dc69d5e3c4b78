"""Workers train as one process does, end together, and lose no run: a scheduler, a server and two workers at work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a_worker import RECIPE, ROUNDING, Plain
from conformance.tensors.comparison import Array
from reference import data
from reference.__main__ import main
from reference.networks.registry import MODELS
from reference.training import checkpoints
from reference.training.recipes import RECIPES, StepDecay
from reference.training.runs import LOG

SCRIPT = Path(__file__).parents[1] / "support" / "a_worker.py"
#: 33 images in batches of 15 are steps of 8 and 7, 8 and 7, and 2 and 1 images on two workers.
COMMAND = ["train", "plain", "--recipe", "plain", "--image-size", "28", "--limit", "33", "--ctx", "cpu"]
COMMAND += ["--data", str(Path(data.__file__).parents[1] / "fashion_mnist")]
STEPS = 3
"""Of an epoch."""


class Job:
    """A scheduler, a server and two workers on this machine; `killed` gives one worker a step and a signal."""

    def __init__(self, folder: Path, *options: str, patience: int = 30, killed: str = "") -> None:
        """Start all processes."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_NODE_HOST": "127.0.0.1", "DMLC_PS_ROOT_PORT": port}
        shared |= {"DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "1", "PS_HEARTBEAT_TIMEOUT": str(patience)}
        command = [sys.executable, str(SCRIPT), *COMMAND, "--kvstore", "dist_sync", "--output", str(folder), *options]
        self.folder, self.processes = folder, {}
        for name in ("scheduler", "server", "worker", "worker 2"):
            own = {"DMLC_ROLE": name.partition(" ")[0], "KILLED_AT": killed if name == "worker 2" else ""}
            environment = {**os.environ, **shared, **own, "OMP_NUM_THREADS": "1"}
            with (folder / f"{name}.err").open("wb") as errors:
                self.processes[name] = subprocess.Popen(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=errors
                )

    def end(self) -> dict[str, tuple[int, str]]:
        """Return the exit code and the last line on stderr of every process, once all have ended."""
        deadline = time.monotonic() + 150
        try:
            return {
                name: (process.wait(deadline - time.monotonic()), self.said(name))
                for name, process in self.processes.items()
            }
        finally:
            self.kill()

    def said(self, name: str) -> str:
        """Return the last line that a process wrote on stderr."""
        return ((self.folder / f"{name}.err").read_text().splitlines() or [""])[-1]

    def kill(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def parameters(folder: Path) -> dict[str, Array]:
    """Return the parameters of the last checkpoint."""
    checkpoint, warnings = checkpoints.latest(folder)
    assert checkpoint is not None
    assert not warnings
    return dict(checkpoint.parameters)


def log(folder: Path) -> list[dict[str, Any]]:
    """Return the metrics of every epoch."""
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    """Let this process's command line know the network and its recipe, as long as these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "plain", Plain)
        patch.setitem(RECIPES, "plain", RECIPE)
        yield


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two workers."""
    folder = tmp_path_factory.mktemp("together")
    ends = Job(folder).end()
    assert {0} == {code for code, _ in ends.values()}, ends
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the same run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    main([*COMMAND, "--output", str(folder)])
    return folder


def test_workers_equal_one_process(together: Path, alone: Path) -> None:
    """Two workers end with the parameters of one process with the joint batches, uneven ones too, up to rounding."""
    expected, actual = parameters(alone), parameters(together)
    assert list(expected) == list(actual)
    for name, value in expected.items():
        np.testing.assert_allclose(value, actual[name], rtol=0, atol=ROUNDING, err_msg=name)


def test_workers_share_metrics(together: Path, alone: Path) -> None:
    """The log has the metrics over the images of all workers, training and test, and the schedule's rates."""
    for expected, actual in zip(log(alone), log(together), strict=True):
        for exact in ("epoch", "learning_rate", "train_accuracy", "test_accuracy"):
            assert expected[exact] == actual[exact]
        for rounded in ("loss", "test_loss"):
            assert expected[rounded] == pytest.approx(actual[rounded], rel=1e-6)


def test_schedule_acts_on_workers(together: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate that did not fall after the first epoch would show in the parameters, a hundred times above rounding."""
    monkeypatch.setitem(RECIPES, "plain", RECIPE.__class__(**{**vars(RECIPE), "schedule": StepDecay(1.0, every=1)}))
    main([*COMMAND, "--output", str(tmp_path)])
    constant, actual = parameters(tmp_path), parameters(together)
    for name, value in constant.items():
        assert np.abs(value - actual[name]).max() > 100 * ROUNDING


def test_worker_told_to_stop_stops_all(together: Path, tmp_path: Path) -> None:
    """One worker gets SIGTERM: all stop at the same step with the run saved, and resumed it ends bit for bit the same.

    Server and scheduler end as after a whole run.
    """
    ends = Job(tmp_path, killed=f"{STEPS + 1} {signal.SIGTERM:d}").end()
    told = (128 + signal.SIGTERM, "python -m reference: told to stop by SIGTERM; go on with --resume")
    assert {"scheduler": (0, ""), "server": (0, ""), "worker": told, "worker 2": told} == ends
    assert checkpoints.last(tmp_path) == tmp_path / "checkpoint-0002-000001.npz"
    ends = Job(tmp_path, "--resume").end()
    assert {0} == {code for code, _ in ends.values()}, ends
    expected, actual = parameters(together), parameters(tmp_path)
    for name, value in expected.items():
        np.testing.assert_array_equal(value, actual[name], err_msg=name)
    for part in ("loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert [row[part] for row in log(together)] == [row[part] for row in log(tmp_path)]


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, dict[str, tuple[int, str]]]]]:
    """Return what a job left that lost a worker, and what one left that lost its server; both run at the same time."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("worker", "server")}
    jobs = {"worker": Job(folders["worker"], patience=8, killed=f"{STEPS + 2} {signal.SIGKILL:d}")}
    jobs["server"] = Job(folders["server"], "--epochs", "10000", patience=8)
    deadline = time.monotonic() + 120
    while checkpoints.last(folders["server"]) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    jobs["server"].processes["server"].kill()
    try:
        yield {name: (folders[name], job.end()) for name, job in jobs.items()}
    finally:
        for job in jobs.values():
            job.kill()


@pytest.mark.parametrize(("name", "dead"), [("worker", "worker 2"), ("server", "server")])
def test_job_that_loses_a_process_ends(name: str, dead: str, lost: Any) -> None:
    """A worker or the server is killed: all others end with one line and code 1, and the last checkpoint is whole."""
    folder, ends = lost[name]
    assert -signal.SIGKILL == ends.pop(dead)[0]
    assert (1, f"scheduler: no sign of 1 {name} for 8 s") == ends.pop("scheduler")
    for role, (code, line) in ends.items():
        assert 1 == code, ends
        assert line.startswith(f"{role.partition(' ')[0]}: no sign of 1 scheduler for 8 s")
    checkpoint, warnings = checkpoints.latest(folder)
    assert checkpoint is not None
    assert not warnings
    survivors = [line for role, (_, line) in ends.items() if role.startswith("worker")]
    assert all(line.endswith(f"; last checkpoint: {checkpoints.last(folder)}") for line in survivors)
