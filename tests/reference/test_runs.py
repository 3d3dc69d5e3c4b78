"""A run is never lost: killed, told to stop, without disk or with a damaged file, it ends as if nothing had been."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a_run import RECIPE, SETTING, TEST, TRAIN, finish, new_run
from catalogue_runs import PARTS
from conformance.tensors.comparison import Array
from flaws import Small
from reference.runtime import files
from reference.runtime.mxnet_compat import mx
from reference.training import Divergence, checkpoints
from reference.training import loop as training
from reference.training.runs import LOG, Interrupted, Run, Setting

SUPPORT = Path(__file__).parents[1] / "support"


def start(folder: Path, *options: str) -> int:
    """Run in a process of its own and return its exit code."""
    command = [sys.executable, str(SUPPORT / "a_run.py"), str(folder), *options]
    return subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PARTS}, check=False
    ).returncode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """Return the parameters and the log of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("run")
    assert 0 == start(folder)
    return final(folder), log(folder)


def final(folder: Path) -> dict[str, Array]:
    """Return the parameters a process ended with."""
    with np.load(folder / "final.npz") as arrays:
        return dict(arrays)


def log(folder: Path) -> list[dict[str, Any]]:
    """Return a run's metrics, without the times."""
    rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{key: row[key] for key in row if key not in ("seconds", "images_per_second")} for row in rows]


def assert_same(expected: dict[str, Array], actual: dict[str, Array]) -> None:
    """Compare parameters bit for bit."""
    assert list(expected) == list(actual)
    for name, value in expected.items():
        np.testing.assert_array_equal(value, actual[name], err_msg=name)


@pytest.mark.parametrize(
    ("when", "number", "code"),
    [
        ("step", 1, -signal.SIGKILL),
        ("step", 5, -signal.SIGKILL),
        ("evaluation", 2, -signal.SIGKILL),
        ("write", 9, -signal.SIGKILL),
        ("write", 10, -signal.SIGKILL),
        ("terminate", 4, 128 + signal.SIGTERM),
    ],
)
def test_killed_run_ends_bit_identical(
    when: str, number: int, code: int, uninterrupted: tuple[Any, Any], tmp_path: Path
) -> None:
    """Killed in a step, an evaluation or a write, or told to stop, and resumed, it ends bit for bit the same."""
    assert code == start(tmp_path, "--kill", when, str(number))
    assert 0 == start(tmp_path, "--resume")
    assert_same(uninterrupted[0], final(tmp_path))
    assert uninterrupted[1] == log(tmp_path)
    assert not list(tmp_path.glob(f"*{files.UNFINISHED}"))


def test_runs_killed_at_random_moments_end_bit_identical(uninterrupted: tuple[Any, Any], tmp_path: Path) -> None:
    """Killed at 20 random moments, start and end of a run included, and resumed, it ends bit for bit the same."""
    seed = int(time.time())
    assert 0 == start(tmp_path, "--moments", "20", "--seed", str(seed))
    for moment in range(20):
        assert_same(uninterrupted[0], final(tmp_path / str(moment)))
        assert uninterrupted[1] == log(tmp_path / str(moment))


