"""Batches in arrays that take turns are those of `to_images`, and none is overwritten before MXNet is done with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from reference.data import load_subset, to_images
from reference.data.batch_buffers import TURNS, InputArrays
from reference.runtime.mxnet_compat import mx
from reference.training import fit
from reference.training.batches import Examples
from reference.training.recipes import ARTICLE, Recipe

IMAGES, LABELS = load_subset("train")


def batches(number: int, size: int = 8) -> list[Any]:
    """Return so many batches of other images each."""
    return [IMAGES[size * place : size * (place + 1)] for place in range(number)]


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (63, 3), (5, 2)])
def test_batches_are_those_of_to_images(size: int, channels: int) -> None:
    """Bit for bit, also where a smaller batch comes between."""
    prepare = InputArrays(size, channels)
    for images in [*batches(3), IMAGES[:3], *batches(3)]:
        given = prepare(images)
        assert mx.cpu() == given.context
        np.testing.assert_array_equal(to_images(images, size, channels), given.asnumpy())


def test_arrays_take_turns() -> None:
    """No more than so many arrays are there, whatever the number of batches."""
    prepare = InputArrays(28)
    given = [prepare(images) for images in batches(3 * TURNS)]
    assert TURNS == len({id(array) for array in given})
    assert all(given[place] is given[place % TURNS] for place in range(len(given)))


def test_array_is_filled_when_mxnet_is_done_with_it() -> None:
    """A batch that waits for a slow computation is read as it was, though the array's next turn has come."""
    prepare, (first, *others) = InputArrays(28, 1), batches(1 + TURNS)
    # A power of two, so that every product and sum is exact: each of the products is the matrix again.
    slow = mx.nd.ones((2048, 2048)) / 2048
    array = prepare(first)
    for _ in range(20):
        slow = mx.nd.dot(slow, slow)
    late = mx.nd.broadcast_mul(array, slow[:1, :1].reshape((1, 1, 1, 1)) * 2048)
    for images in others:
        prepare(images)
    np.testing.assert_array_equal(to_images(first, 28, 1), late.asnumpy())
    np.testing.assert_array_equal(to_images(others[-1], 28, 1), array.asnumpy())


@pytest.mark.parametrize("recipe", [ARTICLE, Recipe("sgd", 0.1)], ids=["adam", "sgd"])
def test_training_is_the_same(recipe: Recipe) -> None:
    """Losses and parameters are those of a run on batches of their own, bit for bit."""
    results = []
    for prepare in (partial(to_images, size=28), InputArrays(28)):
        net = mx.gluon.nn.HybridSequential()
        net.add(mx.gluon.nn.Conv2D(16, 3, activation="relu"), mx.gluon.nn.Dropout(0.5), mx.gluon.nn.Dense(10))
        net.hybridize(static_alloc=True)
        short = Recipe(recipe.optimizer, recipe.learning_rate, batch_size=32, epochs=2)
        data = Examples(IMAGES[:330], LABELS[:330], prepare)
        losses = [(each.loss, each.test_loss) for each in fit(net, data, data, short, ctx=mx.cpu())]
        results.append((losses, [value.data().asnumpy() for value in net.collect_params().values()]))
    (losses, parameters), (same_losses, same_parameters) = results
    assert losses == same_losses
    for value, same in zip(parameters, same_parameters, strict=True):
        np.testing.assert_array_equal(value, same)


@pytest.mark.parametrize(("size", "channels", "problem"), [(0, 3, "size=0: allowed"), (28, -1, "channels=-1: allowed")])
def test_sizes_are_positive(size: int, channels: int, problem: str) -> None:
    """Another size is refused before there is an array."""
    with pytest.raises(ValueError, match=problem):
        InputArrays(size, channels)


def test_refused_images_take_no_turn() -> None:
    """After images of another type, the arrays are as they were."""
    prepare, (first, second) = InputArrays(28, 1), batches(2)
    given = [prepare(first), prepare(second)]
    with pytest.raises(ValueError, match="images are float32"):
        prepare(first.astype(np.float32))
    for images, array in zip((first, second), given, strict=True):
        np.testing.assert_array_equal(to_images(images, 28, 1), array.asnumpy())
