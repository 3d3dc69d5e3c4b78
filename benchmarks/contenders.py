"""The loops that `benchmarks/training.py` compares, each in a process of its own.

``python benchmarks/contenders.py '{"kind": ..., "network": ..., ...}'`` trains block by block: after each it writes its
time and memory to standard output as a line of JSON, and goes on when a line comes in. It ends with the input.

PyTorch's networks are those of `conformance.ports.torch.networks`, but with PyTorch's own BatchNorm, which is faster
than one that follows MXNet's running variance. Their ReLUs are not in place.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

CHANNELS, CLASSES, WORKERS = 3, 10, 4


@dataclass(frozen=True)
class Task:
    """What a contender does.

    Attributes:
        kind: One of `CONTENDERS`.
        network: "alexnet" or "resnet50".
        batch_size: Images in a step.
        image_size: Height and width in pixels.
        steps: In a block.
        folder: Has ``images.npy``, ``labels.npy`` and the image folders ``png/train/0`` to ``png/train/9``.
    """

    kind: str
    network: str
    batch_size: int
    image_size: int
    steps: int
    folder: str

    def arrays(self) -> tuple[Any, Any]:
        """Return images, uint8 of shape (N, 28, 28), and labels, uint8 of shape (N,)."""
        return np.load(Path(self.folder, "images.npy")), np.load(Path(self.folder, "labels.npy"))


@dataclass(frozen=True)
class Block:
    """What a block took.

    Attributes:
        seconds: From its first step until every value of its last is computed.
        peak: Largest resident memory of the process so far, in MB.
        workers: Proportional memory of its worker processes at the end of the block, in MB.
    """

    seconds: float
    peak: float
    workers: float


def megabytes(process: str, file: str, key: str) -> float:
    """Return an entry of a process's file in /proc, in MB; 0 where the process has ended."""
    try:
        lines = Path("/proc", process, file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


class Clock:
    """Called after every step; ends a block after so many of them and waits for the next to be asked for.

    Args:
        steps: In a block.
        finish: Waits until all that was begun is computed.
    """

    def __init__(self, steps: int, finish: Callable[[], None] = lambda: None) -> None:
        """Begin the first block."""
        self.steps, self.finish, self.done, self.start = steps, finish, 0, time.perf_counter()

    def __call__(self, *_: Any) -> None:
        """Count a step.

        Raises:
            EOFError: When no further block is asked for.
        """
        self.done += 1
        if self.done % self.steps:
            return
        self.finish()
        seconds = time.perf_counter() - self.start
        workers = (str(child.pid) for child in multiprocessing.active_children())
        memory = sum(megabytes(worker, "smaps_rollup", "Pss:") for worker in workers)
        print(json.dumps(asdict(Block(seconds, megabytes("self", "status", "VmHWM"), memory))), flush=True)
        if not sys.stdin.readline():
            raise EOFError
        self.start = time.perf_counter()


def article(task: Task) -> None:
    """Train as the article does: image files, four workers, loss and accuracy read back after every step."""
    from reference import get_model
    from reference.runtime.mxnet_compat import mx

    vision = mx.gluon.data.vision
    transform = vision.transforms.Compose([vision.transforms.Resize(task.image_size), vision.transforms.ToTensor()])
    dataset = vision.ImageFolderDataset(str(Path(task.folder, "png", "train")), flag=1).transform_first(transform)
    data = mx.gluon.data.DataLoader(dataset, task.batch_size, shuffle=True, num_workers=WORKERS)
    net = get_model(task.network, classes=CLASSES)
    net.initialize(mx.init.Normal(0.01))
    net.hybridize()
    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    clock, loss_sum, correct = Clock(task.steps, mx.nd.waitall), 0.0, 0
    while True:
        for shared_images, shared_labels in data:
            # What workers loaded lies in shared memory, which MXNet takes for another device.
            images, labels = (array.as_in_context(mx.cpu()) for array in (shared_images, shared_labels))
            with mx.autograd.record():
                logits = net(images)
                loss = cross_entropy(logits, labels).sum()
            loss.backward()
            trainer.step(task.batch_size)
            loss_sum += loss.asscalar()
            correct += int((logits.argmax(axis=1) == labels.astype("float32")).sum().asscalar())
            clock()


def ours(task: Task, after_step: Callable[[Any], None] | None = None) -> None:
    """Train with `reference.training.fit` as ``python -m reference train`` does."""
    from reference.data.batch_buffers import InputArrays
    from reference.training.batches import Examples

    _fit(task, Examples(*task.arrays(), InputArrays(task.image_size, CHANNELS)), after_step)


def network(task: Task) -> None:
    """Train with `fit` on one batch that is ready, so that nothing is loaded."""
    _fit(task, Repeated(task), None)


def _fit(task: Task, data: Any, after_step: Callable[[Any], None] | None) -> None:
    from reference import get_model
    from reference.runtime.mxnet_compat import mx
    from reference.training import ARTICLE, fit
    from reference.training.devices import keep_one_scratch_space

    keep_one_scratch_space()
    net = get_model(task.network, classes=CLASSES)
    net.hybridize(static_alloc=True)
    recipe = replace(ARTICLE, batch_size=task.batch_size, epochs=1_000_000)
    clock = after_step or Clock(task.steps, mx.nd.waitall)
    for _ in fit(net, data, recipe=recipe, ctx=mx.cpu(), after_step=clock):
        pass


@dataclass(frozen=True)
class Repeated:
    """A source of always the same batch, on the device."""

    task: Task

    def batches(self, batch_size: int, order: Any = None, skip: int = 0) -> Iterator[tuple[Any, Any]]:
        """Yield it without end."""
        from reference.data import to_images
        from reference.runtime.mxnet_compat import mx

        images, labels = (array[:batch_size] for array in self.task.arrays())
        ready = mx.nd.array(to_images(images, self.task.image_size, CHANNELS))
        while True:
            yield ready, labels


def loader(task: Task) -> None:
    """Load as `ours` does, up to images in MXNet's memory, and train nothing."""
    from reference.data.batch_buffers import InputArrays
    from reference.training.batches import Examples

    examples = Examples(*task.arrays(), InputArrays(task.image_size, CHANNELS))
    clock, epoch = Clock(task.steps), 0
    while True:
        epoch += 1
        for _ in examples.batches(task.batch_size, np.random.default_rng(epoch)):
            clock()


def pytorch(task: Task) -> None:
    """Train the same network with the same optimizer in PyTorch, with images resized by PyTorch in whole batches."""
    import torch

    from conformance.ports.torch.networks import build

    torch.manual_seed(0)
    images, labels = (torch.from_numpy(array) for array in task.arrays())
    sized = {"image_size": task.image_size} if task.network == "alexnet" else {}
    net = build(task.network, classes=CLASSES, **sized).train()
    prepare(net)
    # Of PyTorch's three implementations of Adam the fastest.
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    clock, loss_sum, correct = Clock(task.steps), 0.0, 0
    while True:
        for places in torch.randperm(len(images)).split(task.batch_size):
            grey = images[places].unsqueeze(1).float().div_(255)
            sizes = (task.image_size, task.image_size)
            resized = torch.nn.functional.interpolate(grey, sizes, mode="bilinear", align_corners=False)
            truth = labels[places].long()
            logits = net(resized.expand(-1, CHANNELS, -1, -1).contiguous())
            loss = torch.nn.functional.cross_entropy(logits, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(truth)
            correct += int((logits.argmax(1) == truth).sum())
            clock()


def prepare(net: Any) -> None:
    """Give a PyTorch network PyTorch's own BatchNorm, and the article's weights: Normal(0.01), and biases of 0."""
    from torch import nn

    for module in list(net.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(module, name, nn.BatchNorm2d(layer.num_features))
            elif isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)


CONTENDERS: dict[str, Callable[[Task], None]] = {run.__name__: run for run in (article, ours, pytorch, network, loader)}


def main() -> None:
    """Run the contender that the argument describes until no further block is asked for."""
    task = Task(**json.loads(sys.argv[1]))
    try:
        CONTENDERS[task.kind](task)
    except EOFError:
        return


if __name__ == "__main__":
    main()
