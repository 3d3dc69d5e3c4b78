"""All that is random in a training, each from the seed, the epoch and the step alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.runtime.mxnet_compat import mx
from reference.training.recipes import Recipe


def seed_of(seed: int, worker: int) -> int:
    """Return the seed that a worker draws dropout and augmentation from; worker 0 draws as a process alone does."""
    return int(np.random.SeedSequence((seed, worker)).generate_state(1)[0]) if worker else seed


def order_of(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator that draws an epoch's order of images."""
    return np.random.default_rng((seed, epoch))


def step_seed(seed: int, epoch: int, step: int) -> int:
    """Return the seed that MXNet's generator gets before a step; a positive 32-bit integer."""
    return int(np.random.SeedSequence((seed, epoch, step)).generate_state(1)[0] >> 1)


def augmented(images: Any, recipe: Recipe, generator: np.random.Generator) -> Any:
    """Return training images as the recipe's augmentation changes them."""
    if recipe.augmentation == "none":
        return images
    mirrored = mx.nd.array(generator.random(len(images)) < 0.5, ctx=images.context)
    return mx.nd.where(mirrored, images.flip(axis=images.ndim - 1), images)
