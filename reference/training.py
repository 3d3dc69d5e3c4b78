"""The training loop as a library: `fit` trains a network and yields what each epoch gave.

It prints nothing, reads no file and keeps no state outside its arguments. All randomness comes from the seed, the
epoch and the step, so a run can be repeated, and continued from any step: MXNet's generator is seeded before every
step, and the order of the images comes from a NumPy generator of the epoch's own.

MXNet's engine works behind Python's back until a value is read. The loop reads the results of a step only when the
next one is under way, so that preparing a batch and computing on the one before overlap.

>>> for metrics in fit(alexnet(classes=10), Examples(images, labels), Examples(*test), recipe=REFERENCE):
...     print(metrics.epoch, metrics.loss, metrics.test_accuracy)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.batches import Batch, Data, Examples, batches_of
from reference.initialization import complete, context_of, initialize
from reference.metrics import Divergence, EpochMetrics, Metrics, StepOutput, Tally
from reference.mxnet_compat import HybridBlock, mx
from reference.randomness import augmented, order_of, step_seed
from reference.recipes import ARTICLE, RECIPES, REFERENCE, Recipe

__all__ = [
    "ARTICLE",
    "RECIPES",
    "REFERENCE",
    "Batch",
    "Divergence",
    "EpochMetrics",
    "Examples",
    "Metrics",
    "Progress",
    "Recipe",
    "StepOutput",
    "begin",
    "evaluate",
    "fit",
    "predictions",
    "train_step",
]


LOSS = mx.gluon.loss.SoftmaxCrossEntropyLoss()


def fit(
    net: HybridBlock,
    train_data: Data,
    test_data: Data | None = None,
    recipe: Recipe = REFERENCE,
    *,
    seed: int = 0,
    ctx: Any = None,
    progress: Progress | None = None,
    after_step: Callable[[Progress], None] | None = None,
) -> Iterator[EpochMetrics]:
    """Train a network, epoch by epoch.

    Args:
        net: Maps images to logits (N, classes). Weights it has are kept; a parameter that has none gets them from the
            recipe's initializer.
        train_data: Gives the batches of an epoch, each image once: `Examples`, Gluon's DataLoader, any iterable.
        test_data: The same, to evaluate on after each epoch.
        recipe: How to train.
        seed: Of initial weights, dropout, augmentation and the order of images.
        ctx: Where a network without weights is put; default: a GPU if there is one.
        progress: Where to go on; it is kept current.
        after_step: Called after every step, for example to save the progress.

    Yields:
        The metrics of each epoch, when it is done.

    Raises:
        ValueError: If a label is none of the network's classes, there is no image or nothing to train.
        Divergence: If the loss is not finite.
    """
    progress = progress or begin(net, recipe, ctx)
    while progress.epoch <= recipe.epochs:
        train_epoch(net, train_data, recipe, progress, seed, after_step)
        loss, accuracy = progress.tally.metrics()
        tested: tuple[float | None, float | None] = (None, None)
        if test_data is not None:
            tested = evaluate(net, test_data, recipe.batch_size)
        speed = progress.tally.images / progress.seconds
        metrics = EpochMetrics(
            progress.epoch, recipe.rate(progress.epoch), loss, accuracy, *tested, speed, progress.seconds
        )
        progress.next_epoch()
        yield metrics


@dataclass
class Progress:
    """Where a run is: with the network's weights and the trainer's states, all that its future depends on.

    Attributes:
        trainer: Gluon's Trainer with the optimizer's states.
        tally: What the steps of the epoch gave.
        epoch: That is being trained, the first being 1.
        step: Steps of it that are done.
        seconds: They took.
    """

    trainer: Any
    tally: Tally
    epoch: int = 1
    step: int = 0
    seconds: float = 0.0

    def next_epoch(self) -> None:
        """Go on to the first step of the next epoch."""
        self.epoch, self.step, self.tally, self.seconds = self.epoch + 1, 0, Tally(), 0.0


def begin(net: HybridBlock, recipe: Recipe, ctx: Any = None) -> Progress:
    """Give a network the weights it lacks, and return the beginning of a run; see `fit`."""
    return Progress(new_trainer(net, recipe, context_of(net, ctx)), Tally())


def train_epoch(
    net: HybridBlock,
    data: Data,
    recipe: Recipe,
    progress: Progress,
    seed: int,
    after_step: Callable[[Progress], None] | None = None,
) -> None:
    """Make the steps of an epoch that are not done yet, and count what they give.

    Raises:
        ValueError: See `fit`.
        Divergence: If the loss is not finite; the message names the step and the learning rate.
    """
    epoch, ctx, start = progress.epoch, context_of(net), time.perf_counter() - progress.seconds
    progress.trainer.set_learning_rate(recipe.rate(epoch))
    for batch in batches_of(data, recipe.batch_size, order_of(seed, epoch), progress.step):
        step = progress.step + 1
        images, labels = on_device(batch, ctx)
        complete(net, images, step_seed(seed, 0, 0))
        images = augmented(images, recipe, np.random.default_rng((seed, epoch, step)))
        mx.random.seed(step_seed(seed, epoch, step))
        output = train_step(net, progress.trainer, Batch(images, labels), divisor(recipe, len(labels)))
        progress.tally.add(output, labels)
        progress.tally.require_finite(f"epoch {epoch}, step {step - 1}", recipe.rate(epoch))
        progress.step, progress.seconds = step, time.perf_counter() - start
        if after_step is not None:
            after_step(progress)
    progress.tally.count()
    progress.tally.require_finite(f"epoch {epoch}, step {progress.step}", recipe.rate(epoch))
    progress.seconds = time.perf_counter() - start


def train_step(net: HybridBlock, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Make one step: forward in train mode, backward, and an update by the mean gradient.

    Args:
        net: Maps images to logits (N, classes).
        trainer: Gluon's Trainer of its parameters.
        batch: Images on the network's device, and labels.
        divide_by: What the summed gradient of the images is divided by.
    """
    with mx.autograd.record():
        logits = net(batch.images)
        losses = cross_entropy(logits, batch.labels)
    losses.backward()
    trainer.step(divide_by)
    return StepOutput(losses, logits)


