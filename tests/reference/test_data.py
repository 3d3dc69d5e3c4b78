"""The IDX reader refuses every damage, the packaged images are what they say, resizing follows its rule."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from make_fashion_mnist_subset import IMAGES_PER_CLASS, encode_idx, make_subset
from reference import data
from reference.data import Split, load_split, load_subset, read_images, read_labels, to_images

# Fast, and gzip, NumPy and the paths of packaged files differ between Pythons.
pytestmark = pytest.mark.smoke

PACKAGED = Path(data.__file__).parents[1] / "fashion_mnist"
IMAGES = np.arange(2 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
LABELS = np.array([9, 0], dtype=np.uint8)


def plain(array: NDArray[np.uint8]) -> bytes:
    """Return an array as IDX without compression."""
    return gzip.decompress(encode_idx(array))


@pytest.mark.parametrize("encode", [plain, encode_idx], ids=["plain", "gzip"])
def test_read_images_and_labels_round_trip(tmp_path: Path, encode: Callable[[NDArray[np.uint8]], bytes]) -> None:
    """What was written is read, compressed or not, and the result can be written to."""
    (tmp_path / "images").write_bytes(encode(IMAGES))
    (tmp_path / "labels").write_bytes(encode(LABELS))

    images, labels = read_images(tmp_path / "images"), read_labels(tmp_path / "labels")

    np.testing.assert_array_equal(IMAGES, images)
    np.testing.assert_array_equal(LABELS, labels)
    assert images.flags.writeable and labels.flags.writeable


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "0 bytes, too short for an IDX header of 16 bytes"),
        (plain(IMAGES)[:15], "15 bytes, too short"),
        (plain(IMAGES)[:-1], "truncated: 1567 bytes of data, shape (2, 28, 28) needs 1568"),
        (plain(IMAGES) + b"\0", "trailing bytes: 1569 bytes of data"),
        (plain(np.arange(20, dtype=np.uint8)), "magic number 0x00000801, expected 0x00000803"),
        (b"\0\0\x0d\x03" + plain(IMAGES)[4:], "magic number 0x00000d03"),
        (plain(IMAGES.reshape(2, 14, 56)), "images are 14x56 pixels, expected 28x28"),
        (struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1), "truncated: 0 bytes"),
        (encode_idx(IMAGES)[:-9], "damaged gzip data"),
        (encode_idx(IMAGES)[:30] + b"\xff" * 40 + encode_idx(IMAGES)[70:], "damaged gzip data"),
        (encode_idx(IMAGES) + b"trailing", "damaged gzip data"),
    ],
    ids=[
        "empty",
        "short header",
        "truncated",
        "trailing",
        "labels",
        "floats",
        "other size",
        "huge shape",
        "gzip truncated",
        "gzip damaged",
        "gzip trailing",
    ],
)
def test_read_images_refuses_damaged_file(tmp_path: Path, content: bytes, problem: str) -> None:
    """A damaged file is a ValueError of one line that names the file and the damage."""
    path = tmp_path / "damaged"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as caught:
        read_images(path)

    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_labels_refuses_class_above_nine(tmp_path: Path) -> None:
    """A label out of range is refused with its position: the loss function would accept it silently."""
    (tmp_path / "labels").write_bytes(plain(np.array([0, 9, 10, 255], dtype=np.uint8)))

    with pytest.raises(ValueError, match="labels: label 10 at position 2, expected 0 to 9"):
        read_labels(tmp_path / "labels")


def test_load_split_refuses_files_of_different_lengths(tmp_path: Path) -> None:
    """Images and labels that do not pair are refused."""
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(plain(IMAGES))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(plain(LABELS[:1]))

    with pytest.raises(ValueError, match="2 images, but 1 labels in t10k-labels-idx1-ubyte"):
        load_split(tmp_path, "test")


def test_load_split_names_missing_file(tmp_path: Path) -> None:
    """A missing file is named in both of its forms."""
    with pytest.raises(FileNotFoundError, match=r"neither train-images-idx3-ubyte\.gz nor train-images"):
        load_split(tmp_path, "train")


def test_load_subset_refuses_unknown_split() -> None:
    """There are two splits and no third one."""
    with pytest.raises(ValueError, match="split is 'val', expected 'train' or 'test'"):
        load_subset("val")  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["train", "test"])
def test_load_subset_is_stratified(split: Split) -> None:
    """Every class has the same number of images, and no image is blank or there twice."""
    images, labels = load_subset(split)
    per_class = IMAGES_PER_CLASS[split]

    assert (10 * per_class, 28, 28) == images.shape
    assert [per_class] * 10 == np.bincount(labels, minlength=10).tolist()
    assert np.uint8 == images.dtype == labels.dtype
    assert images.reshape(len(images), -1).max(axis=1).min() > 0
    assert len(images) == len({image.tobytes() for image in images})


def test_load_subset_splits_are_disjoint() -> None:
    """No test image is among the training images."""
    train, test = load_subset("train")[0], load_subset("test")[0]

    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_packaged_files_have_listed_checksums() -> None:
    """The files are those whose SHA-256 sums the README beside them lists, and all of them are listed."""
    listed = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (PACKAGED / "README.md").read_text(), re.MULTILINE))
    actual = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in PACKAGED.glob("*.gz")}

    assert listed == actual
    assert 4 == len(actual)


@pytest.mark.parametrize("split", ["train", "test"])
def test_make_subset_of_the_subset_is_the_subset(split: Split) -> None:
    """The script chooses the first images of each class in their order, so a second pass changes nothing."""
    for name, content in make_subset(PACKAGED, split).items():
        expected = gzip.decompress((PACKAGED / name).read_bytes())

        assert expected == gzip.decompress(content), name
        assert b"\0\0\0\0" == content[4:8], "the gzip header carries a time"


def test_to_images_keeps_pixels_at_their_own_size() -> None:
    """Without resizing, a pixel is its value divided by 255, in every channel."""
    actual = to_images(IMAGES, size=28, channels=3)

    assert (2, 3, 28, 28) == actual.shape
    assert np.float32 == actual.dtype
    for channel in range(3):
        np.testing.assert_array_equal(IMAGES.astype(np.float32) / np.float32(255), actual[:, channel])


def test_to_images_uses_half_pixel_centers() -> None:
    """Two pixels become four: the outer ones keep their value, the inner ones lie a quarter in."""
    row = np.array([[[0, 255]]], dtype=np.uint8)

    actual = to_images(row, size=4, channels=1)

    np.testing.assert_allclose(np.tile([0, 0.25, 0.75, 1], (1, 1, 4, 1)), actual, rtol=0, atol=1e-7)


def test_to_images_halves_by_averaging_pairs() -> None:
    """Half the size is the mean of 2×2 pixels."""
    expected = IMAGES.reshape(2, 14, 2, 14, 2).mean(axis=(2, 4)) / 255

    np.testing.assert_allclose(expected, to_images(IMAGES, 14, channels=1)[:, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 27, 32, 64, 225])
def test_to_images_preserves_constant_and_range(size: int) -> None:
    """A constant image stays constant and nothing leaves [0, 1], at odd sizes too."""
    constant = to_images(np.full((1, 28, 28), 255, dtype=np.uint8), size, channels=1)
    actual = to_images(IMAGES, size, channels=1)

    np.testing.assert_allclose(1, constant, rtol=0, atol=1e-6)
    assert 0 <= actual.min() <= actual.max() <= 1
    assert (2, 1, size, size) == actual.shape


@pytest.mark.parametrize(
    ("images", "size", "channels", "problem"),
    [
        (IMAGES.astype(np.float32), 32, 3, "images are float32 of shape"),
        (IMAGES[0], 32, 3, r"of shape \(28, 28\), expected uint8 of shape \(N, H, W\)"),
        (IMAGES, 0, 3, "size 0"),
        (IMAGES, 32, 0, "channels 0"),
        (IMAGES[:, :0], 32, 3, r"\(2, 0, 28\): each must be at least 1"),
    ],
    ids=["float", "one image", "no size", "no channels", "no rows"],
)
def test_to_images_refuses_other_arrays(images: NDArray[np.uint8], size: int, channels: int, problem: str) -> None:
    """Other dtypes, axes and empty sizes are a ValueError."""
    with pytest.raises(ValueError, match=problem):
        to_images(images, size, channels)


@pytest.mark.parametrize(
    "out", [np.empty((2, 3, 28, 28)), np.empty((2, 1, 28, 28), np.float32)], ids=["float64", "one channel"]
)
def test_to_images_refuses_another_place(out: NDArray[np.float32]) -> None:
    """A place of another type or shape is a ValueError, and nothing is written there."""
    out[:] = 7
    with pytest.raises(ValueError, match=r"out is float\d\d of shape .*, expected float32 of shape \(2, 3, 28, 28\)"):
        to_images(IMAGES, 28, 3, out)
    assert {7.0} == set(out.flat)
