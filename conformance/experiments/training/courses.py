"""Short training runs on real Fashion-MNIST images, with true labels or with shuffled ones."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from conformance.experiments.network import Network
from reference.data.idx import load_subset
from reference.data.images import to_images
from reference.training import loop as training
from reference.training.batches import Examples
from reference.training.recipes import REFERENCE, StepDecay

CLASSES = 10
TRAIN_IMAGES = 64
HELD_OUT_IMAGES = 200


@dataclass(frozen=True)
class Course:
    """How a family is taught.

    Attributes:
        size: Image side in pixels.
        batch: Images in a step.
        steps: Training steps.
        optimizer: Gluon's name of it.
        settings: The optimizer's arguments.
    """

    size: int
    batch: int
    steps: int
    optimizer: str
    settings: tuple[tuple[str, float], ...]

    @property
    def recipe(self) -> training.Recipe:
        """The same as a recipe of the training loop: a constant rate, weights of He et al. 2015."""
        options = dict(self.settings)
        return replace(
            REFERENCE,
            optimizer=self.optimizer,
            learning_rate=options.pop("learning_rate"),
            schedule=StepDecay(1, every=1),
            optimizer_settings=tuple(options.items()),
            batch_size=self.batch,
            epochs=self.steps * self.batch // TRAIN_IMAGES,
        )


@dataclass(frozen=True)
class Lesson:
    """What a run learned: accuracies in [0, 1] in predict mode, held-out ones on the true labels.

    ``curve`` is the accuracy of each epoch's training steps, as they were made.
    """

    train_accuracy: float
    held_out_accuracy: float
    curve: tuple[float, ...] = ()


#: How the smallest network of each family is taught; benchmarks/convergence.py measures what it then learns.
COURSES = {
    "alexnet": Course(64, 32, 24, "adam", (("learning_rate", 5e-4),)),
    "vgg11": Course(32, 32, 24, "adam", (("learning_rate", 3e-4),)),
    "resnet50": Course(32, 16, 40, "adam", (("learning_rate", 5e-4),)),
    "densenet121": Course(32, 16, 40, "adam", (("learning_rate", 1e-3),)),
}


def learn(build: Callable[..., Any], course: Course, *, shuffled: bool, seed: int, ctx: Any) -> Lesson:
    """Train a new network on the first images of the packaged subset and say what it learned.

    Args:
        build: Returns a new block when called with ``classes=10``.
        course: How to train.
        shuffled: Whether the training labels are shuffled, so that nothing true can be learned from them.
        seed: Of the initial weights, dropout, the order of images and the shuffling.
        ctx: Where to train.
    """
    gc.collect()
    prepare = partial(to_images, size=course.size)
    pictures, labels = (part[:TRAIN_IMAGES] for part in load_subset("train"))
    unseen, truth = (part[:HELD_OUT_IMAGES] for part in load_subset("test"))
    if shuffled:
        labels = np.random.default_rng(seed).permutation(labels)
    train, held_out = Examples(pictures, labels, prepare), Examples(unseen, truth, prepare)
    net = build(classes=CLASSES)
    net.hybridize()
    epochs = training.fit(net, train, recipe=course.recipe, seed=seed, ctx=ctx)
    curve = tuple(epoch.train_accuracy for epoch in epochs)
    return Lesson(training.evaluate(net, train, 100).accuracy, training.evaluate(net, held_out, 100).accuracy, curve)


class Lessons:
    """Teaches one network in its family's course.

    Args:
        network: The smallest of its family, or a claim to be it.
    """

    def __init__(self, network: Network) -> None:
        """Take the network."""
        self.network = network

    def learn(self, *, shuffled: bool) -> Lesson:
        """What a new instance learns; see :func:`learn`."""
        network = self.network
        course = COURSES[network.subject.architecture or network.subject.name]
        return learn(network.build, course, shuffled=shuffled, seed=network.number, ctx=network.ctx)
