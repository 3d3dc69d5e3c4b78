"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference.networks.alexnet import alexnet
from reference.networks.classifier import ImageClassifier
from reference.networks.densenet import densenet121, densenet161, densenet169, densenet201
from reference.networks.resnet import resnet50, resnet101, resnet152
from reference.networks.vgg import vgg11, vgg13, vgg16, vgg19

MODELS: dict[str, Callable[..., ImageClassifier]] = {
    "alexnet": alexnet,
    "vgg11": vgg11,
    "vgg13": vgg13,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "densenet121": densenet121,
    "densenet161": densenet161,
    "densenet169": densenet169,
    "densenet201": densenet201,
}
"""Every network's constructor under the constructor's own name."""


def list_models() -> list[str]:
    """Return the names that `get_model` takes, family by family, smallest network first."""
    return list(MODELS)


def get_model(name: str, **kwargs: Any) -> ImageClassifier:
    """Return a new network that is not initialized.

    Args:
        name: One of `list_models()`.
        **kwargs: Arguments of the constructor of that name, such as ``classes=10``.

    Returns:
        A HybridBlock that maps float32 images (N, C, H, W) to logits (N, classes).

    Raises:
        ValueError: If there is no network of that name, or an argument is out of range.
        TypeError: If the constructor has no such argument: ``conv_bias`` is ResNet's and DenseNet's alone.

    Examples:
        >>> get_model("resnet50", classes=10).smallest_input
        1
    """
    if name not in MODELS:
        raise ValueError(f"name={name!r}: allowed are {', '.join(MODELS)}")
    return MODELS[name](**kwargs)
