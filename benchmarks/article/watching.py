"""What is watched in an AlexNet that trains, and whole epochs watched, for `benchmarks/article/article_loss.py`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import alexnet
from reference.runtime.mxnet_compat import mx
from reference.training import Progress, begin, fit
from reference.training.batches import Examples
from reference.training.initialization import complete, initialize
from reference.training.metrics import EpochMetrics
from reference.training.recipes import Recipe

FORGETTING = 0.999
"""Adam's beta2: the part of its second moments that a step keeps."""


def drawn(recipe: Recipe, size: int, seed: int) -> Any:
    """Return an AlexNet for images of a size, with the weights that a recipe draws from a seed."""
    net = alexnet(classes=10)
    initialize(net.collect_params().values(), recipe, mx.cpu())
    complete(net, mx.nd.zeros((1, 3, size, size)), seed)
    return net


def weighted(chain: Any) -> dict[str, Any]:
    """Return the layers that have weights and end in a ReLU, by name."""
    return {name: layer for name, layer in chain._children.items() if layer._children}


def dead_share(output: Any) -> float:
    """Return the share of a layer's units, or channels, that are 0 for all images and places."""
    units = output.reshape((output.shape[0], output.shape[1], -1)) > 0
    return 1 - float(units.max(axis=(0, 2)).mean().asscalar())


def second_moment(progress: Progress, weight: Any) -> float:
    """Return the mean of Adam's second moments of a weight."""
    places = {parameter.name: place for place, parameter in enumerate(progress.trainer._params)}
    return float(progress.trainer._updaters[0].states[places[weight.name]][1].mean().asscalar())


def squared_gradient(progress: Progress, weight: Any) -> Any:
    """Return the mean of the squared gradient that the last update saw; MXNet may still be computing it."""
    return (weight.grad() * progress.trainer._optimizer.rescale_grad).square().mean()


def brake_of(progress: Progress, square: float, slope: float) -> float:
    """Return the root of a second moment, corrected for its start at 0, relative to that of a squared gradient."""
    since_start = 1 - FORGETTING**progress.trainer._optimizer.num_update
    return math.sqrt(square / since_start / slope) if slope else math.inf


@dataclass
class Epoch:
    """What an epoch showed.

    Attributes:
        metrics: Loss and accuracy over its steps.
        dead: Share of every layer's units, or channels, that are 0 for all of 1,000 training images after it.
        square: Mean of Adam's second moments of every weight, after it.
        brake: Root of that, corrected for its start at 0, relative to the root mean square of the epoch's gradients.
    """

    metrics: EpochMetrics
    dead: dict[str, float]
    square: dict[str, float]
    brake: dict[str, float]


def epochs_of(recipe: Recipe, size: int, seed: int, data: Examples) -> Iterator[Epoch]:
    """Train AlexNet, and yield what every epoch showed.

    Args:
        recipe: How to train, with the number of epochs.
        size: Of the images, in pixels.
        seed: Of the weights, the order of images and dropout.
        data: Training images.
    """
    net = drawn(recipe, size, seed)
    net.hybridize(static_alloc=True)
    layers, progress = weighted(net.features), begin(net, recipe, mx.cpu())
    slopes: dict[str, list[Any]] = {name: [] for name in layers}

    def after_step(progress: Progress) -> None:
        for name, layer in layers.items():
            slopes[name].append(squared_gradient(progress, layer.weight))

    for metrics in fit(net, data, recipe=recipe, seed=seed, progress=progress, after_step=after_step):
        square = {name: second_moment(progress, layer.weight) for name, layer in layers.items()}
        brake = {
            name: brake_of(progress, square[name], float(np.mean([slope.asscalar() for slope in slopes[name]])))
            for name in layers
        }
        yield Epoch(metrics, dead_units(net.features, next(iter(data.batches(1000))).images), square, brake)
        for slope in slopes.values():
            slope.clear()


def dead_units(chain: Any, images: Any) -> dict[str, float]:
    """Return the share of every layer's units, or channels, that are 0 for all images and places, in predict mode."""
    dead, layers, signal = {}, weighted(chain), mx.nd.array(images)
    for name, layer in chain._children.items():
        signal = layer(signal)
        if name in layers:
            dead[name] = dead_share(signal)
    return dead
