"""A small run in a process of its own, which may be killed: ``python a_run.py DIR [--resume] [--kill WHEN N]``.

``python a_run.py DIR --moments N --seed S`` makes N runs in DIR/0, DIR/1, ..., each killed at a random moment and then
resumed to its end. They are forked from this process, which never computes, so that MXNet is imported once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from conformance.tensors.comparison import Array
from flaws import Small
from reference.runtime.mxnet_compat import mx
from reference.training import runs
from reference.training.batches import Examples
from reference.training.recipes import Recipe
from reference.training.runs import Interrupted, Run, Setting

RECIPE = Recipe("adam", 0.01, batch_size=8, epochs=3, augmentation="flip")
SETTING = Setting("small", 5, 8, RECIPE, 4, "none")
IMAGES = np.random.default_rng(0).random((28, 3, 8, 8), np.float32)
TRAIN, TEST = Examples(IMAGES[:20], np.arange(20) % 5), Examples(IMAGES[20:], np.arange(8) % 5)


def new_run(folder: Path, setting: Setting = SETTING, warn: Any = None, **options: Any) -> Run:
    """Return a run that saves after every step."""
    net = Small()
    net.hybridize()
    return Run(net, setting, folder, mx.cpu(), warn or (lambda line: None), minutes=0, **options)


def finish(run: Run, *, resume: bool = False) -> dict[str, Array]:
    """Train to the end and return the parameters."""
    for _ in run.epochs(run.start(resume=resume), TRAIN, TEST):
        pass
    return {name: p.data().asnumpy() for name, p in run.net._collect_params_with_prefix().items()}


def kill_at(when: str, number: int) -> None:
    """Arrange for this process to be killed, or told to stop, at the given call."""
    places = {"step": "train_step", "terminate": "train_step", "evaluation": "predictions", "write": "fsync"}
    owner: Any = os if when == "write" else sys.modules["reference.training.loop"]
    inner, calls = getattr(owner, places[when]), 0

    def patched(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGTERM if when == "terminate" else signal.SIGKILL)
        return inner(*arguments, **options)

    setattr(owner, places[when], patched)


def forked(folder: Path, *, resume: bool) -> int:
    """Start a run in a process forked from this one, and return its id."""
    process = os.fork()
    if process:
        return process
    try:
        np.savez(folder / "final.npz", **finish(new_run(folder), resume=resume))
    finally:
        os._exit((folder / "final.npz").is_file() - 1)


def kill_at_moments(folder: Path, number: int, seed: int) -> None:
    """Kill runs at random moments until as many as asked for were killed before their end, and resume each."""
    start = time.monotonic()
    assert 0 == os.waitpid(forked(folder, resume=False), 0)[1]
    duration, draw, killed = time.monotonic() - start, np.random.default_rng(seed), 0
    while killed < number:
        place, moment = folder / str(killed), draw.uniform(0, duration)
        place.mkdir(exist_ok=True)
        process = forked(place, resume=False)
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        if os.waitpid(process, 0)[1] != signal.SIGKILL:
            shutil.rmtree(place)
            continue
        saved = sorted(path.name for path in place.iterdir())
        print(
            f"moment {killed} of seed {seed}: killed after {moment:.3f} of {duration:.3f} s, with {saved}", flush=True
        )
        assert 0 == os.waitpid(forked(place, resume=True), 0)[1]
        killed += 1


def main() -> None:
    """Run, and write the final parameters beside the checkpoints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill", nargs=2, metavar=("WHEN", "N"))
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="after every step")
    parser.add_argument("--moments", type=int, metavar="N", help="make N runs, each killed at a random moment")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the moments")
    arguments = parser.parse_args()
    if arguments.moments:
        kill_at_moments(arguments.folder, arguments.moments, arguments.seed)
        return
    if arguments.kill:
        kill_at(arguments.kill[0], int(arguments.kill[1]))
    run = new_run(arguments.folder, after_step=lambda progress: time.sleep(arguments.slow))
    try:
        parameters = finish(run, resume=arguments.resume)
    except Interrupted as error:
        raise SystemExit(128 + error.number) from None
    np.savez(arguments.folder / "final.npz", **parameters)


if __name__ == "__main__":
    assert runs.LOG
    main()
