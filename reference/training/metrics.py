"""What a step, an evaluation and an epoch give, and how it is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.training.workers import ALONE, Workers


class Divergence(ArithmeticError):
    """The loss is infinite or not a number, so what follows would be lost work."""


class StepOutput(NamedTuple):
    """What a step computed; reading a value waits for the engine.

    Attributes:
        losses: Cross-entropy of each image, of shape (N,), in nats.
        logits: Of shape (N, classes), with dropout and the batch's own statistics where it was a training step.
    """

    losses: Any
    logits: Any


class Metrics(NamedTuple):
    """Mean cross-entropy of an image in nats, and the fraction of images classified right."""

    loss: float
    accuracy: float


class EpochMetrics(NamedTuple):
    """What one epoch gave.

    Attributes:
        epoch: The first is 1.
        learning_rate: That all its steps were made with.
        loss: Mean cross-entropy of a training image in nats, as seen in its step.
        train_accuracy: Fraction of training images classified right in their step, dropout on.
        test_loss: Mean cross-entropy of a test image after the epoch; None without test data.
        test_accuracy: Fraction of test images classified right after the epoch; None without test data.
        images_per_second: Training images by `seconds`.
        seconds: Of the training steps, loading included, the evaluation not.
    """

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    images_per_second: float
    seconds: float


@dataclass
class Tally:
    """Sums of an epoch, over all workers; adding a step's output reads the output before it."""

    images: int = 0
    loss: float = 0.0
    correct: int = 0
    waiting: tuple[StepOutput, NDArray[Any]] | None = None
    workers: Workers = ALONE

    def add(self, output: StepOutput, labels: NDArray[Any]) -> None:
        """Count a step's output once the next one comes."""
        self.count()
        self.waiting = (output, labels)

    def count(self) -> None:
        """Read and count the output that waits, if there is one."""
        if self.waiting is not None:
            output, labels = self.waiting
            self.waiting = None
            loss = float(output.losses.asnumpy().sum(dtype=np.float64))
            correct = int((output.logits.asnumpy().argmax(1) == labels).sum())
            self.include(*self.workers.total(len(labels), loss, correct))

    def include(self, images: float, loss: float, correct: float) -> None:
        """Add sums."""
        self.images, self.loss, self.correct = self.images + int(images), self.loss + loss, self.correct + int(correct)

    def require_finite(self, where: str, learning_rate: float) -> None:
        """Refuse a sum that is infinite or not a number.

        Raises:
            Divergence: If it is.
        """
        if not math.isfinite(self.loss):
            raise Divergence(f"{where}: the loss is {self.loss} at learning rate {learning_rate:g}")

    def metrics(self) -> Metrics:
        """Return the means.

        Raises:
            ValueError: If there was no image.
        """
        self.count()
        if not self.images:
            raise ValueError("the data gave no image")
        return Metrics(self.loss / self.images, self.correct / self.images)
