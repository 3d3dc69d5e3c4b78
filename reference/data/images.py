"""Resizing images to a network's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 8
"""Images that are resized at once: few, so that what is in between stays in the processor's cache."""


def to_images(
    images: NDArray[np.uint8], size: int, channels: int = 3, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Resize a batch of grey images and repeat it over channels, as a network's input.

    Bilinear with half-pixel centers and no smoothing before reduction, as OpenCV's INTER_LINEAR does it. The
    result is the same on every machine with IEEE arithmetic: no sum has more than two terms.

    Args:
        images: uint8 of shape (N, H, W).
        size: Height and width of the result in pixels, at least 1.
        channels: Number of equal channels, at least 1.
        out: Where the result is written and returned, of its shape; None takes new memory.

    Returns:
        float32 of shape (N, channels, size, size), in [0, 1].

    Raises:
        ValueError: The images are not uint8 of three axes, a size is below 1, or `out` is not like the result.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"images are {images.dtype} of shape {images.shape}, expected uint8 of shape (N, H, W)")
    if size < 1 or channels < 1 or min(images.shape[1:]) < 1:
        raise ValueError(f"size {size}, channels {channels}, images {images.shape}: each must be at least 1")
    shape = (len(images), channels, size, size)
    result = np.empty(shape, np.float32) if out is None else out
    if result.shape != shape or result.dtype != np.float32:
        raise ValueError(f"out is {result.dtype} of shape {result.shape}, expected float32 of shape {shape}")
    for first in range(0, len(images), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        # Columns first in memory: NumPy then takes them as wholes, not pixel by pixel.
        turned = images[some].transpose(0, 2, 1).astype(np.float32) / np.float32(255)
        resized = _resize_axis(_resize_axis(turned, size, axis=2), size, axis=1)
        # Rounding can leave a blend of two ones a little above one.
        np.clip(resized, 0, 1, out=resized)
        result[some] = np.ascontiguousarray(resized.transpose(0, 2, 1))[:, np.newaxis]
    return result


def _resize_axis(images: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Interpolate one axis of float32 images linearly to `size` pixels; border pixels continue outwards."""
    length = images.shape[axis]
    if length == size:
        return images
    centers = (np.arange(size, dtype=np.float64) + 0.5) * (length / size) - 0.5
    centers = centers.clip(0, length - 1)
    lower = np.floor(centers).astype(np.intp)
    upper = np.minimum(lower + 1, length - 1)
    shape = [1, 1, 1]
    shape[axis] = size
    weight = (centers - lower).astype(np.float32).reshape(shape)
    before: NDArray[np.float32] = images.take(lower, axis=axis)
    after = images.take(upper, axis=axis)
    before *= 1 - weight
    after *= weight
    before += after
    return before
