"""What may be wrong in a training loop: functions that take the place of those in `reference.training`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from reference.runtime.mxnet_compat import mx
from reference.training import loop as training
from reference.training import state as progress
from reference.training.batches import Batch, Examples, Source, batches_of
from reference.training.initialization import complete
from reference.training.metrics import StepOutput, Tally

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
        "new_trainer",
        "order_of",
        "predictions",
        "step_seed",
        "train_epoch",
        "train_step",
    )
}


def put(patches: Mapping[str, Any]) -> None:
    """Put others in the place of the loop's functions of these names, in every module of the loop that has them."""
    for name, patch in patches.items():
        for module in (training, progress):
            if hasattr(module, name):
                setattr(module, name, patch)


def restore() -> None:
    """Put the loop's own functions back."""
    put(ORIGINALS)


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


def with_adam(**settings: float) -> Callable[..., Any]:
    """Give Adam other settings than the recipe's."""

    def patched(net: Any, recipe: Any, *rest: Any) -> Any:
        if recipe.optimizer == "adam":
            recipe = dataclasses.replace(recipe, optimizer_settings=tuple(settings.items()))
        return ORIGINALS["new_trainer"](net, recipe, *rest)

    return patched


def forgetting_moments(net: Any, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Begin every step of Adam as its first."""
    if isinstance(trainer._optimizer, mx.optimizer.Adam):
        for updater in trainer._updaters:
            updater.states.clear()
    return train_step(net, trainer, batch, divide_by)


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


def unseeded(data: Any, batch_size: int, order: Any = None, skip: int = 0) -> Iterator[Batch]:
    """Leave a loader's order to chance."""
    return batches_of(data, batch_size, order if isinstance(data, Source) else None, skip)


def without_the_first_loaded(data: Any, batch_size: int, order: Any = None, skip: int = 0) -> Iterator[Batch]:
    """Lose the first batch that a loader gives."""
    return batches_of(data, batch_size, order, skip + (order is not None and not isinstance(data, Source)))


def in_stored_order(data: Any, batch_size: int, order: Any = None, skip: int = 0) -> Iterator[Batch]:
    """Never shuffle."""
    return batches_of(data, batch_size)


def doubled(batch: Batch) -> Batch:
    """Put the first image of a batch in the place of the second."""
    places = [0, 0, *range(2, len(batch.labels))]
    return Batch(batch.images[places], batch.labels[places])


def rolled(batch: Batch) -> Batch:
    """Give every image the label of the one before."""
    labels = batch.labels.asnumpy() if isinstance(batch.labels, mx.nd.NDArray) else batch.labels
    return Batch(batch.images, np.roll(labels, 1))


def predicted_in_train_mode(net: Any, data: Any, batch_size: int) -> Iterator[tuple[StepOutput, Any]]:
    """Predict in train mode."""
    for images, labels in batches_of(data, batch_size):
        with mx.autograd.train_mode():
            logits = net(mx.nd.array(images))
        yield StepOutput(training.cross_entropy(logits, labels), logits), labels


def moving_statistics(net: Any, data: Any, batch_size: int) -> Iterator[tuple[StepOutput, Any]]:
    """Move the running statistics after every batch that is predicted."""
    for output in ORIGINALS["predictions"](net, data, batch_size):
        yield output
        net.norm.running_mean.set_data(net.norm.running_mean.data() * 0.9)


def reporting_the_next_rate(*arguments: Any, **options: Any) -> Iterator[Any]:
    """Report the learning rate that comes next."""
    for metrics in fit(*arguments, **options):
        yield metrics._replace(learning_rate=metrics.learning_rate / 2)


def trained_on_test_images(net: Any, train: Any, test: Examples, *arguments: Any, **options: Any) -> Any:
    """Mix the test images into the training images, where both are in memory."""
    if not isinstance(train, Examples):
        return fit(net, train, test, *arguments, **options)
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