def evaluate(net: HybridBlock, data: Data, batch_size: int = 128) -> Metrics:
    """Measure loss and accuracy in predict mode; nothing in the network changes.

    Args:
        net: Maps images to logits (N, classes).
        data: Gives the batches, in its own order.
        batch_size: Images in a batch.
    """
    tally = Tally()
    for output, labels in predictions(net, data, batch_size):
        tally.add(output, labels)
    return tally.metrics()


def predictions(net: HybridBlock, data: Data, batch_size: int = 128) -> Iterator[tuple[StepOutput, NDArray[Any]]]:
    """Yield losses and logits of every batch in predict mode, with its labels; see `evaluate`."""
    ctx = context_of(net)
    for batch in batches_of(data, batch_size):
        images, labels = on_device(batch, ctx)
        with mx.autograd.pause():
            logits = net(images)
            output = StepOutput(cross_entropy(logits, labels), logits)
        yield output, labels


def cross_entropy(logits: Any, labels: NDArray[Any]) -> Any:
    """Return the softmax cross-entropy of each image, of shape (N,), in nats.

    Raises:
        ValueError: If logits are not of shape (N, classes), or a label is none of the classes, which Gluon's loss
            would take for its neighbour.
    """
    if logits.ndim != 2 or len(logits) != len(labels):
        raise ValueError(f"the network's output has the shape {logits.shape}, expected ({len(labels)}, classes)")
    classes = logits.shape[1]
    wrong = np.flatnonzero((labels < 0) | (labels >= classes) | (labels != np.floor(labels)))
    if wrong.size:
        raise ValueError(
            f"label {labels[wrong[0]]} at position {wrong[0]}: allowed are the integers 0 to {classes - 1}"
        )
    return LOSS(logits, mx.nd.array(labels, ctx=logits.context))


def new_trainer(net: HybridBlock, recipe: Recipe, ctx: Any) -> Any:
    """Give parameters without weights an initializer, and return a Trainer of all in the network's own order.

    Raises:
        ValueError: If the network has no parameter.
    """
    # By the network's structure: a Trainer sorts a dict by names, which carry a counter of the process.
    parameters = list(dict.fromkeys(net._collect_params_with_prefix().values()))
    if not parameters:
        raise ValueError(f"{type(net).__name__} has no parameter to train")
    initialize(parameters, recipe, ctx)
    settings = {"learning_rate": recipe.rate(1), **dict(recipe.optimizer_settings)}
    return mx.gluon.Trainer(parameters, recipe.optimizer, settings)


def on_device(batch: Batch, ctx: Any) -> tuple[Any, NDArray[Any]]:
    """Return a batch's images on the device, and its labels in NumPy, as both loss and accuracy need them."""
    images, labels = batch
    images = images.as_in_context(ctx) if isinstance(images, mx.nd.NDArray) else mx.nd.array(images, ctx=ctx)
    return images, labels.asnumpy() if isinstance(labels, mx.nd.NDArray) else np.asarray(labels)


def divisor(recipe: Recipe, images: int) -> int:
    """Return what the summed gradient of a batch of so many images is divided by."""
    return images if recipe.divide_by == "images" else recipe.batch_size
