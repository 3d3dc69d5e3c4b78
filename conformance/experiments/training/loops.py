"""The training loop that is watched: the one of ``reference``, or the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Protocol

from conformance.contract.subject import RequestError, Subject
from conformance.experiments.importing import imported
from reference.runtime.mxnet_compat import mx
from reference.training import loop as training
from reference.training.batches import Examples
from reference.training.recipes import Recipe


class Loop(Protocol):
    """A loop of the user's own, as ``--trainer my_pkg:fit`` names it.

    It is a generator that trains for ``recipe.epochs`` epochs and yields once after each. What it yields may have the
    attributes of `reference.training.metrics.EpochMetrics`: ``epoch``, ``learning_rate``, ``loss``, ``train_accuracy``,
    ``test_loss``, ``test_accuracy``. What is missing or None is not compared.
    """

    def __call__(self, net: Any, train_data: Any, test_data: Any, recipe: Recipe, *, seed: int) -> Iterator[Any]:
        """Train a network.

        Args:
            net: Has weights, which are where training begins; maps images to logits (N, classes).
            train_data: A shuffling DataLoader of Gluon, which gives images and labels in batches of
                ``recipe.batch_size``, the last one smaller. It draws its order from NumPy's own generator.
            test_data: The same in a fixed order, to evaluate on after the steps of each epoch.
            recipe: Says ``optimizer``, ``optimizer_settings``, ``rate(epoch)`` (the first epoch is 1) and ``epochs``.
                The loss is softmax cross-entropy; the gradient of a step is the mean over its images.
            seed: Decides about the order of images and all else that is drawn.
        """


def loop_of(subject: Subject) -> Loop:
    """Return the loop that a subject is trained with.

    Raises:
        RequestError: If it cannot be imported, or cannot be called as a `Loop` is.
    """
    if subject.trainer is None:
        return training.fit
    found, name = imported(subject.trainer, "trainer"), _name(subject.trainer)
    try:
        inspect.signature(found).bind(None, None, None, None, seed=0)
    except TypeError as error:
        call = "(net, train_data, test_data, recipe, seed=N)"
        raise RequestError(f"trainer {name}: cannot be called as {call}: {error}") from None
    return generating(found, name)


def generating(loop: Any, name: str) -> Loop:
    """Return a loop that is refused where it has trained all epochs before it gives the first.

    Raises:
        RequestError: When it is called.
    """

    def checked(net: Any, train_data: Any, test_data: Any, recipe: Recipe, *, seed: int) -> Iterator[Any]:
        epochs = loop(net, train_data, test_data, recipe, seed=seed)
        if not isinstance(epochs, Iterator):
            raise RequestError(f"trainer {name}: expected a generator of epochs, actual {type(epochs).__name__}")
        return epochs

    return checked


def loader(examples: Examples, batch_size: int, *, shuffle: bool, workers: int = 0) -> Any:
    """Return Gluon's DataLoader of some examples.

    Args:
        examples: Images that are a network's input, and labels.
        batch_size: Images in a batch; the last one may have fewer.
        shuffle: Whether every epoch has another order.
        workers: Processes that load; 0: the caller's own.
    """
    dataset = mx.gluon.data.ArrayDataset(examples.images, examples.labels)
    return mx.gluon.data.DataLoader(dataset, batch_size, shuffle=shuffle, num_workers=workers)


def _name(trainer: Any) -> str:
    """What messages call it."""
    return trainer if isinstance(trainer, str) else getattr(trainer, "__name__", type(trainer).__name__)
