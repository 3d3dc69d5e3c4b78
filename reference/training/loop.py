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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.runtime.mxnet_compat import HybridBlock, mx
from reference.training.batches import Batch, Data, Examples, batches_of
from reference.training.devices import divided, introduce, objectives, share_statistics, together
from reference.training.initialization import complete, contexts_of
from reference.training.metrics import Divergence, EpochMetrics, Metrics, StepOutput, Tally
from reference.training.randomness import augmented, order_of, seed_of, step_seed
from reference.training.recipes import ARTICLE, RECIPES, REFERENCE, Recipe
from reference.training.state import Progress, begin, new_trainer
from reference.training.workers import ALONE, Workers

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
    "new_trainer",
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
    workers: Workers = ALONE,
) -> Iterator[EpochMetrics]:
    """Train a network, epoch by epoch.

    Args:
        net: Maps images to logits (N, classes). Weights it has are kept; a parameter that has none gets them from the
            recipe's initializer.
        train_data: Gives the batches of an epoch, each image once: `Examples`, Gluon's DataLoader, any iterable.
        test_data: The same, to evaluate on after each epoch.
        recipe: How to train.
        seed: Of initial weights, dropout, augmentation and the order of images.
        ctx: The device, or devices, where a network without weights is put; default: a GPU if there is one.
        progress: Where to go on; it is kept current.
        after_step: Called after every step, for example to save the progress.
        workers: The processes that train together, each on its part of every batch; see `workers.joined`.

    Yields:
        The metrics of each epoch, when it is done.

    Raises:
        ValueError: If a label is none of the network's classes, there is no image or nothing to train.
        Divergence: If the loss is not finite.
    """
    progress = progress or begin(net, recipe, ctx, workers)
    while progress.epoch <= recipe.epochs:
        train_epoch(net, train_data, recipe, progress, seed, after_step)
        loss, accuracy = progress.tally.metrics()
        tested: tuple[float | None, float | None] = (None, None)
        if test_data is not None:
            tested = evaluate(net, test_data, recipe.batch_size, progress.tally.workers)
        speed = progress.tally.images / progress.seconds
        metrics = EpochMetrics(
            progress.epoch, recipe.rate(progress.epoch), loss, accuracy, *tested, speed, progress.seconds
        )
        progress.next_epoch()
        yield metrics


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
    epoch, ctx, start = progress.epoch, contexts_of(net)[0], time.perf_counter() - progress.seconds
    workers = progress.tally.workers
    own_seed = seed_of(seed, workers.rank)
    progress.trainer.set_learning_rate(recipe.rate(epoch))
    for batch in batches_of(data, recipe.batch_size, order_of(seed, epoch), progress.step):
        step = progress.step + 1
        images, labels = on_device(batch, ctx)
        complete(net, images, step_seed(seed, 0, 0))
        images = augmented(images, recipe, np.random.default_rng((own_seed, epoch, step)))
        mx.random.seed(step_seed(own_seed, epoch, step))
        (whole,) = workers.total(len(labels))
        output = train_step(net, progress.trainer, Batch(images, labels), divisor(recipe, int(whole)))
        progress.tally.add(output, labels)
        progress.tally.require_finite(f"epoch {epoch}, step {step - 1}", recipe.rate(epoch))
        progress.step, progress.seconds = step, time.perf_counter() - start
        if after_step is not None:
            after_step(progress)
    progress.settle()
    progress.seconds = time.perf_counter() - start


def train_step(net: HybridBlock, trainer: Any, batch: Batch, divide_by: int) -> StepOutput:
    """Make one step: forward in train mode, backward, and an update by the mean gradient.

    Args:
        net: Maps images to logits (N, classes); on several devices its weights must be drawn already.
        trainer: Gluon's Trainer of its parameters.
        batch: Images of MXNet's, and labels; divided over the network's devices.
        divide_by: What the summed gradient of the images, of all devices and workers, is divided by.

    Raises:
        ValueError: If there are more devices than images.
    """
    parts = divided(batch, trainer._contexts)
    introduce(trainer)
    with mx.autograd.record():
        outputs = [forward(net, part) for part in parts]
        starts = objectives([output.losses for output in outputs], trainer)
    mx.autograd.backward(starts)
    trainer.step(divide_by)
    share_statistics(trainer)
    return together(outputs)


def forward(net: HybridBlock, batch: Batch) -> StepOutput:
    """Return losses and logits of a batch that is on one of the network's devices."""
    logits = net(batch.images)
    return StepOutput(cross_entropy(logits, batch.labels), logits)


def evaluate(net: HybridBlock, data: Data, batch_size: int = 128, workers: Workers = ALONE) -> Metrics:
    """Measure loss and accuracy in predict mode; nothing in the network changes.

    Args:
        net: Maps images to logits (N, classes).
        data: Gives the batches, in its own order.
        batch_size: Images in a batch.
        workers: Each measures its part of the data; all get the metrics of the whole.
    """
    tally, whole = Tally(), Tally()
    for output, labels in predictions(net, data, batch_size):
        tally.add(output, labels)
    tally.count()
    whole.include(*workers.total(tally.images, tally.loss, tally.correct))
    return whole.metrics()


def predictions(net: HybridBlock, data: Data, batch_size: int = 128) -> Iterator[tuple[StepOutput, NDArray[Any]]]:
    """Yield losses and logits of every batch in predict mode, with its labels; see `evaluate`."""
    contexts = contexts_of(net)
    for batch in batches_of(data, batch_size):
        images, labels = on_device(batch, contexts[0])
        # The last batch may have fewer images than there are devices, or none on this worker.
        if len(labels):
            with mx.autograd.pause():
                outputs = [forward(net, part) for part in divided(Batch(images, labels), contexts[: len(labels)])]
            yield together(outputs), labels


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


def on_device(batch: Batch, ctx: Any) -> tuple[Any, NDArray[Any]]:
    """Return a batch's images on the device, and its labels in NumPy, as both loss and accuracy need them."""
    images, labels = batch
    images = images.as_in_context(ctx) if isinstance(images, mx.nd.NDArray) else mx.nd.array(images, ctx=ctx)
    return images, labels.asnumpy() if isinstance(labels, mx.nd.NDArray) else np.asarray(labels)


def divisor(recipe: Recipe, images: int) -> int:
    """Return what the summed gradient of a batch of so many images is divided by."""
    return images if recipe.divide_by == "images" else recipe.batch_size
