"""Short training runs on real Fashion-MNIST images, with true labels or with shuffled ones."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from reference import training
from reference.batches import Examples
from reference.data import load_subset, to_images
from reference.recipes import StepDecay

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
        return training.Recipe(
            self.optimizer,
            options.pop("learning_rate"),
            StepDecay(1, every=1),
            tuple(options.items()),
            initializer="xavier",
            initializer_settings=(("rnd_type", "gaussian"), ("factor_type", "in"), ("magnitude", 2)),
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
