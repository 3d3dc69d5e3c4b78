"""The operators that the 12 networks use, written from their formulae in NumPy: an engine small enough to be read.

Images are (N, C, H, W), everything is computed in the type that comes in. Source of every formula is the operator's
definition in the papers, not an implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from conformance.tensors.comparison import Array


def _windows(images: Array, kernel: int, stride: int, pad: int, filled: float) -> Array:
    """Every window of padded images: (N, C, H', W', kernel, kernel), H' = floor((H - kernel + 2 pad) / stride) + 1."""
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=filled)
    view: Any = sliding_window_view  # its type says that it slides along one axis
    return view(padded, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]  # type: ignore[no-any-return]


def convolution(images: Array, weight: Array, bias: Array, stride: int = 1, pad: int = 0) -> Array:
    """y[n, o, h, w] = bias[o] + sum over c, i, j of x[n, c, h s + i - p, w s + j - p] weight[o, c, i, j]."""
    windows = _windows(images, weight.shape[-1], stride, pad, 0)
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]  # type: ignore[no-any-return]


def max_pooling(images: Array, kernel: int, stride: int, pad: int = 0) -> Array:
    """Return the largest value of every window; padding is smaller than any value."""
    return _windows(images, kernel, stride, pad, -np.inf).max((4, 5))  # type: ignore[no-any-return]


def average_pooling(images: Array, kernel: int, stride: int, pad: int = 0, count_include_pad: bool = True) -> Array:
    """Return the mean of every window, in which padding counts as zeros or not at all."""
    total = _windows(images, kernel, stride, pad, 0).sum((4, 5))
    real = _windows(np.ones_like(images), kernel, stride, pad, 1 if count_include_pad else 0).sum((4, 5))
    return total / real  # type: ignore[no-any-return]


def global_pooling(images: Array) -> Array:
    """Return the mean of every channel: (N, C, 1, 1)."""
    return images.mean((2, 3), keepdims=True)  # type: ignore[no-any-return]


def _normalized(images: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    shape = (-1, 1, 1)
    standard = (images - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + epsilon)
    return gamma.reshape(shape) * standard + beta.reshape(shape)  # type: ignore[no-any-return]


def batch_norm_predicting(
    images: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float = 1e-5
) -> Array:
    """Ioffe and Szegedy 2015, algorithm 2, with the running statistics as they are."""
    return _normalized(images, gamma, beta, mean, variance, epsilon)


def batch_norm_training(images: Array, gamma: Array, beta: Array, epsilon: float = 1e-5) -> Array:
    """Ioffe and Szegedy 2015, algorithm 1: by the mean and the biased variance of the batch."""
    return _normalized(images, gamma, beta, images.mean((0, 2, 3)), images.var((0, 2, 3)), epsilon)


def running_statistics(images: Array, mean: Array, variance: Array, momentum: float = 0.9) -> tuple[Array, Array]:
    """Return what running statistics become: momentum old + (1 - momentum) batch, the biased variance of the batch."""
    batch = images.mean((0, 2, 3)), images.var((0, 2, 3))
    first, second = (momentum * old + (1 - momentum) * new for old, new in zip((mean, variance), batch, strict=True))
    return first, second


def dense(features: Array, weight: Array, bias: Array) -> Array:
    """Y = x W^T + b, x flattened to (N, features) in the order C, H, W."""
    return features.reshape(len(features), -1) @ weight.T + bias


def concat(*images: Array) -> Array:
    """Put channels behind each other in the order given."""
    return np.concatenate(images, 1)


def relu(images: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(images, 0)


def dropout(features: Array, kept: Array, rate: float) -> Array:
    """Srivastava et al. 2014, scaled while training: what is kept is divided by 1 - rate."""
    return features * kept / (1 - rate)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """-log of the softmax at the label, of every row: (N,)."""
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(logits)), labels.astype(int)]  # type: ignore[no-any-return]


def numeric_gradient(function: Callable[..., Array], arrays: Sequence[Array], above: Array, step: float) -> list[Array]:
    """Central differences of sum(above * function(*arrays)) with respect to every value of every array.

    Args:
        function: Of the arrays.
        arrays: In float64.
        above: Gradient of what follows, of the shape of the function's value.
        step: How far a value is moved; the error is of the order of its square.
    """
    gradients = []
    for place, array in enumerate(arrays):
        gradient = np.empty_like(array)
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * step
                sides.append(float((above * function(*arrays[:place], moved, *arrays[place + 1 :])).sum()))
            gradient[index] = (sides[0] - sides[1]) / (2 * step)
        gradients.append(gradient)
    return gradients
