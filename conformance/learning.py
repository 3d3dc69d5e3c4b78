"""Short training runs on real Fashion-MNIST images, with true labels or with shuffled ones."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.comparison import Array
from reference.data import load_subset, to_images
from reference.mxnet_compat import mx

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


@dataclass(frozen=True)
class Lesson:
    """What a run learned: accuracies in [0, 1] in predict mode, held-out ones on the true labels."""

    train_accuracy: float
    held_out_accuracy: float


#: How the smallest network of each family is taught; benchmarks/convergence.py measures what it then learns.
COURSES = {
    "alexnet": Course(64, 32, 24, "adam", (("learning_rate", 5e-4),)),
    "vgg11": Course(32, 32, 24, "adam", (("learning_rate", 3e-4),)),
    "resnet50": Course(32, 16, 40, "adam", (("learning_rate", 5e-4),)),
    "densenet121": Course(32, 16, 40, "adam", (("learning_rate", 1e-3),)),
}


def _accuracy(net: Any, images: Any, labels: Array) -> float:
    # MXNet 1.6 refuses a slice that ends after the last image.
    ends = ((start, min(start + 100, len(labels))) for start in range(0, len(labels), 100))
    parts = [net(images[start:end]).asnumpy().argmax(1) for start, end in ends]
    return float((np.concatenate(parts) == labels).mean())


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
    pictures, labels = (part[:TRAIN_IMAGES] for part in load_subset("train"))
    unseen, truth = (part[:HELD_OUT_IMAGES] for part in load_subset("test"))
    order = np.random.RandomState(seed)
    if shuffled:
        labels = order.permutation(labels)
    images = mx.nd.array(to_images(pictures, course.size), ctx=ctx)
    mx.random.seed(seed)
    net = build(classes=CLASSES)
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=ctx)
    net.hybridize()
    trainer = mx.gluon.Trainer(net.collect_params(), course.optimizer, dict(course.settings), kvstore=None)
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    for step in range(course.steps):
        mx.random.seed(seed * 1000 + step)
        if step * course.batch % TRAIN_IMAGES == 0:
            places = order.permutation(TRAIN_IMAGES)
        chosen = places[step * course.batch % TRAIN_IMAGES :][: course.batch]
        with mx.autograd.record():
            loss = loss_of(net(images[chosen]), mx.nd.array(labels[chosen], ctx=ctx))
        loss.backward()
        trainer.step(course.batch)
    return Lesson(
        _accuracy(net, images, labels),
        _accuracy(net, mx.nd.array(to_images(unseen, course.size), ctx=ctx), truth),
    )
