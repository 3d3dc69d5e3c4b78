"""The networks by name, and the device to run them on."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

from reference.alexnet import alexnet
from reference.classifier import ImageClassifier
from reference.densenet import densenet121, densenet161, densenet169, densenet201
from reference.mxnet_compat import mx
from reference.resnet import resnet50, resnet101, resnet152
from reference.vgg import vgg11, vgg13, vgg16, vgg19

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


def try_gpu(index: int = 0) -> Any:
    """Return GPU ``index`` as a context if this build of MXNet computes on it, else the CPU.

    Raises:
        ValueError: If ``index`` is not an integer of at least 0.
    """
    if isinstance(index, bool) or not isinstance(index, Integral) or index < 0:
        raise ValueError(f"index={index!r}: allowed is an integer of at least 0")
    try:
        # Counted first: MXNet may end the process where it is told to use a GPU that is not there.
        if index < mx.context.num_gpus():
            ctx = mx.gpu(int(index))
            # A build without code for this GPU finds it and fails only when it computes, so compute.
            (mx.nd.zeros((1,), ctx=ctx) + 1).wait_to_read()
            return ctx
    except mx.MXNetError:
        pass
    return mx.cpu()
