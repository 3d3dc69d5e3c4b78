"""A small run in a process of its own, which may be killed: ``python a_run.py DIR [--resume] [--kill WHEN N]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from conformance.comparison import Array
from flaws import Small
from reference import runs
from reference.batches import Examples
from reference.mxnet_compat import mx
from reference.recipes import Recipe
from reference.runs import Interrupted, Run, Setting

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
    owner: Any = os if when == "write" else sys.modules["reference.training"]
    inner, calls = getattr(owner, places[when]), 0

    def patched(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGTERM if when == "terminate" else signal.SIGKILL)
        return inner(*arguments, **options)

    setattr(owner, places[when], patched)


def main() -> None:
    """Run, and write the final parameters beside the checkpoints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill", nargs=2, metavar=("WHEN", "N"))
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="after every step")
    arguments = parser.parse_args()
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
