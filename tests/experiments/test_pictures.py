"""Images that predictions are compared on are read as a network takes them, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conformance.contract.outcomes import NotApplicable
from conformance.contract.subject import RequestError
from conformance.experiments.images import AT_ONCE, PACKAGED, batches

COLOURS = np.zeros((6, 6, 3), np.uint8) + np.array([255, 102, 0], np.uint8)


def test_packaged_images_come_where_no_folder_is_named() -> None:
    """Without a folder the first packaged images are taken, as many channels and pixels as asked for."""
    ((names, images),) = batches(None, (1, 3, 32, 32))
    assert [f"test image {number}" for number in range(PACKAGED)] == names
    assert (PACKAGED, 3, 32, 32) == images.shape
    assert 0 == images.min()
    assert 0.9 < images.max() <= 1


def test_colour_and_grey_images_are_read(tmp_path: Path) -> None:
    """Of a colour image a network of three channels gets red, green and blue; a grey one is repeated."""
    Image.fromarray(COLOURS).save(tmp_path / "b.png")
    (tmp_path / "a").mkdir()
    Image.fromarray(COLOURS[:, :, 1]).save(tmp_path / "a" / "grey.png")
    (tmp_path / "notes.txt").write_text("no image")
    ((names, images),) = batches(tmp_path, (1, 3, 4, 4))
    assert ["a/grey.png", "b.png"] == names
    np.testing.assert_allclose([[0.4] * 3, [1, 0.4, 0]], images[:, :, 0, 0], atol=1e-6)
    ((_, grey),) = batches(tmp_path, (1, 1, 4, 4))
    assert (2, 1, 4, 4) == grey.shape


def test_many_images_come_in_batches(tmp_path: Path) -> None:
    """No image is left out, and none is read before its batch."""
    for number in range(AT_ONCE + 1):
        Image.fromarray(COLOURS).save(tmp_path / f"{number}.png")
    assert [AT_ONCE, 1] == [len(names) for names, _ in batches(tmp_path, (1, 3, 4, 4))]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder without images and a damaged image are refused; inputs that are no square images have no pictures."""
    with pytest.raises(RequestError, match="no image file"):
        next(batches(tmp_path, (1, 3, 4, 4)))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"a\.png: damaged, or no image"):
        next(batches(tmp_path, (1, 3, 4, 4)))
    for shape in ((1, 3), (1, 3, 4, 5)):
        with pytest.raises(NotApplicable, match="no square images"):
            next(batches(None, shape))
