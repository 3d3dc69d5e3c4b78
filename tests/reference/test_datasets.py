"""Fashion-MNIST is found where it is, read in every form, and used only if it is what it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from make_fashion_mnist_subset import encode_idx
from reference import data
from reference.data import fashion_mnist as datasets
from reference.data import load_subset
from reference.data.fashion_mnist import FashionMNIST, export, find, read, read_folder
from reference.runtime.mxnet_compat import mx

PACKAGED = Path(data.__file__).parents[1] / "fashion_mnist"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Look in empty folders only."""
    monkeypatch.setattr(datasets, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    monkeypatch.delenv(datasets.VARIABLE, raising=False)


def offline(folder: Path) -> None:
    """Fail as a machine without a network does."""
    raise OSError("no network")


def copied(folder: Path) -> Path:
    """Return a folder with the packaged files."""
    shutil.copytree(PACKAGED, folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packaged part as image folders."""
    folder = tmp_path_factory.mktemp("export") / "pictures"
    part = FashionMNIST(load_subset("train"), load_subset("test"), "here")
    lines = list(export(part, folder))
    assert [f"{folder}/train: 3000 images", f"{folder}/test: 500 images"] == lines
    return folder


def test_checksum_depends_on_content_not_on_order() -> None:
    """Another order has the same sum, another pixel or label has not."""
    images, labels = load_subset("test")
    order = np.random.default_rng(0).permutation(len(images))
    assert datasets.PART["test"] == datasets.checksum(images, labels) == datasets.checksum(images[order], labels[order])
    images[3, 4, 5] ^= 1
    assert datasets.PART["test"] != datasets.checksum(images, labels)
    images[3, 4, 5] ^= 1
    labels[:2] = labels[1::-1]
    assert labels[0] == labels[1] or datasets.PART["test"] != datasets.checksum(images, labels)


def test_find_looks_in_every_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A named folder comes first, then the variable, Gluon's cache and Debian's folder."""
    folders = [copied(tmp_path / name) for name in ("named", "variable", "mxnet/datasets/fashion-mnist", "debian")]
    monkeypatch.setenv(datasets.VARIABLE, str(folders[1]))
    assert str(folders[0]) == find(folders[0], offline).place
    assert str(folders[1]) == find(None, offline).place
    monkeypatch.setenv(datasets.VARIABLE, "")
    assert str(folders[2]) == find(None, offline).place
    shutil.rmtree(folders[2])
    assert str(folders[3]) == find(None, offline).place


def test_find_falls_back_to_the_packaged_part() -> None:
    """Where it is nowhere and cannot be fetched, the packaged part is used, with a warning."""
    found = find(None, offline)
    assert (3000, 500) == (len(found.train[0]), len(found.test[0]))
    assert "only 3,000 training and 500 test images" in found.warning
    assert "no network" in found.warning


def test_find_fetches(tmp_path: Path) -> None:
    """Where it is nowhere, it is fetched into Gluon's cache and used from there."""

    def fetched(folder: Path) -> None:
        copied(folder)

    found = find(None, fetched)
    assert str(tmp_path / "mxnet" / "datasets" / "fashion-mnist") == found.place
    assert "only the packaged part of Fashion-MNIST" == found.warning


def test_image_folders_are_the_same_data(exported: Path) -> None:
    """Exported and read again, images and labels are the same, in the same order."""
    found = read(exported)
    for expected, actual in zip(
        (*load_subset("train"), *load_subset("test")), (*found.train, *found.test), strict=True
    ):
        np.testing.assert_array_equal(expected, actual)


def test_gluon_reads_image_folders(exported: Path) -> None:
    """Gluon's ImageFolderDataset, which the article uses, reads them as three equal channels with the same labels."""
    pictures = mx.gluon.data.vision.ImageFolderDataset(str(exported / "test"))
    images, labels = load_subset("test")
    assert list(map(str, range(10))) == pictures.synsets
    assert sorted(labels.tolist()) == [label for _, label in pictures.items]
    image, label = pictures[0]
    expected = images[labels == label][0]
    for channel in range(3):
        np.testing.assert_array_equal(expected, image.asnumpy()[:, :, channel])


def test_image_folders_may_have_names_of_classes(exported: Path, tmp_path: Path) -> None:
    """A class folder may have the class's name, as in Gluon's ImageFolderDataset."""
    shutil.copytree(exported, tmp_path / "named")
    for label, name in enumerate(data.CLASS_NAMES):
        (tmp_path / "named" / "test" / str(label)).rename(tmp_path / "named" / "test" / name.replace("/", "-"))
    np.testing.assert_array_equal(load_subset("test")[1], read_folder(tmp_path / "named" / "test")[1])


def test_export_refuses_a_folder_in_use(exported: Path) -> None:
    """Nothing is written over what is there."""
    part = FashionMNIST(load_subset("train"), load_subset("test"), "here")
    with pytest.raises(FileExistsError, match="not empty; name a new folder"):
        list(export(part, exported))


def swap(folder: Path, one: str, other: str) -> None:
    """Exchange two files."""
    first, second = folder / f"{one}.gz", folder / f"{other}.gz"
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)


def test_damaged_idx_files_are_named(tmp_path: Path) -> None:
    """Truncated, missing, swapped and changed files are refused, each in one line."""
    cases: dict[str, Callable[[Path], Any]] = {
        "truncated": lambda folder: (folder / f"{FILES[0]}.gz").write_bytes(
            (PACKAGED / f"{FILES[0]}.gz").read_bytes()[:-9]
        ),
        "missing": lambda folder: (folder / f"{FILES[3]}.gz").unlink(),
        "images for labels": lambda folder: swap(folder, FILES[0], FILES[1]),
        "one swapped": lambda folder: swap(folder, FILES[0], FILES[2]),
        "changed": lambda folder: (folder / f"{FILES[3]}.gz").write_bytes(
            encode_idx(np.roll(load_subset("test")[1], 1))
        ),
    }
    says = {
        "truncated": "train-images-idx3-ubyte.gz: damaged gzip data",
        "missing": "neither t10k-labels-idx1-ubyte.gz nor t10k-labels-idx1-ubyte is there",
        "images for labels": "train-images-idx3-ubyte.gz: magic number 0x00000801, expected 0x00000803",
        "one swapped": "500 images, but 3000 labels in train-labels-idx1-ubyte.gz",
        "changed": "the test images and labels have the checksum",
    }
    for case, damage in cases.items():
        folder = copied(tmp_path / case)
        damage(folder)
        with pytest.raises((ValueError, OSError), match=says[case]) as error:
            find(folder)
        assert "\n" not in str(error.value)


def test_swapped_splits_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Training files under the test files' names are told as what they are."""
    monkeypatch.setattr(datasets, "FULL", datasets.PART)
    folder = copied(tmp_path / "swapped")
    swap(folder, FILES[0], FILES[2])
    swap(folder, FILES[1], FILES[3])
    with pytest.raises(ValueError, match="the test images and labels are the train images"):
        read(folder)


def test_named_folder_must_have_the_data(tmp_path: Path) -> None:
    """A named folder without the data is an error, not a reason to look elsewhere."""
    with pytest.raises(FileNotFoundError, match=r"neither train-images-idx3-ubyte\.gz nor a folder train/ is there"):
        find(tmp_path)


def test_damaged_image_folders_are_named(exported: Path, tmp_path: Path) -> None:
    """A missing class, a strange folder, a damaged and a large image are refused by name."""
    shutil.copytree(exported / "test", tmp_path / "test")
    first = next((tmp_path / "test" / "3").iterdir())
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{first.name}: damaged, or no image: "):
        read_folder(tmp_path / "test")
    Image.new("L", (30, 28)).save(first)
    with pytest.raises(ValueError, match=f"{first.name}: 30x28 pixels, expected 28x28"):
        read_folder(tmp_path / "test")
    (tmp_path / "test" / "9").rename(tmp_path / "9")
    with pytest.raises(ValueError, match="no folder 9 for the class Ankle boot"):
        read_folder(tmp_path / "test")
    (tmp_path / "test" / "shoes").mkdir()
    with pytest.raises(ValueError, match="shoes: the name is no class: allowed are 0 to 9 and"):
        read_folder(tmp_path / "test")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_folder(tmp_path / "nothing")
