"""AlexNet in its single-column form: five convolutions and three dense layers.

Paper: Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014,
https://arxiv.org/abs/1404.5997

At 224x224:

    =======================  ==============
    layers                   output
    =======================  ==============
    conv 11x11 /4            64 x 55 x 55
    max pool 3 /2            64 x 27 x 27
    conv 5x5                 192 x 27 x 27
    max pool 3 /2            192 x 13 x 13
    conv 3x3, 3x3, 3x3       384, 256, 256 x 13 x 13
    max pool 3 /2            256 x 6 x 6
    dense, dense, dense      4096, 4096, classes
    =======================  ==============

Departures from the paper:

- The fourth convolution has 256 channels instead of 384, as in torchvision, whose parameter count this has.
- Dropout follows each hidden dense layer, and there is no local response normalization, which the network of
  2012 (https://papers.nips.cc/paper/4824) had.
"""

from __future__ import annotations

from typing import Any, ClassVar

from reference.networks.classifier import ImageClassifier, Window
from reference.runtime.arguments import positive_integer
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn

WINDOWS = (
    Window(11, stride=4, padding=2),
    Window(3, stride=2),
    Window(5, padding=2),
    Window(3, stride=2),
    *[Window(3, padding=1)] * 3,
    Window(3, stride=2),
)
"""Kernel, stride and padding of AlexNet's convolutions and poolings, in order."""


class AlexNet(ImageClassifier):
    """AlexNet for images of at least 63x63 pixels; the first images fix their size and channels.

    Args:
        classes: Number of logits.
        prefix: Of the names of its parameters, see Gluon.
        params: Parameters to share, see Gluon.

    Raises:
        ValueError: If ``classes`` is not an integer of at least 1.
    """

    paper: ClassVar[str] = "https://arxiv.org/abs/1404.5997"

    def __init__(self, classes: int = 1000, *, prefix: str | None = None, params: Any = None) -> None:
        """Create the layers, with no weights yet."""
        classes = positive_integer("classes", classes)
        super().__init__(WINDOWS, prefix=prefix, params=params)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="features_")
            with self.features.name_scope():
                self.features.add(
                    nn.Conv2D(64, 11, strides=4, padding=2, activation="relu"),
                    nn.MaxPool2D(3, strides=2),
                    nn.Conv2D(192, 5, padding=2, activation="relu"),
                    nn.MaxPool2D(3, strides=2),
                    nn.Conv2D(384, 3, padding=1, activation="relu"),
                    nn.Conv2D(256, 3, padding=1, activation="relu"),
                    nn.Conv2D(256, 3, padding=1, activation="relu"),
                    nn.MaxPool2D(3, strides=2),
                    *dense_part(),
                )
            self.output = nn.Dense(classes)


def dense_part() -> list[Any]:
    """Return AlexNet's two hidden dense layers, each with its dropout: (N, ...) to (N, 4096)."""
    return [
        nn.Dense(4096, activation="relu"),
        nn.Dropout(0.5),
        nn.Dense(4096, activation="relu"),
        nn.Dropout(0.5),
    ]


def alexnet(classes: int = 1000, *, prefix: str | None = None, params: Any = None) -> AlexNet:
    """Return AlexNet, not initialized: 61,100,840 parameters at 1000 classes and 3x224x224 images."""
    return AlexNet(classes, prefix=prefix, params=params)
