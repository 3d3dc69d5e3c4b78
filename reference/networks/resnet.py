"""ResNet of bottleneck blocks: each block adds what it learned to its shortcut.

Paper: He et al., Deep Residual Learning for Image Recognition, 2015, table 1 and figure 5 (right),
https://arxiv.org/abs/1512.03385

At 224x224:

    ===================  ========  =========  =========  ===============
    layers               resnet50  resnet101  resnet152  output
    ===================  ========  =========  =========  ===============
    conv 7x7 /2          1         1          1          64 x 112 x 112
    max pool 3 /2        1         1          1          64 x 56 x 56
    stage of blocks      3         3          3          256 x 56 x 56
    stage of blocks /2   4         4          8          512 x 28 x 28
    stage of blocks /2   6         23         36         1024 x 14 x 14
    stage of blocks /2   3         3          3          2048 x 7 x 7
    global average pool  1         1          1          2048 x 1 x 1
    dense                1         1          1          classes
    ===================  ========  =========  =========  ===============

A stage's stride is on its first 1x1 convolution, as its authors have it; torchvision has it on the 3x3 one.

Departures from the paper:

- Every convolution has a bias. ``conv_bias=False`` leaves them out and gives the published parameter count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from reference.networks.classifier import ImageClassifier, Window
from reference.runtime.arguments import boolean, positive_integer, positive_integers
from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn

STEM = 64
"""Output channels of the first convolution."""

FILTERS = (256, 512, 1024, 2048)
"""Output channels of each stage."""

VARIANTS = {
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
"""Blocks in each stage."""


class Bottleneck(HybridBlock):
    """Three convolutions added to a shortcut.

    Takes (N, C, H, W), returns (N, channels, ceil(H / stride), ceil(W / stride)).

    Args:
        channels: Output channels, divisible by 4; a quarter of them inside.
        stride: Of the first 1x1 convolution and of the projection.
        project: Whether the shortcut is a projection (1x1 convolution and BatchNorm) or the input itself.
        conv_bias: Whether the convolutions have a bias.
    """

    def __init__(self, channels: int, *, stride: int, project: bool, conv_bias: bool) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="body_")
            with self.body.name_scope():
                self.body.add(
                    nn.Conv2D(channels // 4, 1, strides=stride, use_bias=conv_bias),
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.Conv2D(channels // 4, 3, padding=1, use_bias=conv_bias),
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.Conv2D(channels, 1, use_bias=conv_bias),
                    nn.BatchNorm(),
                )
            self.projection = None
            if project:
                self.projection = nn.HybridSequential(prefix="projection_")
                with self.projection.name_scope():
                    self.projection.add(nn.Conv2D(channels, 1, strides=stride, use_bias=conv_bias), nn.BatchNorm())

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Add the body's output to the shortcut, then relu."""
        shortcut = x if self.projection is None else self.projection(x)
        return F.Activation(self.body(x) + shortcut, act_type="relu")


class ResNet(ImageClassifier):
    """ResNet with any number of stages; takes images of any size and number of channels.

    Args:
        layers: Number of blocks in each stage, as in ResNet-50 unless given. The first stage has stride 1, every
            other one stride 2.
        filters: Output channels of each stage, as many as there are stages; multiples of 4.
        classes: Number of logits.
        stem: Output channels of the first convolution.
        conv_bias: Whether the convolutions have a bias.
        prefix: Of the names of its parameters, see Gluon.
        params: Parameters to share, see Gluon.

    Raises:
        ValueError: If an argument is not made of integers of at least 1 (``conv_bias``: not a bool), the
            lengths differ, or a stage's channels are not divisible by 4.
    """

    paper: ClassVar[str] = "https://arxiv.org/abs/1512.03385"

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = FILTERS,
        classes: int = 1000,
        *,
        stem: int = STEM,
        conv_bias: bool = True,
        prefix: str | None = None,
        params: Any = None,
    ) -> None:
        """Create the layers, with no weights yet."""
        layers = positive_integers("layers", layers)
        stages = positive_integers("filters", filters)
        if len(stages) != len(layers):
            raise ValueError(
                f"filters={filters!r}: allowed are {len(layers)} integers of at least 1, one a stage, "
                f"not {len(stages)}; the first convolution's channels are another argument, stem={stem!r}"
            )
        if any(channels % 4 for channels in stages):
            raise ValueError(f"filters={filters!r}: allowed are multiples of 4")
        classes = positive_integer("classes", classes)
        stem = positive_integer("stem", stem)
        conv_bias = boolean("conv_bias", conv_bias)
        windows = [Window(7, 2, 3), Window(3, 2, 1)] + [Window(1, stride=2)] * (len(layers) - 1)
        super().__init__(windows, prefix=prefix, params=params)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="features_")
            with self.features.name_scope():
                self.features.add(
                    nn.Conv2D(stem, 7, strides=2, padding=3, use_bias=conv_bias),
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.MaxPool2D(3, strides=2, padding=1),
                )
                for index, (blocks, channels) in enumerate(zip(layers, stages, strict=True)):
                    self.features.add(_stage(blocks, channels, 1 if index == 0 else 2, conv_bias))
                self.features.add(nn.GlobalAvgPool2D())
            self.output = nn.Dense(classes)


def _stage(blocks: int, channels: int, stride: int, conv_bias: bool) -> Any:
    """Return the blocks of one stage; only the first has the stride and a projection."""
    stage = nn.HybridSequential(prefix=None)
    with stage.name_scope():
        stage.add(Bottleneck(channels, stride=stride, project=True, conv_bias=conv_bias))
        for _ in range(blocks - 1):
            stage.add(Bottleneck(channels, stride=1, project=False, conv_bias=conv_bias))
    return stage


def resnet50(classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None) -> ResNet:
    """Return ResNet-50, not initialized: 25,583,592 trainable parameters, 25,557,032 without biases."""
    return ResNet(VARIANTS["resnet50"], FILTERS, classes, conv_bias=conv_bias, prefix=prefix, params=params)


def resnet101(classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None) -> ResNet:
    """Return ResNet-101, not initialized: 44,601,832 trainable parameters, 44,549,160 without biases."""
    return ResNet(VARIANTS["resnet101"], FILTERS, classes, conv_bias=conv_bias, prefix=prefix, params=params)


def resnet152(classes: int = 1000, *, conv_bias: bool = True, prefix: str | None = None, params: Any = None) -> ResNet:
    """Return ResNet-152, not initialized: 60,268,520 trainable parameters, 60,192,808 without biases."""
    return ResNet(VARIANTS["resnet152"], FILTERS, classes, conv_bias=conv_bias, prefix=prefix, params=params)
