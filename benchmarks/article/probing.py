"""AlexNet watched while it trains, step by step, for `benchmarks/article/article_loss.py`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from reference.runtime.mxnet_compat import mx
from reference.training import Progress, evaluate, fit
from reference.training.batches import Examples
from reference.training.randomness import order_of
from reference.training.recipes import Recipe
from watching import brake_of, dead_share, drawn, second_moment, squared_gradient, weighted


@dataclass
class Step:
    """What a step showed.

    Attributes:
        loss: Mean of its images.
        logit: The largest magnitude among its logits.
        dead: Share of every layer's units, or channels, that are 0 for all its images and places.
        update: Root mean square of every weight's change, relative to that of the weight before.
        square: Mean of Adam's second moments of every weight, which is its memory of squared gradients.
        brake: Root of that, corrected for its start at 0, relative to the root mean square of the step's own gradient.
    """

    loss: float
    logit: float
    dead: dict[str, float]
    update: dict[str, float]
    square: dict[str, float]
    brake: dict[str, float]


@dataclass
class Probe:
    """Watches a network in training: give it to `fit` as ``after_step``.

    Attributes:
        chain: The network's layers; they are run imperatively, so that they can be watched.
        warm_up: Steps over which the rate rises, in equal parts.
        rate: That is reached.
        steps: What was seen.
    """

    chain: Any
    warm_up: int = 0
    rate: float = 0.0
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Watch every layer that ends in a ReLU, and remember the weights."""
        self.dead: dict[str, float] = {}
        self.layers = weighted(self.chain)
        for name, layer in self.layers.items():
            layer.register_forward_hook(partial(self._note, name))
        self.before: dict[str, Any] = {}

    def _note(self, name: str, layer: Any, inputs: Any, output: Any) -> None:
        if mx.autograd.is_recording():
            with mx.autograd.pause():
                self.dead[name] = dead_share(output)
                self.before[name] = layer.weight.data().copy()

    def __call__(self, progress: Progress) -> None:
        """Note what the step gave, and set the rate of the next."""
        assert progress.tally.waiting is not None
        output, _ = progress.tally.waiting
        update, square, brake = {}, {}, {}
        for name, before in self.before.items():
            weight = self.layers[name].weight
            update[name] = float(((weight.data() - before).norm() / before.norm()).asscalar())
            square[name] = second_moment(progress, weight)
            brake[name] = brake_of(progress, square[name], float(squared_gradient(progress, weight).asscalar()))
        logit = float(output.logits.abs().max().asscalar())
        loss = float(output.losses.mean().asscalar())
        self.steps.append(Step(loss, logit, dict(self.dead), update, square, brake))
        self.dead.clear()
        self.before.clear()
        if self.warm_up:
            progress.trainer.set_learning_rate(self.rate * min(1, (len(self.steps) + 1) / self.warm_up))


class Stopped(Exception):
    """Enough steps were made."""


def first_steps(recipe: Recipe, warm_up: int, size: int, number: int, data: Examples) -> list[Step]:
    """Follow the first steps of AlexNet.

    Args:
        recipe: How to train.
        warm_up: Steps over which the rate rises.
        size: Of the images, in pixels.
        number: Of steps.
        data: Training images.
    """
    net = drawn(recipe, size, seed=0)
    started = replace(recipe, learning_rate=recipe.learning_rate / max(1, warm_up))
    probe = Probe(net.features, warm_up, recipe.learning_rate)

    def after_step(progress: Progress) -> None:
        probe(progress)
        if len(probe.steps) == number:
            raise Stopped

    with contextlib.suppress(Stopped):
        for _ in fit(net, data, recipe=started, after_step=after_step):
            pass
    return probe.steps


def mixed_up(recipe: Recipe, size: int, seed: int, data: Examples) -> tuple[float, float, float]:
    """Make the first step of AlexNet, and return the loss on the second batch: before, after it, and mixed up.

    Mixed up is every parameter's change with its elements in another order: of the same size, without its direction.

    Args:
        recipe: How to train.
        size: Of the images, in pixels.
        seed: Of the weights, the order of images and dropout.
        data: Training images.
    """
    net = drawn(recipe, size, seed)
    parameters = net.collect_params().values()
    before = [parameter.data().copy() for parameter in parameters]
    images, labels = list(islice(data.batches(recipe.batch_size, order_of(seed, 1)), 2))[1]
    second = [(mx.nd.array(images), labels)]

    def stop(_: Progress) -> None:
        raise Stopped

    losses = [evaluate(net, second).loss]
    with contextlib.suppress(Stopped):
        for _ in fit(net, data, recipe=recipe, seed=seed, after_step=stop):
            pass
    losses.append(evaluate(net, second).loss)
    for parameter, value in zip(parameters, before, strict=True):
        change = (parameter.data() - value).reshape(-1)
        parameter.set_data(value + mx.nd.shuffle(change).reshape(value.shape))
    return losses[0], losses[1], evaluate(net, second).loss
