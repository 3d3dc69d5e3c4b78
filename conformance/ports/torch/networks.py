"""The 12 networks in PyTorch, written from the papers and the specification as an independent witness.

Names follow torchvision's documented layout (`layer1.0.conv1.weight`, ...). The departures from the papers are those of
`reference/`: convolutions have a bias (``conv_bias=False`` leaves it out), a ResNet's stride is on the first 1x1
convolution (``stride_on="3x3"`` puts it where torchvision has it), a dense layer's new features come before its input,
and running variances are those of the batch itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from conformance.contract.specification import VGG_FILTERS, output_size


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm whose running variance moves towards the batch's variance, as MXNet's does.

    PyTorch's own moves towards n / (n - 1) times that, for n values a channel.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize (N, C, H, W); in train mode by the batch, which the running statistics then follow."""
        if not self.training:
            return functional.batch_norm(
                images, self.running_mean, self.running_var, self.weight, self.bias, False, self.momentum, self.eps
            )
        with torch.no_grad():
            variance, mean = torch.var_mean(images, (0, 2, 3), correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return functional.batch_norm(images, None, None, self.weight, self.bias, True, 0.0, self.eps)


def _hidden(features: int, units: int) -> list[nn.Module]:
    return [nn.Linear(features, units), nn.ReLU(), nn.Dropout(0.5)]


class _TwoHiddenLayers(nn.Module):
    """A convolutional part, two hidden dense layers with dropout, and one logit a class."""

    def __init__(self, features: Sequence[nn.Module], size: int, classes: int, units: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(*_hidden(size, units), *_hidden(units, units), nn.Linear(units, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.classifier(self.features(images).flatten(1))


class AlexNet(_TwoHiddenLayers):
    """Krizhevsky 2014, https://arxiv.org/abs/1404.5997, with 256 channels in the fourth convolution."""

    def __init__(self, classes: int = 1000, *, channels: int = 3, image_size: int = 224, units: int = 4096) -> None:
        """Create the layers; ``image_size`` fixes the features of the first dense layer."""
        side = output_size(image_size, 11, 4, 2)
        for _ in range(3):
            side = output_size(side, 3, 2)
        layers = [
            *[nn.Conv2d(channels, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)],
            *[nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)],
            *[nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()],
            *[nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()],
            *[nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)],
        ]
        super().__init__(layers, 256 * side**2, classes, units)


class VGG(_TwoHiddenLayers):
    """Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556, table 1."""

    def __init__(
        self,
        convolutions: Sequence[int],
        filters: Sequence[int] = VGG_FILTERS,
        classes: int = 1000,
        *,
        channels: int = 3,
        image_size: int = 224,
        units: int = 4096,
    ) -> None:
        """Create groups of 3x3 convolutions, each halving the image; see AlexNet for ``image_size``."""
        layers: list[nn.Module] = []
        for number, width in zip(convolutions, filters, strict=True):
            for _ in range(number):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        super().__init__(layers, channels * (image_size // 2 ** len(convolutions)) ** 2, classes, units)


class Bottleneck(nn.Module):
    """He et al. 2015, figure 5: (N, inputs, H, W) to (N, channels, H / stride, W / stride)."""

    def __init__(self, inputs: int, channels: int, stride: int, project: bool, bias: bool, stride_on: str) -> None:
        """Create the layers; the shortcut is projected in the first block of a stage."""
        super().__init__()
        inner = channels // 4
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, first, bias=bias), BatchNorm(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, second, 1, bias=bias), BatchNorm(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, channels, 1, bias=bias), BatchNorm(channels)
        projection = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=bias), BatchNorm(channels))
        self.downsample = projection if project else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Add what three convolutions make of the input to its shortcut."""
        inner = self.bn1(self.conv1(images)).relu()
        inner = self.bn2(self.conv2(inner)).relu()
        return (self.bn3(self.conv3(inner)) + self.downsample(images)).relu()


class ResNet(nn.Module):
    """He et al. 2015, https://arxiv.org/abs/1512.03385, table 1: a stem and stages ``layer1``, ``layer2``, ..."""

    def __init__(
        self,
        blocks: Sequence[int],
        filters: Sequence[int] = (64, 256, 512, 1024, 2048),
        classes: int = 1000,
        *,
        channels: int = 3,
        conv_bias: bool = True,
        stride_on: str = "1x1",
    ) -> None:
        """Create the layers; ``filters`` are the channels of the stem, then of every stage."""
        super().__init__()
        if stride_on not in ("1x1", "3x3"):
            raise ValueError(f"stride_on={stride_on!r}: allowed are '1x1' and '3x3'")
        width = filters[0]
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 7, 2, 3, bias=conv_bias), BatchNorm(width)
        self.stages: list[str] = []
        for number, (depth, wide) in enumerate(zip(blocks, filters[1:], strict=True), 1):
            stage = nn.Sequential()
            for place in range(depth):
                stride = 2 if number > 1 and place == 0 else 1
                stage.append(Bottleneck(width, wide, stride, place == 0, conv_bias, stride_on))
                width = wide
            self.stages.append(f"layer{number}")
            self.add_module(self.stages[-1], stage)
        self.fc = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        features = functional.max_pool2d(self.bn1(self.conv1(images)).relu(), 3, 2, 1)
        for stage in self.stages:
            features = getattr(self, stage)(features)
        return self.fc(functional.adaptive_avg_pool2d(features, 1).flatten(1))


