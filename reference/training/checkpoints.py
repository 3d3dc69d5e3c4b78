"""Checkpoints: all that the future of a run depends on, in one file that is there whole or not at all.

A file is a ZIP of NumPy arrays, whose checksums tell damage: the parameters by their place in the network, the
trainer's states as Gluon's Trainer writes them, and a text with the rest.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.runtime.files import replace_file
from reference.runtime.mxnet_compat import HybridBlock, mx
from reference.training.metrics import Tally
from reference.training.recipes import Recipe
from reference.training.state import Progress, new_trainer
from reference.training.workers import ALONE, Workers

KEPT = 2
"""Checkpoints of a run: the last, and the one before it in case the last is damaged."""


class Damaged(ValueError):
    """A file is no whole checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A run at one moment.

    Attributes:
        identity: What a run that goes on from it must have in common with it, in words by name.
        place: Epoch, step, sums and seconds, see `Progress` and `Tally`.
        history: The metrics of the epochs that are done.
        parameters: By structural name.
        trainer: What Gluon's Trainer saves.
    """

    identity: Mapping[str, str]
    place: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    parameters: Mapping[str, NDArray[Any]]
    trainer: bytes


def capture(net: HybridBlock, progress: Progress, identity: Mapping[str, str], history: Any) -> Checkpoint:
    """Return the state of a run; waits for its last step.

    Raises:
        Divergence: If that step's loss is not finite, so that the weights are lost.
    """
    progress.settle()
    tally = progress.tally
    with TemporaryDirectory() as folder:
        states = Path(folder) / "trainer"
        progress.trainer.save_states(str(states))
        trainer = states.read_bytes()
    place = {"epoch": progress.epoch, "step": progress.step, "seconds": progress.seconds}
    place |= {"images": tally.images, "loss": tally.loss, "correct": tally.correct}
    parameters = {name: p.list_data()[0].asnumpy() for name, p in net._collect_params_with_prefix().items()}
    return Checkpoint(dict(identity), place, tuple(history), parameters, trainer)


def apply_parameters(checkpoint: Checkpoint, net: HybridBlock, ctx: Any) -> None:
    """Give a network without weights those of a checkpoint.

    Raises:
        ValueError: If it is another network; the message names the first parameter that differs.
    """
    own = net._collect_params_with_prefix()
    strange = sorted(set(own) ^ set(checkpoint.parameters))
    if strange:
        raise ValueError(f"checkpoint: the parameter {strange[0]} is not in both the checkpoint and the network")
    for name, parameter in own.items():
        value = checkpoint.parameters[name]
        parameter.shape = value.shape
        parameter.initialize(mx.init.Zero(), ctx=ctx, force_reinit=True)
        parameter.set_data(mx.nd.array(value, dtype=value.dtype))


def go_on(checkpoint: Checkpoint, net: HybridBlock, recipe: Recipe, ctx: Any, workers: Workers = ALONE) -> Progress:
    """Give a network without weights those of a checkpoint, and return where its run goes on."""
    apply_parameters(checkpoint, net, ctx)
    trainer, place = new_trainer(net, recipe, ctx, workers), checkpoint.place
    with TemporaryDirectory() as folder:
        states = Path(folder) / "trainer"
        states.write_bytes(checkpoint.trainer)
        trainer.load_states(str(states))
    count_alike(trainer)
    tally = Tally(place["images"], place["loss"], place["correct"], workers=workers)
    return Progress(trainer, tally, place["epoch"], place["step"], place["seconds"])


def count_alike(trainer: Any) -> None:
    """Let every device count its updates on from those that the states were saved with, whichever device that was.

    MXNet's optimizers count by the number of the device, and Adam's next step depends on it.
    """
    optimizer = trainer._optimizer
    counts = max(optimizer._all_index_update_counts.values(), key=len)
    for ctx in trainer._contexts:
        optimizer._all_index_update_counts[ctx.device_id] = dict(counts)
    optimizer._set_current_context(trainer._contexts[0].device_id)


def save(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint, and remove all but the last ones.

    Raises:
        OSError: If it cannot be written; those before it stay.
    """
    path = path_of(checkpoint, folder)
    rest = {key: getattr(checkpoint, key) for key in ("identity", "place", "history")}
    arrays = {f"parameter/{name}": value for name, value in checkpoint.parameters.items()}
    arrays["trainer"] = np.frombuffer(checkpoint.trainer, np.uint8)
    arrays["rest"] = np.array(json.dumps(rest))
    replace_file(path, lambda file: np.savez(file, **arrays))
    for old in paths(folder)[:-KEPT]:
        old.unlink()
    return path


def path_of(checkpoint: Checkpoint, folder: Path) -> Path:
    """Return where a folder has a checkpoint."""
    return folder / "checkpoint-{epoch:04d}-{step:06d}.npz".format(**checkpoint.place)


def paths(folder: Path) -> list[Path]:
    """Return a folder's checkpoints, the last one last."""
    return sorted(folder.glob("checkpoint-*.npz"))


def last(folder: Path) -> Path | None:
    """Return a folder's last checkpoint, if it has one."""
    return next(reversed(paths(folder)), None)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        Damaged: If it is not whole, in one line.
        OSError: If it cannot be opened.
    """
    try:
        # Opened here: NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            rest = json.loads(str(arrays["rest"]))
            names = [name for name in arrays.files if name.startswith("parameter/")]
            parameters = {name.removeprefix("parameter/"): arrays[name] for name in names}
            return Checkpoint(
                rest["identity"], rest["place"], tuple(rest["history"]), parameters, arrays["trainer"].tobytes()
            )
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise Damaged(f"{path}: damaged checkpoint: {str(error).partition(chr(10))[0]}") from error


def latest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the last whole checkpoint of a folder, and a warning for each damaged one that is passed over."""
    warnings: list[str] = []
    for path in reversed(paths(folder)):
        try:
            return read(path), warnings
        except (Damaged, OSError) as error:
            warnings.append(f"{error}; going back to the checkpoint before it")
    return None, warnings
