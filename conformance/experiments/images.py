"""Images that predictions are compared on: a folder of the user's, or packaged ones of Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conformance.contract.outcomes import NotApplicable
from conformance.contract.subject import RequestError
from conformance.tensors.comparison import Array, largest_difference
from reference.data.fashion_mnist import read_picture
from reference.data.idx import load_subset
from reference.data.images import to_images

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
PACKAGED, AT_ONCE = 8, 8
"""Images that are compared where the user names none, and images that are predicted at once."""


@dataclass(frozen=True)
class Prediction:
    """What both networks give for one image.

    Attributes:
        name: The image's.
        image: Float32 of shape (C, H, W).
        left, right: Logits (classes,) expected and actual.
    """

    name: str
    image: Array
    left: Array
    right: Array

    @property
    def expected(self) -> int:
        """The likeliest class."""
        return int(self.left.argmax())

    @property
    def actual(self) -> int:
        """The class that the network under test finds likeliest."""
        return int(self.right.argmax())

    @property
    def changed(self) -> bool:
        """Whether that is another class."""
        return self.expected != self.actual

    @property
    def difference(self) -> float:
        """Largest difference of a logit."""
        return largest_difference(self.left, self.right)[0]

    @property
    def scale(self) -> float:
        """The largest expected logit's size."""
        return float(np.abs(self.left).max())


def batches(folder: Path | None, shape: tuple[int, ...]) -> Iterator[tuple[list[str], Array]]:
    """Read images as ``shape`` (N, C, H, W) says, N aside, in [0, 1].

    Grey ones are repeated over the channels; of images in colour a network of three channels gets red, green and blue.

    Yields:
        Names and float32 images.

    Raises:
        NotApplicable: If the network does not take square images.
        RequestError: If the folder has no image, or one cannot be read.
    """
    if len(shape) != 4 or shape[2] != shape[3]:
        raise NotApplicable(f"its inputs {shape[1:]} are no square images")
    channels, side = shape[1], shape[2]
    if folder is None:
        pictures, _ = load_subset("test")
        chosen = [(f"test image {number}", picture) for number, picture in enumerate(pictures[:PACKAGED])]
        source: Iterator[tuple[str, Array]] = iter(chosen)
    else:
        source = _of(folder, colour=channels == 3)
    waiting = list(_some(source))
    while waiting:
        images = [_resized(picture, side, channels) for _, picture in waiting]
        yield [name for name, _ in waiting], np.concatenate(images)
        waiting = list(_some(source))


def _resized(picture: Array, side: int, channels: int) -> Array:
    """One image (1, C, side, side) from grey values (H, W) or from a colour one (3, H, W)."""
    if picture.ndim == 2:
        return to_images(picture[None], side, channels)
    return to_images(picture, side, 1).reshape(1, 3, side, side)


def _some(source: Iterator[tuple[str, Array]]) -> Iterator[tuple[str, Array]]:
    for _, each in zip(range(AT_ONCE), source, strict=False):
        yield each


def picture_files(folder: Path) -> list[Path]:
    """Image files of a folder and the folders in it, in order.

    Raises:
        RequestError: If there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not found:
        raise RequestError(f"--images {folder}: no image file ({', '.join(sorted(ENDINGS))})")
    return found


def _of(folder: Path, *, colour: bool) -> Iterator[tuple[str, Array]]:
    for path in picture_files(folder):
        try:
            yield str(path.relative_to(folder)), read_picture(path, size=None, colour=colour)
        except (ValueError, OSError) as error:
            raise RequestError(str(error)) from None
