"""A small ResNet in PyTorch as others would write it, and the same with one fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from conformance.ports.torch.networks import ResNet

BLOCKS, FILTERS = (2, 2), (16, 32, 64)
Patch = Callable[[Any], None]


def resnet(classes: int = 1000, patch: Patch = lambda net: None) -> nn.Module:
    """Return the small ResNet of tests/faults/small_networks.py, changed by a patch."""
    net = ResNet(BLOCKS, FILTERS, classes)
    patch(net)
    return net


class Written(nn.Module):
    """The same in another hand: other names and order, functions for modules, the shortcut computed first."""

    def __init__(self, classes: int = 1000) -> None:
        """Create the layers."""
        super().__init__()
        self.head = nn.Linear(64, classes)
        self.blocks = nn.ModuleList(
            _WrittenBlock(*sizes) for sizes in ((16, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        )
        self.norm = nn.BatchNorm2d(16)
        self.stem = nn.Conv2d(3, 16, 7, 2, 3)
        self.drop = nn.Dropout(0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = functional.max_pool2d(torch.relu_(self.norm(self.stem(x))), kernel_size=3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        x = x.mean([-1, -2], keepdim=True)
        return self.head(self.drop(torch.flatten(x, 1)))


class _WrittenBlock(nn.Module):
    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential()
        if inputs != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride), nn.BatchNorm2d(channels))
        inner = channels // 4
        self.body = nn.Sequential(
            *[nn.Conv2d(inputs, inner, 1, stride), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)],
            *[nn.Conv2d(inner, inner, 3, padding="same"), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)],
            *[nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels)],
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.shortcut(x)
        out = self.body(x)
        out += shortcut
        return functional.relu(out)


def epsilon(net: Any) -> None:
    """Change the epsilon of one BatchNorm."""
    net.layer2[0].bn2.eps = 1.1e-5


def same_padding(net: Any) -> None:
    """Pad the stem as TensorFlow's 'same' does: less on the left than on the right."""
    convolution = net.conv1
    convolution.padding = (0, 0)
    net.conv1 = nn.Sequential(nn.ZeroPad2d((2, 3, 2, 3)), convolution)


class Reversed(nn.Module):
    """Images with their channels in the opposite order."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Reverse (N, C, H, W) along C."""
        return images.flip(1)


def reversed_channels(net: Any) -> None:
    """Read blue for red."""
    net.conv1 = nn.Sequential(Reversed(), net.conv1)


def other_stride(net: Any) -> None:
    """Put the stride of a stage on its 3x3 convolution."""
    net.layer2[0].conv1.stride, net.layer2[0].conv2.stride = (1, 1), (2, 2)


def pytorch_variance(net: Any) -> None:
    """Keep running variances as PyTorch does, in one BatchNorm."""
    ours = net.layer2[0].bn2
    theirs = nn.BatchNorm2d(ours.num_features)
    theirs.load_state_dict(ours.state_dict())
    net.layer2[0].bn2 = theirs


def other_momentum(net: Any) -> None:
    """Give one BatchNorm MXNet's momentum as if it were PyTorch's."""
    net.layer1[1].bn1.momentum = 0.9


def frozen(net: Any) -> None:
    """Let one weight not learn."""
    net.layer1[1].conv2.weight.requires_grad_(False)


class Detached(nn.Module):
    """An identity that passes no gradient back to half of its channels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pass (N, C, H, W) on."""
        half = images.shape[1] // 2
        return torch.cat((images[:, :half].detach(), images[:, half:]), 1)


def no_gradient(net: Any) -> None:
    """Pass half of a gradient back only."""
    net.layer1[1].bn2 = nn.Sequential(net.layer1[1].bn2, Detached())


def two_outputs(classes: int = 1000) -> nn.Module:
    """Return a network with a second output."""

    class Two(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, images

    return Two()


def by_value(classes: int = 1000) -> nn.Module:
    """Return a network whose operators depend on the values of its images."""

    class Depends(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * 2 if images.sum() > 0 else images

    return Depends()


def no_module(classes: int = 1000) -> str:
    """Return no network."""
    return "text"
