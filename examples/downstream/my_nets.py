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
