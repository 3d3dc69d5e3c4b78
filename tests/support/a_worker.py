"""``python -m reference`` with a small network and recipe, in a process that may be killed: ``python a_worker.py ...``.

The network ``plain`` has neither BatchNorm nor dropout, so what several processes compute is what one does. With
``KILLED_AT=N SIGNAL`` in the environment the process gets the signal at the beginning of its step N.
"""

from __future__ import annotations

import os
from typing import Any

from reference.__main__ import main
from reference.networks.classifier import ImageClassifier, Window
from reference.networks.registry import MODELS
from reference.runtime.mxnet_compat import mx
from reference.training import loop as training
from reference.training.recipes import RECIPES, Recipe, StepDecay

RECIPE = Recipe("sgd", 0.05, StepDecay(0.1, every=1), (("momentum", 0.9),), batch_size=15, epochs=2, channels=1)
"""Its rate falls after the first epoch, so that parameters tell whether a new rate acts."""

ROUNDING = 5e-7
"""Largest difference that adding up gradients in another order may make to a parameter in the 6 steps of `RECIPE`.

Seen: 6.0e-8 with two devices, over 12 seeds, and 3.0e-8 with two workers, whose sums have a fixed order.
"""

nn = mx.gluon.nn


class Plain(ImageClassifier):
    """Images (N, C, H, W) to logits (N, classes) by two convolutions, in numbers of channels that oneDNN reorders."""

    def __init__(self, classes: int = 10, prefix: str | None = None, params: Any = None) -> None:
        """Create the layers, with no weights yet."""
        super().__init__([Window(3), Window(4, 4), Window(3)], prefix=prefix, params=params)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(nn.Conv2D(16, 3, activation="relu"), nn.MaxPool2D(4), nn.Conv2D(32, 3, activation="relu"))
            self.output = nn.Dense(classes)


def killed_at(step: int, number: int) -> None:
    """Arrange for this process to get a signal."""
    inner, steps = training.train_step, 0

    def patched(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), number)
        return inner(*arguments)

    setattr(training, "train_step", patched)  # noqa: B010 - a function of the same type for mypy it is not


if __name__ == "__main__":
    MODELS["plain"] = Plain
    RECIPES["plain"] = RECIPE
    if killed := os.environ.get("KILLED_AT"):
        killed_at(*map(int, killed.split()))
    main()
