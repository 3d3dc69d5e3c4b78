"""Batches: what a training loop is fed with, and images in memory as a source of them.

This module knows NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """The images and labels of one step, as NumPy arrays or as MXNet's.

    Attributes:
        images: float32 of shape (N, C, H, W), or whatever the network takes.
        labels: Class numbers of shape (N,).
    """

    images: Any
    labels: Any


@runtime_checkable
class Source(Protocol):
    """Gives an epoch's batches in the size and the order that the loop asks for."""

    def batches(self, batch_size: int, order: np.random.Generator | None = None, skip: int = 0) -> Iterable[Batch]:
        """Return the batches of an epoch.

        Args:
            batch_size: Images in a batch; the last one may have fewer.
            order: Draws the order of the images; None keeps the one they have.
            skip: Batches at the beginning to leave out.
        """


Data: TypeAlias = Source | Iterable[Any]
"""A `Source`, or any iterable of (images, labels) such as Gluon's DataLoader, iterated once an epoch."""


@dataclass(frozen=True)
class Examples:
    """Images in memory with their labels; a batch is prepared when it is asked for.

    Args:
        images: Array of N images.
        labels: Integers of shape (N,).
        prepare: Turns some of the images into a network's input, an array of NumPy's or MXNet's; given none, they
            are one already.
        part: Of every batch, the part this is, and the number of parts; they differ by one image at most.

    Raises:
        ValueError: If there is no image, or the labels are not as many integers.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    prepare: Callable[[NDArray[Any]], Any] | None = None
    part: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        """Check that images and labels pair."""
        if not len(self.images) or self.labels.shape != self.images.shape[:1] or self.labels.dtype.kind not in "iu":
            raise ValueError(
                f"{len(self.images)} images with labels {self.labels.dtype} of shape {self.labels.shape}: expected one "
                "integer for each of at least one image"
            )

    def __len__(self) -> int:
        """Return the number of images, of all parts together."""
        return len(self.images)

    def batches(self, batch_size: int, order: np.random.Generator | None = None, skip: int = 0) -> Iterator[Batch]:
        """Yield every image of this part once; see `Source`. All parts have as many batches."""
        places = np.arange(len(self)) if order is None else order.permutation(len(self))
        for first in range(skip * batch_size, len(self), batch_size):
            part, parts = self.part
            chosen = np.array_split(places[first : first + batch_size], parts)[part]
            images = self.images[chosen]
            # A batch with fewer images than parts leaves some parts without any.
            prepare = self.prepare if len(chosen) else None
            yield Batch(images if prepare is None else prepare(images), self.labels[chosen])


def batches_of(data: Data, batch_size: int, order: np.random.Generator | None = None, skip: int = 0) -> Iterator[Batch]:
    """Yield the batches of one epoch; an iterable that is no `Source` decides on size and order itself.

    Gluon's DataLoader draws its order from NumPy's own generator, so `order` seeds that for such data.
    """
    if order is not None and not isinstance(data, Source):
        np.random.seed(order.integers(2**32, dtype=np.uint32))
    found = data.batches(batch_size, order, skip) if isinstance(data, Source) else islice(data, skip, None)
    for images, labels in found:
        yield Batch(images, labels)
