"""Grey images as a network's input in MXNet's own memory, without a copy in between."""

from __future__ import annotations

import ctypes
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.data.images import to_images
from reference.runtime.arguments import positive_integer
from reference.runtime.mxnet_compat import mx

TURNS = 2
"""Arrays that take turns: MXNet computes on one batch while the next is prepared."""


class InputArrays:
    """Prepares batches for `Examples` as `to_images` does, in arrays that are filled again and again.

    A batch of AlexNet's takes 77 MB. To get them from the system and to copy them takes longer than to resize the
    images. An array is filled again only when MXNet has computed all that was asked of it, but what is read from it
    later is the newer batch.

    Args:
        size: Height and width of the input in pixels, at least 1.
        channels: Number of equal channels, at least 1.

    Raises:
        ValueError: If one is below 1.
    """

    def __init__(self, size: int, channels: int = 3) -> None:
        """Begin without an array."""
        self.size, self.channels = positive_integer("size", size), positive_integer("channels", channels)
        self.arrays: deque[Any] = deque(maxlen=TURNS)

    def __call__(self, images: NDArray[np.uint8]) -> Any:
        """Return a batch; it holds until `TURNS` more are asked for.

        Args:
            images: uint8 of shape (N, H, W).

        Returns:
            MXNet's array on the CPU, float32 of shape (N, channels, size, size), in [0, 1].

        Raises:
            ValueError: If the images are not uint8 of three axes.
        """
        shape = (len(images), self.channels, self.size, self.size)
        free = self.arrays[0] if len(self.arrays) == TURNS else None
        array = free if free is not None and free.shape == shape else mx.nd.empty(shape, mx.cpu())
        to_images(images, self.size, self.channels, out=memory(array))
        self.arrays.append(array)
        return array


def memory(array: Any) -> NDArray[np.float32]:
    """Return the memory of an array of MXNet's on the CPU, float32, once nothing that was asked for needs it as it is.

    It must not be used longer than the array is there.
    """
    start = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayWaitToWrite(array.handle))
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(start)))
    return np.ctypeslib.as_array(ctypes.cast(start, ctypes.POINTER(ctypes.c_float)), array.shape)
