"""Training loops as users write them: a right one, and one with a fault for every check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.runtime.mxnet_compat import mx
from reference.training.recipes import Recipe


@dataclass
class Metrics:
    """What an epoch gave."""

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    test_loss: float = 0.0
    test_accuracy: float = 0.0


@dataclass
class OwnLoop:
    """A loop with Gluon's Trainer and DataLoader; what differs from the right one is an argument.

    Attributes:
        seeded: Whether the seed decides.
        scheduled: Whether the rate follows the recipe.
        evaluated_in: The mode that test images are predicted in.
        adam: Settings of Adam beside the recipe's.
        divide_by: What the gradient is divided by; 0: the number of images.
        drop: Whether the last batch is left out.
        batch_means: Whether the loss is the mean of the batches' means.
    """

    seeded: bool = True
    scheduled: bool = True
    evaluated_in: str = "predict mode"
    adam: tuple[tuple[str, float], ...] = ()
    divide_by: int = 0
    drop: bool = False
    batch_means: bool = False

    def __call__(self, net: Any, train_data: Any, test_data: Any, recipe: Recipe, *, seed: int) -> Iterator[Metrics]:
        """Train a network."""
        if self.seeded:
            np.random.seed(seed)
            mx.random.seed(seed)
        net.hybridize()
        options = {"learning_rate": recipe.rate(1), **dict(recipe.optimizer_settings)}
        options.update(self.adam if recipe.optimizer == "adam" else ())
        trainer = mx.gluon.Trainer(net.collect_params(), recipe.optimizer, options)
        for epoch in range(1, recipe.epochs + 1):
            if self.scheduled:
                trainer.set_learning_rate(recipe.rate(epoch))
            results = [self.step(net, trainer, *batch) for batch in list(train_data)[: -1 if self.drop else None]]
            metrics = Metrics(epoch, recipe.rate(epoch), *self.means(results))
            metrics.test_loss, metrics.test_accuracy = self.means([self.predict(net, *batch) for batch in test_data])
            yield metrics

    def step(self, net: Any, trainer: Any, images: Any, labels: Any) -> tuple[Any, Any, int]:
        """Make a step, and return the sum of its losses, the number of right answers and that of images."""
        images, labels = images.as_in_context(mx.cpu()), labels.as_in_context(mx.cpu())
        with mx.autograd.record():
            logits = net(images)
            losses = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels)
        losses.backward()
        trainer.step(self.divide_by or len(images))
        return counted(losses, logits, labels)

    def predict(self, net: Any, images: Any, labels: Any) -> tuple[Any, Any, int]:
        """Predict a batch."""
        with mx.autograd.predict_mode() if self.evaluated_in == "predict mode" else mx.autograd.train_mode():
            logits = net(images)
        return counted(mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels), logits, labels)

    def means(self, results: list[tuple[Any, Any, int]]) -> tuple[float, float]:
        """Return mean loss and accuracy."""
        losses, right, images = (np.array(column, np.float64) for column in zip(*results, strict=True))
        loss = (losses / images).mean() if self.batch_means else losses.sum() / images.sum()
        return float(loss), int(right.sum()) / int(images.sum())


def counted(losses: Any, logits: Any, labels: Any) -> tuple[float, int, int]:
    """Return the sum of losses, the number of right answers and that of images."""
    right = (logits.asnumpy().argmax(1) == labels.asnumpy()).sum()
    return float(losses.asnumpy().sum(dtype=np.float64)), int(right), len(labels)


fit = OwnLoop()
dropping = OwnLoop(drop=True)


def all_at_once(net: Any, train_data: Any, test_data: Any, recipe: Recipe, *, seed: int) -> list[Metrics]:
    """Train all epochs before the first is told."""
    return list(fit(net, train_data, test_data, recipe, seed=seed))


def without_seed(net: Any, train_data: Any, test_data: Any, recipe: Recipe) -> Iterator[None]:
    """Take no seed."""
    yield None


def one_epoch(net: Any, train_data: Any, test_data: Any, recipe: Recipe, *, seed: int) -> Iterator[Metrics]:
    """Yield once, whatever the recipe says."""
    yield next(fit(net, train_data, test_data, recipe, seed=seed))


#: What is wrong: the loop, the check and variant that must refuse it, and what that says.
BROKEN_LOOPS: dict[str, tuple[OwnLoop, str, str, str]] = {
    "last batch dropped": (dropping, "train_images", "", "expected 1 times, actual 0 times"),
    "evaluation in train mode": (OwnLoop(evaluated_in="train"), "test_images", "", "expected predict mode, actual"),
    "nothing seeded": (OwnLoop(seeded=False), "order", "", "the same seed: expected the order"),
    "workers not seeded": (OwnLoop(seeded=False), "loader_workers", "", "1 workers: expected the order"),
    "divided by 8": (OwnLoop(divide_by=8), "updates", "sgd", "epoch 1, step 3 (4 images): update of conv."),
    "epsilon of Adam": (OwnLoop(adam=(("epsilon", 1e-3),)), "updates", "adam", "epoch 1, step 1 (8 images): upd"),
    "no schedule": (
        OwnLoop(scheduled=False),
        "learning_rate",
        "",
        "epoch 2, step 1 (8 images): expected learning",
    ),
    "mean of means": (OwnLoop(batch_means=True), "metrics", "", "epoch 1, training loss: expected"),
}
