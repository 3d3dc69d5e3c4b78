"""Faults of the training loop, each a patch of the real loop that a subject's build function puts in place.

The build function runs in the worker process, where the loop runs too. In the tests' own process `restore` takes the
patches back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance import Subject
from flaws import Small
from reference import training
from reference.batches import Batch, Examples, batches_of
from reference.initialization import complete
from reference.metrics import StepOutput, Tally
from reference.mxnet_compat import mx

fit, train_epoch, train_step, evaluate = training.fit, training.train_epoch, training.train_step, training.evaluate
ORIGINALS = {
    name: getattr(training, name)
    for name in (
        "Tally",
        "batches_of",
        "complete",
        "divisor",
        "evaluate",
        "fit",
        "order_of",
        "predictions",
        "step_seed",
        "train_epoch",
        "train_step",
    )
}


def restore() -> None:
    """Put the loop's own functions back."""
    for name, original in ORIGINALS.items():
        setattr(training, name, original)


def averaged_twice(net: Any, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Take the gradient of the mean loss, and divide it by the number of images again."""
    with mx.autograd.record():
        logits = net(batch.images)
        losses = training.cross_entropy(logits, batch.labels)
        mean = losses.mean()
    mean.backward()
    trainer.step(divide_by)
    return StepOutput(losses, logits)


def in_predict_mode(net: Any, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Record a step in predict mode."""
    with mx.autograd.record(train_mode=False):
        logits = net(batch.images)
        losses = training.cross_entropy(logits, batch.labels)
    losses.backward()
    trainer.step(divide_by)
    return StepOutput(losses, logits)


def made_twice(net: Any, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Update twice by one gradient."""
    output = train_step(net, trainer, batch, divide_by)
    for parameter in trainer._params:
        if parameter.grad_req == "write":
            parameter.data()._fresh_grad = True
    trainer.step(divide_by)
    return output


def skipped_if_small(net: Any, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Make no update by a batch that is not full."""
    if divide_by == 8:
        return train_step(net, trainer, batch, divide_by)
    with mx.autograd.record():
        logits = net(batch.images)
    return StepOutput(training.cross_entropy(logits, batch.labels), logits)


def accumulating(net: Any, images: Any, seed: int) -> None:
    """Add every step's gradient to the one before."""
    complete(net, images, seed)
    for parameter in net.collect_params().values():
        if parameter.grad_req == "write":
            parameter.grad_req = "add"


def shifted(epochs: int) -> Callable[..., None]:
    """Train with the learning rate of a later epoch."""

    def patched(net: Any, data: Any, recipe: Any, *rest: Any) -> None:
        schedule = recipe.schedule
        moved = dataclasses.replace(recipe, schedule=lambda number, total: schedule(max(1, number + epochs), total))
        train_epoch(net, data, moved, *rest)

    return patched


def without_momentum(net: Any, data: Any, recipe: Any, progress: training.Progress, *rest: Any) -> None:
    """Begin every epoch with a new trainer."""
    progress.trainer = training.new_trainer(net, recipe, None)
    train_epoch(net, data, recipe, progress, *rest)


def changed_batches(change: Callable[[Batch], Batch | None]) -> Callable[..., Iterator[Batch]]:
    """Change or drop the training batches, which alone come in a drawn order."""

    def patched(data: Any, batch_size: int, order: Any = None, skip: int = 0) -> Iterator[Batch]:
        for batch in batches_of(data, batch_size, order, skip):
            changed = batch if order is None else change(batch)
            if changed is not None:
                yield changed

    return patched


def in_stored_order(data: Any, batch_size: int, order: Any = None, skip: int = 0) -> Iterator[Batch]:
    """Never shuffle."""
    return batches_of(data, batch_size)


def doubled(batch: Batch) -> Batch:
    """Put the first image of a batch in the place of the second."""
    places = [0, 0, *range(2, len(batch.labels))]
    return Batch(batch.images[places], batch.labels[places])


def predicted_in_train_mode(net: Any, data: Any, batch_size: int) -> Iterator[tuple[StepOutput, Any]]:
    """Predict in train mode."""
    for images, labels in batches_of(data, batch_size):
        with mx.autograd.train_mode():
            logits = net(mx.nd.array(images))
        yield StepOutput(training.cross_entropy(logits, labels), logits), labels


def trained_on_test_images(net: Any, train: Examples, test: Examples, *arguments: Any, **options: Any) -> Any:
    """Mix the test images into the training images."""
    images, labels = np.concatenate([train.images, test.images]), np.concatenate([train.labels, test.labels])
    return fit(net, Examples(images, labels), test, *arguments, **options)


class CountingFullBatches(Tally):
    """Counts every batch as a full one."""

    def count(self) -> None:
        """Count 8 images."""
        new = self.waiting is not None
        before = self.images
        super().count()
        self.images = before + 8 * new


class LastBatch(Tally):
    """Forgets all batches but the last."""

    def count(self) -> None:
        """Begin anew."""
        if self.waiting is not None:
            self.images, self.loss, self.correct = 0, 0.0, 0
        super().count()


@dataclass(frozen=True)
class LoopFault:
    """A fault of the loop.

    Attributes:
        wrong: What is wrong.
        check: Id of the check that must fail.
        says: What the failure must say.
        patches: What takes the place of the loop's functions of these names.
    """

    wrong: str
    check: str
    says: str
    patches: dict[str, Any]

    @property
    def subject(self) -> Subject:
        """A right block whose build function patches the loop."""

        def build() -> Small:
            restore()
            for name, patch in self.patches.items():
                setattr(training, name, patch)
            return Small()

        return Subject("small", build=build, input_shape=(3, 32, 32))


TRAIN_IMAGES, TEST_IMAGES, ORDER, UPDATES, RATE, METRICS = (
    f"training.{name}" for name in ("train_images", "test_images", "order", "updates", "learning_rate", "metrics")
)
STEP_1, STEP_3 = "epoch 1, step 1 (8 images): update of conv.weight", "epoch 1, step 3 (4 images): update of conv."

LOOP_FAULTS: tuple[LoopFault, ...] = (
    LoopFault(
        "last batch dropped",
        TRAIN_IMAGES,
        "epoch 1, training: training image 8: expected 1 times, actual 0 times",
        {"batches_of": changed_batches(lambda batch: batch if len(batch.labels) == 8 else None)},
    ),
    LoopFault(
        "an image twice, another never",
        TRAIN_IMAGES,
        "epoch 1, training: training image 7: expected 1 times, actual 2 times",
        {"batches_of": changed_batches(doubled)},
    ),
    LoopFault(
        "test images in training",
        TRAIN_IMAGES,
        "epoch 1, training: test image 0: expected 0 times, actual 1 times",
        {"fit": trained_on_test_images},
    ),
    LoopFault(
        "training in predict mode",
        TRAIN_IMAGES,
        "epoch 1, step 1: expected train mode, actual predict mode",
        {"train_step": in_predict_mode},
    ),
    LoopFault(
        "evaluation in train mode",
        TEST_IMAGES,
        "epoch 1, test batch 1: expected predict mode, actual train mode",
        {"predictions": predicted_in_train_mode},
    ),
    LoopFault(
        "evaluation on the training images",
        TEST_IMAGES,
        "epoch 1, evaluation: training image 0: expected 0 times, actual 1 times",
        {"fit": lambda net, train, test, *arguments, **options: fit(net, train, train, *arguments, **options)},
    ),
    LoopFault(
        "evaluation drops the last batch",
        TEST_IMAGES,
        "epoch 1, evaluation: test image 8: expected 1 times, actual 0 times",
        {"evaluate": lambda net, data, size: evaluate(net, Examples(data.images[:8], data.labels[:8]), size)},
    ),
    LoopFault(
        "no shuffling", ORDER, "the images come in the order they are stored in", {"batches_of": in_stored_order}
    ),
    LoopFault(
        "the same order in every epoch",
        ORDER,
        "epoch 2: expected another order than epoch 1",
        {"order_of": lambda seed, epoch: np.random.default_rng(seed)},
    ),
    LoopFault(
        "an order without a seed",
        ORDER,
        "the same seed: expected the order",
        {"order_of": lambda seed, epoch: np.random.default_rng()},
    ),
    LoopFault(
        "an order that ignores the seed",
        ORDER,
        "another seed: expected another order",
        {"order_of": lambda seed, epoch: np.random.default_rng(epoch)},
    ),
    LoopFault("loss averaged twice", UPDATES, STEP_1, {"train_step": averaged_twice}),
    LoopFault("last batch weighted as a full one", UPDATES, STEP_3, {"divisor": lambda recipe, images: 8}),
    LoopFault("gradients never cleared", UPDATES, "step 2 (8 images): update of conv.", {"complete": accumulating}),
    LoopFault("a step without an update", UPDATES, STEP_3, {"train_step": skipped_if_small}),
    LoopFault("every update made twice", UPDATES, STEP_1, {"train_step": made_twice}),
    LoopFault("momentum lost after an epoch", UPDATES, "epoch 2, step 1", {"train_epoch": without_momentum}),
    LoopFault(
        "labels of the next image",
        UPDATES,
        STEP_1,
        {"batches_of": changed_batches(lambda batch: Batch(batch.images, np.roll(batch.labels, 1)))},
    ),
    LoopFault(
        "the same dropout in every step",
        UPDATES,
        "epoch 1, step 1 (8 images): logits",
        {"step_seed": lambda seed, epoch, step: seed},
    ),
    LoopFault(
        "learning rate an epoch early",
        RATE,
        "epoch 1, step 1 (8 images): expected learning rate 0.01, actual 0.005",
        {"train_epoch": shifted(1)},
    ),
    LoopFault(
        "learning rate an epoch late",
        RATE,
        "epoch 2, step 1 (8 images): expected learning rate 0.005, actual 0.01",
        {"train_epoch": shifted(-1)},
    ),
    LoopFault("metrics over full batches", METRICS, "epoch 1, training loss: expected", {"Tally": CountingFullBatches}),
    LoopFault("metrics of the last batch", METRICS, "epoch 1, training loss: expected", {"Tally": LastBatch}),
)
