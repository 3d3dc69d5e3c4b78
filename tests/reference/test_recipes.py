"""Recipes, schedules and examples: plain values that refuse what is out of range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from conformance.tensors.comparison import Array
from reference.runtime.mxnet_compat import mx
from reference.training.batches import Examples
from reference.training.randomness import augmented
from reference.training.recipes import ARTICLE, RECIPES, REFERENCE, Cosine
from test_training import examples


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, np.int64)),
        (np.zeros((3, 2)), np.zeros(2, np.int64)),
        (np.zeros((3, 2)), np.zeros(3)),
    ],
    ids=["none", "too few", "floats"],
)
def test_examples_refuse_what_does_not_pair(images: Array, labels: Array) -> None:
    """Images need as many integers."""
    with pytest.raises(ValueError, match="expected one integer for each of at least one image"):
        Examples(images, labels)


def test_schedules_follow_their_formulas() -> None:
    """The article's rate falls to a tenth after every 20 epochs; the cosine from 1 to its last part."""
    # 1e-12: a few roundings of float64; of the cosine's end, which is 0, they leave an absolute rest.
    rates = [ARTICLE.rate(epoch) for epoch in (1, 20, 21, 40, 41, 100)]
    np.testing.assert_allclose([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-6], rates, rtol=1e-12)
    np.testing.assert_allclose(
        [1, 0.75, 0.25, 0], [Cosine()(epoch, 4) for epoch in (1, 2, 3, 4)], rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose([1, 0.55, 0.1], [Cosine(0.1)(epoch, 3) for epoch in (1, 2, 3)], rtol=1e-12)
    assert Cosine(0.1)(1, 1) == 1


def test_flip_mirrors_some_images_whole() -> None:
    """Augmentation leaves an image as it is or mirrors it, and draws which from its own generator."""
    data = examples(40)
    images = mx.nd.array(data.images)
    changed = augmented(images, replace(REFERENCE, augmentation="flip"), np.random.default_rng(0)).asnumpy()
    flipped = [np.array_equal(image[..., ::-1], new) for image, new in zip(data.images, changed, strict=True)]
    kept = [np.array_equal(image, new) for image, new in zip(data.images, changed, strict=True)]
    assert 40 == sum(flipped) + sum(kept)
    assert 10 < sum(flipped) < 30
    assert images is augmented(images, REFERENCE, np.random.default_rng(0))


@pytest.mark.parametrize("change", [{"learning_rate": 0}, {"batch_size": 0}, {"epochs": 1.5}, {"channels": -1}])
def test_recipe_refuses_numbers_out_of_range(change: dict[str, Any]) -> None:
    """A number out of range is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"{next(iter(change))}="):
        replace(REFERENCE, **change)


def test_recipes_are_values() -> None:
    """Recipes are found by name, equal their copies and can be hashed."""
    assert {"article": ARTICLE, "reference": REFERENCE} == RECIPES
    assert 2 == len({ARTICLE, REFERENCE, replace(ARTICLE)})
