"""AlexNet and ResNet-50 in PyTorch, layer by layer those of ``reference/alexnet.py`` and ``reference/resnet.py``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def alexnet(image_size: int, classes: int) -> nn.Module:
    """Return AlexNet for images (N, 3, image_size, image_size)."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
    )
    with torch.no_grad():
        inputs = features(torch.zeros(1, 3, image_size, image_size)).shape[1]
    dense = (nn.Linear(inputs, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True))
    return nn.Sequential(features, *dense, nn.Dropout(), nn.Linear(4096, classes))


class Bottleneck(nn.Module):
    """A bottleneck block with the stride in its first convolution, and a projection where the shape changes."""

    def __init__(self, inputs: int, channels: int, stride: int, *, projection: bool) -> None:
        super().__init__()
        inner = channels // 4
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, stride=stride),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inputs, channels, 1, stride=stride), nn.BatchNorm2d(channels))
            if projection
            else nn.Identity()
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (N, inputs, H, W) to (N, channels, H / stride, W / stride)."""
        return torch.relu(self.body(images) + self.shortcut(images))


def resnet50(image_size: int, classes: int) -> nn.Module:
    """Return ResNet-50; it takes images of any size."""
    stem = (nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
    blocks, inputs = list[nn.Module](), 64
    for stage, (channels, number) in enumerate(((256, 3), (512, 4), (1024, 6), (2048, 3))):
        for block in range(number):
            stride = 2 if stage and not block else 1
            blocks.append(Bottleneck(inputs, channels, stride, projection=not block))
            inputs = channels
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes))
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, padding=1), *blocks, *head)


def draw_weights(net: nn.Module) -> None:
    """Draw weights as the article does, normal with a deviation of 0.01, and set biases to zero."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {"alexnet": alexnet, "resnet50": resnet50}
