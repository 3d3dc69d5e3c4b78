"""Networks of a project that uses the suite on its own blocks."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn


class SmallNet(HybridBlock):
    """Two convolutions and a classifier.

    Args:
        classes: Number of logits.
        **kwargs: Passed to `HybridBlock` (`prefix`, `params`).
    """

    def __init__(self, classes: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            with self.features.name_scope():
                for channels in (16, 32):
                    self.features.add(nn.Conv2D(channels, kernel_size=3, padding=1, use_bias=False))
                    self.features.add(nn.BatchNorm())
                    self.features.add(nn.Activation("relu"))
                    self.features.add(nn.MaxPool2D(pool_size=2, strides=2))
                self.features.add(nn.GlobalAvgPool2D())
                self.features.add(nn.Flatten())
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images of shape (N, 3, H, W), H and W at least 4, to logits of shape (N, classes)."""
        return self.output(self.features(x))


class Unit(HybridBlock):
    """A bottleneck unit: (N, C, H, W) to (N, channels, H / stride, W / stride).

    Args:
        channels: Output channels; a quarter of them inside.
        stride: Of the first convolution and of the shortcut's.
        widens: Whether the shortcut is a convolution.
        **kwargs: Passed to `HybridBlock` (`prefix`, `params`).
    """

    def __init__(self, channels: int, stride: int, widens: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.shortcut = conv_norm(channels, 1, stride) if widens else None
            self.reduce = conv_norm(channels // 4, 1, stride)
            self.middle = conv_norm(channels // 4, 3, padding=1)
            self.expand = conv_norm(channels, 1)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Add the shortcut to three convolutions."""
        shortcut = self.shortcut(x) if self.shortcut else x
        x = F.relu(self.reduce(x))
        x = F.relu(self.middle(x))
        return F.relu(shortcut + self.expand(x))


def conv_norm(channels: int, size: int, stride: int = 1, padding: int = 0) -> Any:
    """Return a convolution and its BatchNorm."""
    pair = nn.HybridSequential()
    pair.add(nn.Conv2D(channels, size, stride, padding), nn.BatchNorm())
    return pair


def make_resnet50(classes: int = 1000) -> Any:
    """Return this project's own ResNet-50: images (N, 3, H, W) to logits (N, classes)."""
    net = nn.HybridSequential(prefix="my_resnet50_")
    with net.name_scope():
        net.add(conv_norm(64, 7, 2, 3), nn.HybridLambda("relu"), nn.MaxPool2D(3, 2, 1))
        for channels, units in ((256, 3), (512, 4), (1024, 6), (2048, 3)):
            for unit in range(units):
                net.add(Unit(channels, 2 if unit == 0 and channels > 256 else 1, unit == 0))
        net.add(nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(classes))
    return net
