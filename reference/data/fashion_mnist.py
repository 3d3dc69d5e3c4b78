"""Fashion-MNIST, wherever it is: found, read and verified.

It is looked for in the folder that is named, in ``$FASHION_MNIST``, in Gluon's cache and in the folder of Debian's
package ``dataset-fashion-mnist``, as the four IDX files or as image folders: ``train/`` and ``test/`` with a folder a
class, named by its number or by its name. What is found is compared with known checksums before it is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reference.data.download import NAMES, download
from reference.data.idx import CLASS_NAMES, IMAGE_SIZE, Split, load_split, load_subset

Labelled: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]

VARIABLE = "FASHION_MNIST"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SPLITS: tuple[Split, Split] = ("train", "test")

#: What `checksum` gives: of the files of Debian's package 0.0~git20200523.55506a9-1, and of the packaged part.
FULL = {
    "train": "0c69d5cdeb902b69084012f812f066de080317bb3c64f43ca87f910d8ec86906",
    "test": "90c92c0507755a7d443edde8297ce4d0f131e42884e2e87e7fc9b81ffe215258",
}
PART = {
    "train": "a5f8f91d7f9111b3d4ed3726c52602473ea468de5139c91447f15ace921cbc92",
    "test": "fb6d77e2da416ecd5040356c48f06d5f5addadbf6f16191574c2b753e8420400",
}


GREY = frozenset({"1", "L", "LA", "I", "I;16", "F"})
"""Pillow's modes of images without colour."""


@dataclass(frozen=True)
class FashionMNIST:
    """The data.

    Attributes:
        train: Images, uint8 of shape (N, 28, 28), and labels, uint8 of shape (N,).
        test: The same of the test images.
        place: Where it was found.
        warning: What its user must know; empty for the full data.
    """

    train: Labelled
    test: Labelled
    place: str
    warning: str = ""


