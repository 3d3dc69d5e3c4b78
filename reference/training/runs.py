"""A run that is not lost: training with checkpoints, a log, and an end in good order when it is told to stop.

The folder of a run has ``log.jsonl``, the metrics of every epoch, and its last two checkpoints.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from reference.runtime.files import UNFINISHED, replace_file
from reference.runtime.mxnet_compat import HybridBlock
from reference.training import checkpoints
from reference.training.batches import Batch, Source
from reference.training.loop import fit
from reference.training.metrics import EpochMetrics
from reference.training.recipes import Recipe
from reference.training.state import Progress, begin
from reference.training.workers import ALONE, Workers

LOG = "log.jsonl"


class Interrupted(Exception):
    """The process was told to stop, by the signal ``number``; its checkpoint is written."""

    def __init__(self, number: int) -> None:
        """Name the signal."""
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Setting:
    """All that decides what a run computes.

    Attributes:
        network: Its name.
        classes: Number of logits.
        image_size: Side of an image in pixels.
        recipe: How it is trained.
        seed: Of all that is random.
        data: Checksum of the images and labels.
    """

    network: str
    classes: int
    image_size: int
    recipe: Recipe
    seed: int
    data: str

    def identity(self) -> dict[str, str]:
        """Return every part of it in words, by name."""
        parts = {part.name: str(getattr(self, part.name)) for part in fields(self) if part.name != "recipe"}
        recipe = {f"recipe.{part.name}": repr(getattr(self.recipe, part.name)) for part in fields(self.recipe)}
        return parts | recipe

    def require_same(self, identity: Any) -> None:
        """Refuse to go on from a checkpoint of another run.

        Raises:
            ValueError: With the first part that differs.
        """
        for name, value in self.identity().items():
            if identity.get(name) != value:
                raise ValueError(f"cannot resume: {name} is {value} now, and {identity.get(name)} in the checkpoint")


@dataclass
class Stop:
    """Whether the process was told to stop, or another worker was."""

    workers: Workers = ALONE
    number: int = 0

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Note a signal."""
        self.number = number

    def obey(self, wish: bool = False) -> bool:
        """Stop where a signal was noted; all workers stop at the same place.

        Returns:
            Whether one of the workers has a wish.

        Raises:
            Interrupted: If a signal was noted.
        """
        told, wishes = self.workers.total(self.number > 0, wish)
        if told:
            raise Interrupted(self.number or signal.SIGTERM)
        return wishes > 0


@contextmanager
def told_to_stop(workers: Workers = ALONE) -> Iterator[Stop]:
    """Note SIGTERM and Ctrl-C instead of ending at once."""
    stop = Stop(workers)
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Stoppable:
    """Data that may be told to stop before every batch."""

    data: Source
    stop: Stop

    def batches(self, batch_size: int, order: np.random.Generator | None = None, skip: int = 0) -> Iterable[Batch]:
        """Yield the data's batches; see `Source`."""
        for batch in self.data.batches(batch_size, order, skip):
            self.stop.obey()
            yield batch


@dataclass
class Run:
    """A run in a folder.

    Attributes:
        net: The network, without weights.
        setting: What decides its result.
        folder: Where its files are; the same for all workers.
        ctx: The device or devices where it computes.
        warn: Told in one line what went wrong without ending the run.
        minutes: Between two checkpoints; there is one after every epoch too.
        after_step: Called after every step.
        history: The metrics of the epochs that are done.
        saved: The last checkpoint.
        workers: That train together; worker 0 writes all files, which are the same for all.
    """

    net: HybridBlock
    setting: Setting
    folder: Path
    ctx: Any
    warn: Callable[[str], None]
    minutes: float = 10.0
    after_step: Callable[[Progress], None] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    saved: Path | None = None
    workers: Workers = ALONE

    def start(self, *, resume: bool) -> Progress:
        """Return where the run goes on, or begins.

        Raises:
            ValueError: If it is to be resumed and is another run's, or has no whole checkpoint; or is to begin and
                has begun; or is not the same for all workers.
            OSError: If the folder cannot be used.
        """
        if self.workers.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left_by_a_killed_process in self.folder.glob(f"*{UNFINISHED}"):
                left_by_a_killed_process.unlink()
        checkpoint = self._checkpoint(resume)
        self.workers.require_same("settings or data", str(self.setting.identity()))
        self.workers.require_same(f"a checkpoint in {self.folder}", str(checkpoint and dict(checkpoint.place)))
        if checkpoint is None:
            return begin(self.net, self.setting.recipe, self.ctx, self.workers)
        self.saved = checkpoints.path_of(checkpoint, self.folder)
        self.history = [dict(metrics) for metrics in checkpoint.history]
        return checkpoints.go_on(checkpoint, self.net, self.setting.recipe, self.ctx, self.workers)

    def _checkpoint(self, resume: bool) -> checkpoints.Checkpoint | None:
        """Return the checkpoint that the run goes on from; None where it begins. See `start`."""
        if not resume:
            if checkpoints.paths(self.folder):
                raise ValueError(f"{self.folder}: a run has begun there; name another --output, or --resume it")
            return None
        checkpoint, warnings = checkpoints.latest(self.folder)
        for warning in warnings:
            self.warn(warning)
        if checkpoint is None and not warnings:
            self.warn(f"{self.folder}: nothing is saved there yet; beginning anew")
        elif checkpoint is None:
            raise ValueError(f"{self.folder}: no whole checkpoint to resume")
        else:
            self.setting.require_same(checkpoint.identity)
        return checkpoint

    def epochs(self, progress: Progress, train: Source, test: Source) -> Iterator[EpochMetrics]:
        """Train, saving the run after every epoch and every few minutes.

        Raises:
            Interrupted: After SIGTERM or Ctrl-C, with the run saved.
            ValueError, Divergence: See `fit`.
        """
        recipe, seed = self.setting.recipe, self.setting.seed
        with told_to_stop(self.workers) as stop:
            last = time.monotonic()

            def after_step(progress: Progress) -> None:
                nonlocal last
                if self.after_step is not None:
                    self.after_step(progress)
                if stop.obey(time.monotonic() - last > 60 * self.minutes):
                    self.save(progress)
                    last = time.monotonic()

            data = (train, Stoppable(test, stop))
            try:
                for metrics in fit(
                    self.net, *data, recipe, seed=seed, ctx=self.ctx, progress=progress, after_step=after_step
                ):
                    self.history.append(metrics._asdict())
                    self.save(progress)
                    last = time.monotonic()
                    yield metrics
                    stop.obey()
            except Interrupted:
                self.save(progress)
                self.workers.leave()
                raise

    def save(self, progress: Progress) -> None:
        """Write log and checkpoint; a disk that is full is a warning, and the files before stay.

        All workers come here together, for the sums of the last step, and worker 0 writes.

        Raises:
            Divergence: If that step's loss is not finite.
        """
        progress.settle()
        if self.workers.rank:
            return
        log = "".join(json.dumps(metrics) + "\n" for metrics in self.history)
        try:
            checkpoint = checkpoints.capture(self.net, progress, self.setting.identity(), self.history)
            replace_file(self.folder / LOG, lambda file: file.write(log.encode()))
            self.saved = checkpoints.save(checkpoint, self.folder)
        except OSError as error:
            self.warn(f"not saved, going on without: {error}")
