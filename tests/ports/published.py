"""Networks as torchvision documents them, computed from nothing but a state dict: what published weights mean there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

State = Mapping[str, torch.Tensor]


def filled(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return a state dict of random entries in float64, variances among them positive."""
    generator = torch.Generator().manual_seed(1)
    state = {key: torch.randn(shape, generator=generator, dtype=torch.float64) / 3 for key, shape in shapes.items()}
    return {key: value.abs() + 0.5 if key.endswith("running_var") else value for key, value in state.items()}


def _norm(state: State, name: str, images: torch.Tensor) -> torch.Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(images, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def _dense(state: State, name: str, features: torch.Tensor) -> torch.Tensor:
    return functional.linear(features, state[f"{name}.weight"], state[f"{name}.bias"])


def alexnet(state: State, images: torch.Tensor) -> torch.Tensor:
    """Compute AlexNet's logits, its dense layers where torchvision has them."""
    for layer, stride, padding, pooled in ((0, 4, 2, True), (3, 1, 2, True), (6, 1, 1, False), (8, 1, 1, False)):
        weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
        images = functional.relu(functional.conv2d(images, weight, bias, stride, padding))
        images = functional.max_pool2d(images, 3, 2) if pooled else images
    images = functional.relu(functional.conv2d(images, state["features.10.weight"], state["features.10.bias"], 1, 1))
    features = functional.max_pool2d(images, 3, 2).flatten(1)
    for name in ("classifier.1", "classifier.4"):
        features = functional.relu(_dense(state, name, features))
    return _dense(state, "classifier.6", features)


def resnet(state: State, images: torch.Tensor, blocks: Sequence[int]) -> torch.Tensor:
    """Compute a ResNet's logits, the stride on the 3x3 convolution of each block."""
    features = functional.relu(_norm(state, "bn1", functional.conv2d(images, state["conv1.weight"], None, 2, 3)))
    features = functional.max_pool2d(features, 3, 2, 1)
    for stage, depth in enumerate(blocks, 1):
        for place in range(depth):
            name, stride = f"layer{stage}.{place}", 2 if stage > 1 and place == 0 else 1
            inner = functional.relu(
                _norm(state, f"{name}.bn1", functional.conv2d(features, state[f"{name}.conv1.weight"]))
            )
            inner = functional.conv2d(inner, state[f"{name}.conv2.weight"], None, stride, 1)
            inner = functional.conv2d(
                functional.relu(_norm(state, f"{name}.bn2", inner)), state[f"{name}.conv3.weight"]
            )
            if place == 0:
                features = functional.conv2d(features, state[f"{name}.downsample.0.weight"], None, stride)
                features = _norm(state, f"{name}.downsample.1", features)
            features = functional.relu(_norm(state, f"{name}.bn3", inner) + features)
    return _dense(state, "fc", features.mean((2, 3)))


def densenet(state: State, images: torch.Tensor, depths: Sequence[int]) -> torch.Tensor:
    """Compute a DenseNet's logits, each layer's new features behind its input."""
    features = functional.conv2d(images, state["features.conv0.weight"], None, 2, 3)
    features = functional.max_pool2d(functional.relu(_norm(state, "features.norm0", features)), 3, 2, 1)
    for block, depth in enumerate(depths, 1):
        for layer in range(1, depth + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            inner = functional.conv2d(
                functional.relu(_norm(state, f"{name}.norm1", features)), state[f"{name}.conv1.weight"]
            )
            inner = functional.relu(_norm(state, f"{name}.norm2", inner))
            features = torch.cat((features, functional.conv2d(inner, state[f"{name}.conv2.weight"], None, 1, 1)), 1)
        if block < len(depths):
            name = f"features.transition{block}"
            features = functional.conv2d(
                functional.relu(_norm(state, f"{name}.norm", features)), state[f"{name}.conv.weight"]
            )
            features = functional.avg_pool2d(features, 2)
    return _dense(state, "classifier", functional.relu(_norm(state, "features.norm5", features)).mean((2, 3)))
