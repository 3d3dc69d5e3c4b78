"""How a network is trained, as values: the optimizer, its learning rate, the initial weights, the batches.

A `Recipe` holds no network, no data and no device. `RECIPES` has two by name: ``article``, the training example that
the networks were first published with, kept as it is although its learning rate is too high, and ``reference``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reference.runtime.arguments import fraction, positive_integer

Settings: TypeAlias = tuple[tuple[str, float | str | bool], ...]
"""Arguments of an optimizer or initializer by name; pairs rather than a dict, so that a recipe can be hashed."""


@dataclass(frozen=True)
class StepDecay:
    """The learning rate is multiplied by `factor` after every `every` epochs."""

    factor: float
    every: int

    def __call__(self, epoch: int, epochs: int) -> float:
        """Return the part of the initial learning rate that epoch `epoch` (the first is 1) is trained with."""
        return self.factor ** ((epoch - 1) // self.every)


@dataclass(frozen=True)
class Cosine:
    """The learning rate falls along half a cosine, to the part `last` in the last epoch.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5 without restarts.
    """

    last: float = 0.0

    def __call__(self, epoch: int, epochs: int) -> float:
        """Return the part of the initial learning rate that epoch `epoch` of `epochs` is trained with."""
        done = (epoch - 1) / max(1, epochs - 1)
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Recipe:
    """All settings of a training that are not the network, the data, the device or the seed.

    Attributes:
        optimizer: MXNet's name of it, such as "adam" or "sgd".
        learning_rate: Of the first epoch.
        schedule: Its part in a later epoch, as a function of the epoch (from 1) and their number.
        optimizer_settings: The optimizer's other arguments.
        initializer: MXNet's name of what draws the initial weights, such as "normal" or "xavier".
        initializer_settings: Its arguments.
        batch_size: Images in a step; the last step of an epoch may have fewer.
        divide_by: What the summed gradient of a step is divided by: the number of its "images", or always by the
            "batch_size", which gives the images of a smaller last batch less weight.
        epochs: Passes over the training images.
        channels: Equal channels that a grey image is repeated over.
        augmentation: What is done to training images: "none", or "flip", which mirrors each with probability 1/2.
        mixed_precision: Whether losses are scaled, for a network whose operators compute in float16.

    Raises:
        ValueError: If a number is out of range.
    """

    optimizer: str
    learning_rate: float
    schedule: StepDecay | Cosine = Cosine()
    optimizer_settings: Settings = ()
    initializer: str = "xavier"
    initializer_settings: Settings = ()
    batch_size: int = 128
    divide_by: Literal["images", "batch_size"] = "images"
    epochs: int = 3
    channels: int = 3
    augmentation: Literal["none", "flip"] = "none"
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        fraction("learning_rate", self.learning_rate)
        for name in ("batch_size", "epochs", "channels"):
            positive_integer(name, getattr(self, name))

    def rate(self, epoch: int) -> float:
        """Return the learning rate of epoch `epoch`, the first being 1."""
        return self.learning_rate * self.schedule(epoch, self.epochs)


ARTICLE = Recipe(
    optimizer="adam",
    learning_rate=0.01,
    schedule=StepDecay(factor=0.1, every=20),
    initializer="normal",
    initializer_settings=(("sigma", 0.01),),
    batch_size=128,
    divide_by="batch_size",
    epochs=100,
)

REFERENCE = Recipe(
    optimizer="adam",
    learning_rate=2e-4,
    schedule=Cosine(last=0.1),
    # He et al. 2015, https://arxiv.org/abs/1502.01852: keeps the signal's scale through layers with ReLU.
    initializer="xavier",
    initializer_settings=(("rnd_type", "gaussian"), ("factor_type", "in"), ("magnitude", 2)),
    batch_size=32,
)

RECIPES: dict[str, Recipe] = {"article": ARTICLE, "reference": REFERENCE}
