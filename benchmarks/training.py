"""Measure the training loop beside the article's and PyTorch's, in one run: images a second and peak memory.

``python benchmarks/training.py`` trains AlexNet (batches of 128) and ResNet-50 (of 32) at 224x224 on Fashion-MNIST:

- ``article``: the article's loop: image files decoded and resized by 4 workers, results read back after every step;
- ``ours``: `reference.training.fit` on images in memory, as ``python -m reference train`` calls it;
- ``pytorch``: the same network, weights' distribution, optimizer and batch in PyTorch;
- ``network``: ours on one batch that is ready; ``loader``: our batches without a network.

Each runs in a process of its own. They take turns, a block of steps each, while the others are stopped; the first block
of each warms up and does not count. The table has the median, lowest and highest block, and ``--profile`` shows
where the time of ``ours`` goes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import IO

import numpy as np

from contenders import CONTENDERS, Block, Task
from reference.data.fashion_mnist import FashionMNIST, export, find

HERE = Path(__file__).parent
BATCH_SIZES = {"alexnet": 128, "resnet50": 32}
ENOUGH = 1.15
"""Times the article's images a second that ours are to be."""


@dataclass
class Contender:
    """A contender's process, which runs only while it is its turn.

    Attributes:
        task: What it does.
        blocks: What its blocks took, without the first.
    """

    task: Task
    blocks: list[Block] = field(default_factory=list)

    def start(self) -> None:
        """Start the process, wait for its first block and stop it."""
        threads = str(len(os.sched_getaffinity(0)))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "contenders.py"), json.dumps(asdict(self.task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"OMP_NUM_THREADS": threads, **os.environ},
            text=True,
            start_new_session=True,
        )
        self._block()

    def turn(self) -> None:
        """Let it run one block."""
        self._send(signal.SIGCONT)
        self._stdin().write("\n")
        self._stdin().flush()
        self.blocks.append(self._block())

    def end(self) -> None:
        """Let it end, or end it where it does not."""
        self._send(signal.SIGCONT)
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self.process.wait()

    def _block(self) -> Block:
        """Wait for the end of a block, and stop the process with its workers."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.task.kind}: ended with exit code {self.process.wait()}; its message is above")
        self._send(signal.SIGSTOP)
        return Block(**json.loads(line))

    def _stdin(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def _send(self, number: signal.Signals) -> None:
        """Signal the process and its workers, which are a group by themselves."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    @property
    def speeds(self) -> list[float]:
        """Images a second of every block."""
        return [self.task.batch_size * self.task.steps / block.seconds for block in self.blocks]


def take_turns(tasks: Sequence[Task], blocks: int) -> dict[str, Contender]:
    """Run every contender's blocks, a block each in turn; the first to go changes from round to round.

    Args:
        tasks: Of the contenders.
        blocks: That count, of each.
    """
    contenders = {task.kind: Contender(task) for task in tasks}
    started: list[Contender] = []
    try:
        for contender in contenders.values():
            started.append(contender)
            contender.start()
        for number in range(blocks):
            first = number % len(started)
            for contender in started[first:] + started[:first]:
                contender.turn()
            print(f"round {number + 1} of {blocks}", file=sys.stderr, flush=True)
    finally:
        for contender in started:
            contender.end()
    return contenders


def write_data(data: FashionMNIST, folder: Path, *, files: bool) -> None:
    """Write what the contenders read: arrays, and image folders where they are asked for."""
    np.save(folder / "images.npy", data.train[0])
    np.save(folder / "labels.npy", data.train[1])
    if files:
        for _ in export(replace(data, test=(data.test[0][:0], data.test[1][:0])), folder / "png"):
            pass


