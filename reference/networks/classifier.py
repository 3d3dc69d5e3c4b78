"""What the networks share: images in, logits out, and a clear error for images they cannot take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from reference.runtime.mxnet_compat import HybridBlock, mx


class Window(NamedTuple):
    """A convolution or pooling along one axis, in pixels."""

    kernel: int
    stride: int = 1
    padding: int = 0


def smallest_size(windows: Sequence[Window]) -> int:
    """Return the smallest input, in pixels, from which every window in turn still gives an output.

    A window has ``floor((n - kernel + 2 * padding) / stride) + 1`` outputs; this is its inverse, from the
    last window, which must give one pixel, back to the first.

    >>> smallest_size([Window(kernel=3, stride=2), Window(kernel=3, stride=2)])
    7
    """
    size = 1
    for kernel, stride, padding in reversed(windows):
        size = max(1, (size - 1) * stride + kernel - 2 * padding)
    return size


class ImageClassifier(HybridBlock):
    """A network of ``features`` and a dense layer ``output``, which a subclass creates.

    Images are float32 of shape (N, C, H, W), H and W at least ``smallest_input`` pixels; C is fixed by the
    first images. Logits are of shape (N, classes).

    Args:
        windows: The network's convolutions and poolings along one axis, in order.
        prefix: Of the names of its parameters, see Gluon.
        params: Parameters to share, see Gluon.

    Attributes:
        features: HybridSequential of everything but the last layer.
        output: Dense layer of one logit a class.
        smallest_input: Smallest height and width of an image, in pixels.
    """

    paper: ClassVar[str]
    features: Any
    output: Any

    def __init__(self, windows: Sequence[Window], *, prefix: str | None, params: Any) -> None:
        """Prepare an empty network."""
        super().__init__(prefix=prefix, params=params)
        self.smallest_input = smallest_size(windows)

    def check_input(self, shape: Sequence[int]) -> None:
        """Check the shape of a batch of images.

        Raises:
            ValueError: If ``shape`` is not (N, C, H, W) with H and W at least ``smallest_input``.
        """
        if len(shape) != 4 or min(shape[2:]) < self.smallest_input:
            raise ValueError(
                f"{type(self).__name__} takes images of shape (N, C, H, W), H and W at least "
                f"{self.smallest_input}, not {tuple(shape)}"
            )

    def forward(self, x: Any, *args: Any) -> Any:
        """Check the images, then run imperatively or, once hybridized, the cached graph.

        Raises:
            ValueError: See :meth:`check_input`.
        """
        # Here, not in hybrid_forward: the check adds no node to the graph and is made for a cached graph too.
        if isinstance(x, mx.nd.NDArray):
            self.check_input(x.shape)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.output(self.features(x))