def test_told_to_stop_in_an_evaluation_saves(uninterrupted: tuple[Any, Any], tmp_path: Path) -> None:
    """A signal in an evaluation is obeyed at its next batch, and the run goes on from there."""
    run = new_run(tmp_path)
    progress = run.start(resume=False)
    run.after_step = lambda now: os.kill(os.getpid(), signal.SIGTERM) if now.step == 3 else None
    with pytest.raises(Interrupted, match="SIGTERM"):
        list(run.epochs(progress, TRAIN, TEST))
    assert run.saved == checkpoints.paths(tmp_path)[-1]
    assert signal.SIG_DFL == signal.getsignal(signal.SIGTERM)
    assert_same(uninterrupted[0], finish(new_run(tmp_path), resume=True))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_checkpoint_falls_back(damage: str, uninterrupted: tuple[Any, Any], tmp_path: Path) -> None:
    """A damaged last checkpoint is passed over with a warning, and the run ends the same."""
    start(tmp_path, "--kill", "step", "7")
    path = checkpoints.paths(tmp_path)[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes({"truncated": bytes(content[:-100]), "flipped": bytes(content), "empty": b""}[damage])
    warnings: list[str] = []
    assert_same(uninterrupted[0], finish(new_run(tmp_path, warn=warnings.append), resume=True))
    assert 1 == len(warnings)
    assert f"{path}: damaged checkpoint: " in warnings[0]
    assert "\n" not in warnings[0]


def test_run_without_a_whole_checkpoint_is_refused(tmp_path: Path) -> None:
    """Where every checkpoint is damaged there is nothing to resume; where there is none, a run begins."""
    (tmp_path / "checkpoint-0001-000001.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="no whole checkpoint to resume"):
        new_run(tmp_path).start(resume=True)
    warnings: list[str] = []
    assert 1 == new_run(tmp_path / "new", warn=warnings.append).start(resume=True).epoch
    assert "beginning anew" in warnings[0]


def test_run_is_not_begun_over_another(tmp_path: Path) -> None:
    """A folder with a run in it is refused, unless the run is to be resumed."""
    finish(new_run(tmp_path))
    with pytest.raises(ValueError, match="a run has begun there; name another --output, or --resume it"):
        new_run(tmp_path).start(resume=False)


def test_checkpoints_are_bounded(tmp_path: Path) -> None:
    """Only the last two are kept, though one is written after every step."""
    finish(new_run(tmp_path))
    assert ["checkpoint-0003-000003.npz", "checkpoint-0004-000000.npz"] == [p.name for p in checkpoints.paths(tmp_path)]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (replace(SETTING, seed=5), "seed is 5 now, and 4 in the checkpoint"),
        (replace(SETTING, data="other"), "data is other now, and none in the checkpoint"),
        (replace(SETTING, network="alexnet"), "network is alexnet now, and small"),
        (replace(SETTING, recipe=replace(RECIPE, learning_rate=0.5)), "recipe.learning_rate is 0.5 now, and 0.01"),
    ],
)
def test_changed_run_is_refused_by_name(setting: Setting, says: str, tmp_path: Path) -> None:
    """Another recipe, seed, data or network does not go on from a checkpoint."""
    finish(new_run(tmp_path))
    with pytest.raises(ValueError, match=f"cannot resume: {says}"):
        new_run(tmp_path, setting).start(resume=True)


def test_other_parameters_are_refused(tmp_path: Path) -> None:
    """A network with other parameters than the checkpoint's is refused by the first that differs."""
    finish(new_run(tmp_path))
    run = Run(mx.gluon.nn.Dense(5), SETTING, tmp_path, mx.cpu(), print)
    with pytest.raises(ValueError, match=r"the parameter bias is not in both"):
        run.start(resume=True)


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Let every file end at a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_a_warning(uninterrupted: tuple[Any, Any], tmp_path: Path) -> None:
    """A checkpoint that cannot be written leaves those before it, and the run goes on."""
    warnings: list[str] = []
    run = new_run(tmp_path, warn=warnings.append)
    progress = run.start(resume=False)
    epochs = run.epochs(progress, TRAIN, TEST)
    next(epochs)
    before = checkpoints.paths(tmp_path)
    with small_disk(2000):
        next(epochs)
    assert before == checkpoints.paths(tmp_path)
    assert warnings and all("not saved, going on without: " in line for line in warnings)
    assert not list(tmp_path.glob(f"*{files.UNFINISHED}"))
    assert 1 == len(list(epochs))
    values = {name: p.data().asnumpy() for name, p in run.net._collect_params_with_prefix().items()}
    assert_same(uninterrupted[0], values)


def test_diverged_weights_are_not_saved(tmp_path: Path) -> None:
    """A loss that is not finite ends the run before it is saved."""
    run = new_run(tmp_path)
    progress = run.start(resume=False)
    broken = training.Examples(TRAIN.images * np.float32(np.inf), TRAIN.labels)
    with pytest.raises(Divergence, match=r"epoch 1, step 1: the loss is nan at learning rate 0\.01"):
        list(run.epochs(progress, broken, TEST))
    assert [] == checkpoints.paths(tmp_path)


def test_divergence_after_resuming_knows_the_checkpoint(tmp_path: Path) -> None:
    """A resumed run that diverges at once has the checkpoint it went on from, not the damaged one after it."""
    start(tmp_path, "--kill", "step", "5")
    good = checkpoints.paths(tmp_path)[-1]
    (tmp_path / "checkpoint-0009-000000.npz").write_bytes(b"damaged")
    run = new_run(tmp_path)
    progress = run.start(resume=True)
    broken = training.Examples(TRAIN.images * np.float32(np.inf), TRAIN.labels)
    with pytest.raises(Divergence):
        list(run.epochs(progress, broken, TEST))
    assert good == run.saved


def test_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """A file is replaced as a whole or stays."""
    path = tmp_path / "file"
    files.replace_file(path, lambda file: file.write(b"old"))

    def fail(file: Any) -> None:
        file.write(b"new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.replace_file(path, fail)
    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_small_is_what_runs() -> None:
    """The run of these tests has dropout and BatchNorm, whose randomness and statistics a resumed run must repeat."""
    assert {"dropout", "norm"} <= set(Small()._children)