def table(contenders: dict[str, Contender]) -> list[str]:
    """Return the lines of a Markdown table of images a second and memory."""
    lines = ["| loop | images a second | lowest to highest | peak memory, MB | its workers, MB |", "| --- " * 5 + "|"]
    for kind, contender in contenders.items():
        speeds, blocks = contender.speeds, contender.blocks
        peak, workers = max(block.peak for block in blocks), max(block.workers for block in blocks)
        spread = f"{min(speeds):.1f} to {max(speeds):.1f}"
        lines.append(
            f"| {kind} | {median(speeds):.1f} | {spread} | {peak:.0f} | {f'{workers:.0f}' if workers else ''} |"
        )
    return lines


def ratios(contenders: dict[str, Contender]) -> list[str]:
    """Return how ours compares with the others: the median of the rounds' ratios, lowest to highest, and the goal."""
    if "ours" not in contenders:
        return []
    lines, mine = [], contenders["ours"]
    for kind, goal in (("article", ENOUGH), ("pytorch", 1.0), ("network", None), ("loader", None)):
        if kind in contenders:
            pairs = zip(mine.speeds, contenders[kind].speeds, strict=True)
            found = [own / other for own, other in pairs]
            wanted = f"; goal: at least {goal:g}" if goal else ""
            lines.append(f"- ours / {kind}: {median(found):.3f} ({min(found):.3f} to {max(found):.3f}){wanted}")
    if "article" in contenders:
        own, other = (max(block.peak for block in contenders[kind].blocks) for kind in ("ours", "article"))
        lines.append(f"- peak memory, ours / article: {own / other:.3f}; goal: at most 1")
    return lines


def machine() -> str:
    """Return what was measured on: processor, threads and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    threads = os.environ.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    return f"{processor}, {threads} threads, Python {platform.python_version()}, {', '.join(_versions())}"


def _versions() -> list[str]:
    found = []
    for package in ("mxnet", "torch", "numpy"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return found


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; the message of a wrong one is a line, the exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--network", choices=BATCH_SIZES, action="append", help="default: both")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--blocks", type=int, default=7, metavar="N", help="that count, default: 7")
    parser.add_argument("--steps", type=int, default=4, metavar="N", help="in a block, default: 4")
    parser.add_argument("--batch-size", type=int, metavar="N", help="default: 128, resnet50: 32")
    parser.add_argument("--image-size", type=int, default=224, metavar="N", help="default: 224")
    parser.add_argument("--images", type=int, default=60_000, metavar="N", help="of Fashion-MNIST, default: all")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of Fashion-MNIST, default: looked for")
    parser.add_argument("--profile", action="store_true", help="show what the time of `ours` is spent on instead")
    arguments = parser.parse_args(argv)
    arguments.contenders = list(filter(None, arguments.contenders.split(",")))
    for kind in arguments.contenders:
        if kind not in CONTENDERS:
            parser.error(f"--contenders {kind!r}: allowed are {', '.join(CONTENDERS)}")
    for name in ("blocks", "steps", "batch_size", "image_size", "images"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value}: allowed are integers from 1 on")
    if "pytorch" in arguments.contenders and not arguments.profile and find_spec("torch") is None:
        parser.error("PyTorch is not installed: use `nox -s benchmarks`, or leave pytorch out of --contenders")
    return arguments


def main(argv: Sequence[str]) -> None:
    """Measure, and print Markdown."""
    arguments = parse(argv)
    data = find(arguments.data)
    data = replace(data, train=(data.train[0][: arguments.images], data.train[1][: arguments.images]))
    print(f"{machine()}; {len(data.train[0])} images")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        write_data(data, Path(folder), files="article" in arguments.contenders and not arguments.profile)
        for name in arguments.network or BATCH_SIZES:
            batch_size = arguments.batch_size or BATCH_SIZES[name]
            size, steps = arguments.image_size, arguments.steps
            tasks = [Task(kind, name, batch_size, size, steps, folder) for kind in arguments.contenders]
            print(f"\n## {name}, batches of {batch_size}, {size}x{size}\n", flush=True)
            if arguments.profile:
                from profiling import profile

                print("\n".join(profile(replace(tasks[0], kind="ours"))), flush=True)
                continue
            found = take_turns(tasks, arguments.blocks)
            print("\n".join([*table(found), "", *ratios(found)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
