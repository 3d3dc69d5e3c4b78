"""DenseNet-BC: each layer of a block sees what all layers before it made.

Paper: Huang et al., Densely Connected Convolutional Networks, 2016, table 1 and section 3,
https://arxiv.org/abs/1608.06993

At 224x224, growth rate 32 (densenet161: 48, and a stem of 96 channels):

    =================  ===========  ===========  ===========  ===========  =========
    layers             densenet121  densenet161  densenet169  densenet201  output
    =================  ===========  ===========  ===========  ===========  =========
    conv 7x7 /2        1            1            1            1            112 x 112
    max pool 3 /2      1            1            1            1            56 x 56
    dense block        6            6            6            6            56 x 56
    transition /2      1            1            1            1            28 x 28
    dense block        12           12           12           12           28 x 28
    transition /2      1            1            1            1            14 x 14
    dense block        24           36           32           48           14 x 14
    transition /2      1            1            1            1            7 x 7
    dense block        16           24           32           32           7 x 7
    average pool       1            1            1            1            1 x 1
    dense              classes      classes      classes      classes
    =================  ===========  ===========  ===========  ===========  =========

Departures from the paper:

- Every convolution has a bias. ``conv_bias=False`` leaves them out and gives the published parameter count.
- A layer's new features are put before its input, not after it.

Departures from the network as it is often written in Gluon:

- The last pooling is global, not one of 7 pixels: the same numbers at 224x224, and other sizes work too.
- ``bn_size`` is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from reference.networks.classifier import ImageClassifier, Window
from reference.runtime.arguments import boolean, fraction, positive_integer, positive_integers
from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn

VARIANTS = {
    "densenet121": (64, 32, (6, 12, 24, 16)),
    "densenet161": (96, 48, (6, 12, 36, 24)),
    "densenet169": (64, 32, (6, 12, 32, 32)),
    "densenet201": (64, 32, (6, 12, 48, 32)),
}
"""Stem channels, growth rate and layers in each dense block."""

COMPRESSION_RATE = 0.5
BN_SIZE = 4


class DenseLayer(HybridBlock):
    """Two convolutions beside their input: (N, C, H, W) to (N, growth_rate + C, H, W), new features first.

    Args:
        growth_rate: New channels.
        bn_size: Channels between the two convolutions, in units of ``growth_rate``.
        conv_bias: Whether the convolutions have a bias.
    """

    def __init__(self, growth_rate: int, *, bn_size: int, conv_bias: bool) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="body_")
            with self.body.name_scope():
                self.body.add(
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.Conv2D(bn_size * growth_rate, 1, use_bias=conv_bias),
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.Conv2D(growth_rate, 3, padding=1, use_bias=conv_bias),
                )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Put the new features before the input."""
        return F.concat(self.body(x), x, dim=1)


