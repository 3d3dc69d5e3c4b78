"""Images and labels in IDX files, and the packaged part of Fashion-MNIST.

Damaged files are refused: a network trains on a file that is one byte short all the same, and nobody notices.

Sources: http://yann.lecun.com/exdb/mnist/ (the IDX format) and Xiao et al. 2017, https://arxiv.org/abs/1708.07747
(the data).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Split: TypeAlias = Literal["train", "test"]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IMAGE_SIZE = 28
_PREFIXES: dict[str, str] = {"train": "train", "test": "t10k"}
_GZIP_MAGIC = b"\x1f\x8b"


def read_images(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of images, plain or compressed with gzip.

    Args:
        path: File with unsigned bytes of shape (N, 28, 28).

    Returns:
        uint8 of shape (N, 28, 28), 0 is background and 255 full ink.

    Raises:
        ValueError: The file is not complete and exact IDX of that shape; the message names the file.
        OSError: The file cannot be opened.
    """
    images = _read_idx(path, axes=3)
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"{path}: images are {images.shape[1]}x{images.shape[2]} pixels, expected 28x28")
    return images


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of labels, plain or compressed with gzip.

    Args:
        path: File with unsigned bytes of shape (N,).

    Returns:
        uint8 of shape (N,), each 0 to 9 (see `CLASS_NAMES`).

    Raises:
        ValueError: The file is not complete and exact IDX, or a label is above 9; the message names the file.
        OSError: The file cannot be opened.
    """
    labels = _read_idx(path, axes=1)
    outside = np.flatnonzero(labels >= len(CLASS_NAMES))
    if outside.size:
        first = int(outside[0])
        raise ValueError(f"{path}: label {labels[first]} at position {first}, expected 0 to 9")
    return labels


def load_split(folder: Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the images and labels of one split from a folder with the original file names.

    Args:
        folder: Folder with `train-images-idx3-ubyte` and so on, with or without `.gz`.
        split: "train" or "test".

    Returns:
        Images, uint8 of shape (N, 28, 28), and labels, uint8 of shape (N,).

    Raises:
        ValueError: The split is unknown, a file is damaged, or the two files differ in N.
        FileNotFoundError: A file is missing.
    """
    if split not in _PREFIXES:
        raise ValueError(f"split is {split!r}, expected 'train' or 'test'")
    images_path = _find(folder, f"{_PREFIXES[split]}-images-idx3-ubyte")
    labels_path = _find(folder, f"{_PREFIXES[split]}-labels-idx1-ubyte")
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise ValueError(f"{images_path}: {len(images)} images, but {len(labels)} labels in {labels_path.name}")
    return images, labels


def load_subset(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Load the packaged part of Fashion-MNIST: 300 training or 50 test images of each class.

    Args:
        split: "train" (N = 3000) or "test" (N = 500).

    Returns:
        Images, uint8 of shape (N, 28, 28), and labels, uint8 of shape (N,), in the order of the full data.

    Raises:
        ValueError: The split is unknown, or an installed file is damaged.
    """
    return load_split(Path(__file__).parents[1] / "fashion_mnist", split)


def _find(folder: Path, name: str) -> Path:
    """Return the compressed file of that name in the folder, or the plain one where there is none."""
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{folder}: neither {name}.gz nor {name} is there")


def _read_idx(path: Path, *, axes: int) -> NDArray[np.uint8]:
    """Read unsigned bytes with that many axes; every byte of the file must be accounted for."""
    content = _decompress(path, path.read_bytes())
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(f"{path}: {len(content)} bytes, too short for an IDX header of {header} bytes")
    # Two zero bytes, 8 for unsigned bytes, the number of axes.
    magic, expected_magic = content[:4], bytes((0, 0, 8, axes))
    if magic != expected_magic:
        raise ValueError(f"{path}: magic number 0x{magic.hex()}, expected 0x{expected_magic.hex()}")
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected, actual = prod(shape), len(content) - header
    if actual != expected:
        problem = "truncated" if actual < expected else "trailing bytes"
        raise ValueError(f"{path}: {problem}: {actual} bytes of data, shape {shape} needs {expected}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()


def _decompress(path: Path, content: bytes) -> bytes:
    """Undo gzip where the content is compressed, whatever the file's name is."""
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip data: {error}") from error
