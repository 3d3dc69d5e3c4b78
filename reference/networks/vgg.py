"""VGG: groups of 3x3 convolutions, each closed by a max pooling, then AlexNet's dense part.

Paper: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014,
table 1, columns A, B, D and E, https://arxiv.org/abs/1409.1556

At 224x224, convolutions in each group:

    =========  =====  =====  =====  =====  ==============
    channels   vgg11  vgg13  vgg16  vgg19  output
    =========  =====  =====  =====  =====  ==============
    64         1      2      2      2      64 x 112 x 112
    128        1      2      2      2      128 x 56 x 56
    256        2      2      3      4      256 x 28 x 28
    512        2      2      3      4      512 x 14 x 14
    512        2      2      3      4      512 x 7 x 7
    =========  =====  =====  =====  =====  ==============

Departures from the paper: none in the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from reference.networks.alexnet import dense_part
from reference.networks.classifier import ImageClassifier, Window
from reference.runtime.arguments import positive_integer, positive_integers
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn

FILTERS = (64, 128, 256, 512, 512)
"""Output channels of each group."""

VARIANTS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions in each group."""


class VGG(ImageClassifier):
    """VGG with any number of groups; the first images fix their size and channels.

    Every group halves the image: with ``n`` groups it must have at least ``2**n`` pixels a side.

    Args:
        layers: Number of convolutions in each group, as in VGG-16 unless given.
        filters: Output channels of each group, as many as there are groups.
        classes: Number of logits.
        prefix: Of the names of its parameters, see Gluon.
        params: Parameters to share, see Gluon.

    Raises:
        ValueError: If an argument is not made of integers of at least 1, or the lengths differ.
    """

    paper: ClassVar[str] = "https://arxiv.org/abs/1409.1556"

    def __init__(
        self,
        layers: Sequence[int] = (2, 2, 3, 3, 3),
        filters: Sequence[int] = FILTERS,
        classes: int = 1000,
        *,
        prefix: str | None = None,
        params: Any = None,
    ) -> None:
        """Create the layers, with no weights yet."""
        layers = positive_integers("layers", layers)
        filters = positive_integers("filters", filters, length=len(layers))
        classes = positive_integer("classes", classes)
        # The 3x3 convolutions keep the size: only the poolings count.
        super().__init__([Window(2, stride=2)] * len(layers), prefix=prefix, params=params)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="features_")
            with self.features.name_scope():
                for convolutions, channels in zip(layers, filters, strict=True):
                    self.features.add(*_group(convolutions, channels))
                self.features.add(*dense_part())
            self.output = nn.Dense(classes)


def _group(convolutions: int, channels: int) -> list[Any]:
    """Return the layers of one group: (N, C, H, W) to (N, channels, H // 2, W // 2)."""
    layers = [nn.Conv2D(channels, 3, padding=1, activation="relu") for _ in range(convolutions)]
    return [*layers, nn.MaxPool2D(2, strides=2)]


def vgg11(classes: int = 1000, *, prefix: str | None = None, params: Any = None) -> VGG:
    """Return VGG-11, not initialized: 132,863,336 parameters at 1000 classes and 3x224x224 images."""
    return VGG(VARIANTS["vgg11"], FILTERS, classes, prefix=prefix, params=params)


def vgg13(classes: int = 1000, *, prefix: str | None = None, params: Any = None) -> VGG:
    """Return VGG-13, not initialized: 133,047,848 parameters at 1000 classes and 3x224x224 images."""
    return VGG(VARIANTS["vgg13"], FILTERS, classes, prefix=prefix, params=params)


def vgg16(classes: int = 1000, *, prefix: str | None = None, params: Any = None) -> VGG:
    """Return VGG-16, not initialized: 138,357,544 parameters at 1000 classes and 3x224x224 images."""
    return VGG(VARIANTS["vgg16"], FILTERS, classes, prefix=prefix, params=params)


def vgg19(classes: int = 1000, *, prefix: str | None = None, params: Any = None) -> VGG:
    """Return VGG-19, not initialized: 143,667,240 parameters at 1000 classes and 3x224x224 images."""
    return VGG(VARIANTS["vgg19"], FILTERS, classes, prefix=prefix, params=params)