class DenseLayer(nn.Module):
    """Huang et al. 2016, section 3: (N, inputs, H, W) to (N, growth + inputs, H, W), new features first."""

    def __init__(self, inputs: int, growth: int, bn_size: int, bias: bool) -> None:
        """Create the layers."""
        super().__init__()
        self.norm1, self.conv1 = BatchNorm(inputs), nn.Conv2d(inputs, bn_size * growth, 1, bias=bias)
        self.norm2 = BatchNorm(bn_size * growth)
        self.conv2 = nn.Conv2d(bn_size * growth, growth, 3, padding=1, bias=bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Put new features before the input."""
        inner = self.conv1(self.norm1(images).relu())
        return torch.cat((self.conv2(self.norm2(inner).relu()), images), 1)


class DenseNet(nn.Module):
    """Huang et al. 2016, https://arxiv.org/abs/1608.06993, table 1: DenseNet-BC, compression rounded down."""

    def __init__(
        self,
        stem: int,
        growth: int,
        depths: Sequence[int],
        classes: int = 1000,
        *,
        channels: int = 3,
        bn_size: int = 4,
        compression: float = 0.5,
        conv_bias: bool = True,
    ) -> None:
        """Create a stem, dense blocks with a transition after each but the last, and a dense layer."""
        super().__init__()
        named: list[tuple[str, nn.Module]] = [
            ("conv0", nn.Conv2d(channels, stem, 7, 2, 3, bias=conv_bias)),
            *[("norm0", BatchNorm(stem)), ("relu0", nn.ReLU()), ("pool0", nn.MaxPool2d(3, 2, 1))],
        ]
        width = stem
        for number, depth in enumerate(depths, 1):
            layers = [DenseLayer(width + place * growth, growth, bn_size, conv_bias) for place in range(depth)]
            names = (f"denselayer{place}" for place in range(1, depth + 1))
            named.append((f"denseblock{number}", nn.Sequential(OrderedDict(zip(names, layers, strict=True)))))
            width += depth * growth
            if number < len(depths):
                kept = int(compression * width)
                named.append((f"transition{number}", _transition(width, kept, conv_bias)))
                width = kept
        named += [("norm5", BatchNorm(width)), ("relu5", nn.ReLU())]
        self.features = nn.Sequential(OrderedDict(named))
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.classifier(self.features(images).mean((2, 3)))


def _transition(inputs: int, channels: int, bias: bool) -> nn.Sequential:
    """(N, inputs, H, W) to (N, channels, H // 2, W // 2)."""
    layers = {"norm": BatchNorm(inputs), "relu": nn.ReLU(), "conv": nn.Conv2d(inputs, channels, 1, bias=bias)}
    return nn.Sequential(OrderedDict({**layers, "pool": nn.AvgPool2d(2)}))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "alexnet": AlexNet,
    "vgg11": partial(VGG, (1, 1, 2, 2, 2)),
    "vgg13": partial(VGG, (2, 2, 2, 2, 2)),
    "vgg16": partial(VGG, (2, 2, 3, 3, 3)),
    "vgg19": partial(VGG, (2, 2, 4, 4, 4)),
    "resnet50": partial(ResNet, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, (3, 4, 23, 3)),
    "resnet152": partial(ResNet, (3, 8, 36, 3)),
    "densenet121": partial(DenseNet, 64, 32, (6, 12, 24, 16)),
    "densenet161": partial(DenseNet, 96, 48, (6, 12, 36, 24)),
    "densenet169": partial(DenseNet, 64, 32, (6, 12, 32, 32)),
    "densenet201": partial(DenseNet, 64, 32, (6, 12, 48, 32)),
}
"""What builds each network; the keyword arguments are those of its class."""


def build(name: str, **arguments: Any) -> nn.Module:
    """Return a new network with PyTorch's initial weights, in predict mode.

    Raises:
        ValueError: If there is no network of that name.
    """
    if name not in NETWORKS:
        raise ValueError(f"name={name!r}: allowed are {', '.join(NETWORKS)}")
    return NETWORKS[name](**arguments).eval()