def checksum(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> str:
    """Return a SHA-256 sum of labelled images that does not depend on their order."""
    digests = (
        hashlib.sha256(bytes([label]) + image.tobytes()).digest() for image, label in zip(images, labels, strict=True)
    )
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def gluon_cache() -> Path:
    """Return the folder where Gluon's own downloader puts the data."""
    return Path(os.environ.get("MXNET_HOME", Path.home() / ".mxnet")) / "datasets" / "fashion-mnist"


def find(data: Path | None = None, fetch: Callable[[Path], None] = download) -> FashionMNIST:
    """Return the full data, or the packaged part of it where it is nowhere and cannot be fetched.

    Args:
        data: The only folder to look in, if there is one.
        fetch: Puts the four files into a folder, or raises an OSError.

    Raises:
        ValueError: If a file is damaged, another one than its name says, or not Fashion-MNIST; in one line.
        OSError: If a folder that was named has none of it, or a file cannot be read.
    """
    named = data or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        return read(named)
    for folder in (gluon_cache(), DEBIAN):
        if _has_any(folder):
            return read(folder)
    try:
        fetch(gluon_cache())
    except OSError as error:
        return FashionMNIST(
            load_subset("train"),
            load_subset("test"),
            "the package",
            f"only 3,000 training and 500 test images: Fashion-MNIST is not on this machine, and not fetched: {error}",
        )
    return read(gluon_cache())


def _has_any(folder: Path) -> bool:
    names = [*NAMES, *(name.removesuffix(".gz") for name in NAMES), *SPLITS]
    return any((folder / name).exists() for name in names)


def read(folder: Path) -> FashionMNIST:
    """Read and verify both splits of a folder.

    Raises:
        ValueError, OSError: See `find`.
    """
    if not _has_any(folder):
        raise FileNotFoundError(f"{folder}: neither {NAMES[0]} nor a folder train/ is there")
    as_folders = (folder / "train").is_dir() or (folder / "test").is_dir()
    splits = {split: read_folder(folder / split) if as_folders else load_split(folder, split) for split in SPLITS}
    sums = {split: checksum(*splits[split]) for split in SPLITS}
    for known, warning in ((FULL, ""), (PART, "only the packaged part of Fashion-MNIST")):
        if sums == known:
            return FashionMNIST(splits["train"], splits["test"], str(folder), warning)
    wrong: Split = next(split for split in SPLITS[::-1] if sums[split] != FULL[split])
    other = next((split for split in SPLITS if sums[wrong] == FULL[split]), None)
    what = (
        f"are the {other} images" if other else f"have the checksum {sums[wrong][:16]}…, expected {FULL[wrong][:16]}…"
    )
    raise ValueError(f"{folder}: the {wrong} images and labels {what}")


def read_folder(folder: Path) -> Labelled:
    """Read a split from image files in a folder a class; images in the order of their names' numbers, or names.

    Raises:
        ValueError: If a class or image is missing or damaged; the message names it.
        FileNotFoundError: If the folder is missing.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    classes = {_class_of(path): path for path in sorted(folder.iterdir()) if path.is_dir()}
    missing = sorted(set(range(len(CLASS_NAMES))) - set(classes))
    if missing:
        raise ValueError(f"{folder}: no folder {missing[0]} for the class {CLASS_NAMES[missing[0]]}")
    files = [(path, label) for label, place in classes.items() for path in place.iterdir() if path.is_file()]
    files.sort(key=lambda file: (file[0].stem.rjust(20, "0"), file[1]))
    images = np.array([read_picture(path) for path, _ in files], np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    return images, np.array([label for _, label in files], np.uint8)


def _class_of(folder: Path) -> int:
    names = {
        name.replace("/", separator).lower(): label for label, name in enumerate(CLASS_NAMES) for separator in "-_ "
    }
    names.update({str(label): label for label in range(len(CLASS_NAMES))})
    if folder.name.lower() not in names:
        raise ValueError(f"{folder}: the name is no class: allowed are 0 to 9 and {', '.join(CLASS_NAMES)}")
    return names[folder.name.lower()]


def read_picture(path: Path, size: int | None = IMAGE_SIZE, *, colour: bool = False) -> NDArray[np.uint8]:
    """Read an image file as grey values of shape (H, W); a size refuses any other.

    With ``colour`` an image that is not grey is read as red, green and blue, (3, H, W).

    Raises:
        ValueError: If it is damaged, no image or of another size, or Pillow is missing.
        OSError: If it cannot be read.
    """
    module = pillow()
    try:
        with module.open(path) as picture:
            grey = not colour or picture.mode in GREY
            values: NDArray[np.uint8] = np.asarray(picture.convert("L" if grey else "RGB"))
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError) as error:  # Pillow's way to say that a file is damaged
        raise ValueError(f"{path}: damaged, or no image: {str(error).splitlines()[0]}") from error
    if size is not None and values.shape[:2] != (size, size):
        raise ValueError(f"{path}: {values.shape[1]}x{values.shape[0]} pixels, expected {size}x{size}")
    return values if grey else values.transpose(2, 0, 1)


def pillow() -> Any:
    """Return Pillow, which is needed for image files alone.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ValueError("image files need Pillow: pip install gluon-conformance[train]") from None
    return Image


def export(data: FashionMNIST, folder: Path) -> Iterator[str]:
    """Write image folders that the article's code, Gluon's ImageFolderDataset and `read` can read.

    Args:
        data: What to write.
        folder: A folder that is empty or does not exist.

    Yields:
        What was done, split by split.

    Raises:
        OSError: If the folder has something in it, or cannot be written to.
    """
    module = pillow()
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: not empty; name a new folder")
    for split, (images, labels) in (("train", data.train), ("test", data.test)):
        unfinished = folder / f"{split}.part"
        for label in range(len(CLASS_NAMES)):
            (unfinished / str(label)).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            module.fromarray(image).save(unfinished / str(label) / f"{number:05d}.png")
        unfinished.rename(folder / split)
        yield f"{folder / split}: {len(images)} images"