class DenseNet(ImageClassifier):
    """DenseNet-BC with any number of dense blocks; the first images fix their channels, not their size.

    Without arguments it is DenseNet-121.

    Args:
        num_channels_input: Output channels of the stem, which enter the first dense block.
        growth_rate: Channels each dense layer adds.
        layers: Number of dense layers in each dense block.
        compression_rate: Share of its channels a transition keeps, rounded down.
        bn_size: Channels inside a dense layer, in units of ``growth_rate``.
        classes: Number of logits.
        conv_bias: Whether the convolutions have a bias.
        prefix: Of the names of its parameters, see Gluon.
        params: Parameters to share, see Gluon.

    Raises:
        ValueError: If an argument is not made of integers of at least 1 (``conv_bias``: not a bool), or
            ``compression_rate`` is not above 0 and at most 1 or leaves a transition without channels.
    """

    paper: ClassVar[str] = "https://arxiv.org/abs/1608.06993"

    def __init__(
        self,
        num_channels_input: int = 64,
        growth_rate: int = 32,
        layers: Sequence[int] = (6, 12, 24, 16),
        compression_rate: float = COMPRESSION_RATE,
        bn_size: int = BN_SIZE,
        classes: int = 1000,
        *,
        conv_bias: bool = True,
        prefix: str | None = None,
        params: Any = None,
    ) -> None:
        """Create the layers, with no weights yet."""
        stem = positive_integer("num_channels_input", num_channels_input)
        growth_rate = positive_integer("growth_rate", growth_rate)
        layers = positive_integers("layers", layers)
        kept = _channels_kept(stem, growth_rate, layers, fraction("compression_rate", compression_rate))
        bn_size = positive_integer("bn_size", bn_size)
        classes = positive_integer("classes", classes)
        conv_bias = boolean("conv_bias", conv_bias)
        windows = [Window(7, 2, 3), Window(3, 2, 1)] + [Window(2, stride=2)] * len(kept)
        super().__init__(windows, prefix=prefix, params=params)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="features_")
            with self.features.name_scope():
                self.features.add(
                    nn.Conv2D(stem, 7, strides=2, padding=3, use_bias=conv_bias),
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.MaxPool2D(3, strides=2, padding=1),
                    _dense_block(layers[0], growth_rate, bn_size, conv_bias),
                )
                for channels, depth in zip(kept, layers[1:], strict=True):
                    self.features.add(
                        _transition(channels, conv_bias),
                        _dense_block(depth, growth_rate, bn_size, conv_bias),
                    )
                self.features.add(nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D())
            self.output = nn.Dense(classes)


def _channels_kept(stem: int, growth_rate: int, layers: Sequence[int], compression_rate: float) -> list[int]:
    """Return the output channels of each transition: there is one after each dense block but the last."""
    kept = []
    channels = stem
    for depth in layers[:-1]:
        channels = int(compression_rate * (channels + depth * growth_rate))
        kept.append(channels)
    if 0 in kept:
        raise ValueError(f"compression_rate={compression_rate!r}: allowed is what leaves at least 1 channel")
    return kept


def _dense_block(depth: int, growth_rate: int, bn_size: int, conv_bias: bool) -> Any:
    """Return a dense block: (N, C, H, W) to (N, C + depth * growth_rate, H, W)."""
    block = nn.HybridSequential(prefix=None)
    with block.name_scope():
        for _ in range(depth):
            block.add(DenseLayer(growth_rate, bn_size=bn_size, conv_bias=conv_bias))
    return block


def _transition(channels: int, conv_bias: bool) -> Any:
    """Return a transition: (N, C, H, W) to (N, channels, H // 2, W // 2)."""
    transition = nn.HybridSequential(prefix=None)
    with transition.name_scope():
        transition.add(
            nn.BatchNorm(),
            nn.Activation("relu"),
            nn.Conv2D(channels, 1, use_bias=conv_bias),
            nn.AvgPool2D(2, strides=2),
        )
    return transition


def _variant(name: str, classes: int, conv_bias: bool, prefix: str | None, params: Any) -> DenseNet:
    return DenseNet(
        *VARIANTS[name], COMPRESSION_RATE, BN_SIZE, classes, conv_bias=conv_bias, prefix=prefix, params=params
    )


def densenet121(
    classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None
) -> DenseNet:
    """Return DenseNet-121, not initialized: 7,989,096 trainable parameters, 7,978,856 without biases."""
    return _variant("densenet121", classes, conv_bias, prefix, params)


def densenet161(
    classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None
) -> DenseNet:
    """Return DenseNet-161, not initialized: 28,701,448 trainable parameters, 28,681,000 without biases."""
    return _variant("densenet161", classes, conv_bias, prefix, params)


def densenet169(
    classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None
) -> DenseNet:
    """Return DenseNet-169, not initialized: 14,163,688 trainable parameters, 14,149,480 without biases."""
    return _variant("densenet169", classes, conv_bias, prefix, params)


def densenet201(
    classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None
) -> DenseNet:
    """Return DenseNet-201, not initialized: 20,030,952 trainable parameters, 20,013,928 without biases."""
    return _variant("densenet201", classes, conv_bias, prefix, params)
