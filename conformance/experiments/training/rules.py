"""A training step made again from its images and the parameters before it, and the optimizers' rules in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from conformance.contract.measurement import Measurement, measuring
from conformance.contract.tolerances import ADAM_UPDATE, UPDATE, Tolerance
from conformance.experiments.training.recorder import MOMENTUM, SEED, Forward, Run, State
from conformance.graphs.tracing import parameters_of
from conformance.tensors.comparison import Array, compare
from reference.runtime.mxnet_compat import mx
from reference.training.randomness import step_seed

#: An update counts as compared where it is this many times what rounding may hide of it.
VISIBLE = 100
#: Values of a parameter that are compared; a fault of the loop, unlike one of a network, leaves none of them right.
SAMPLE = 10_000


@dataclass(frozen=True)
class Step:
    """How a training step departs from the rule.

    Attributes:
        label: Its epoch, its place in the epoch and the number of its images.
        stated_rate: The learning rate that the recipe states for it.
        problems: One line for every parameter that is wrong after it.
        measurements: The differences beside their bounds.
        compared: How many parameters moved enough to be compared.
        rate: The learning rate that explains its update best.
    """

    label: str
    stated_rate: float
    problems: tuple[str, ...]
    compared: int
    rate: float
    measurements: tuple[Measurement, ...] = ()


def sample(values: Array) -> Array:
    """At most about `SAMPLE` values of an array, evenly spread, in float64."""
    return values.reshape(-1)[:: values.size // SAMPLE | 1].astype(np.float64)


class Rule(Protocol):
    """An optimizer's rule in float64: a step changes a parameter by ``kept - rate * direction``."""

    @property
    def tolerance(self) -> Tolerance:
        """What an update may differ by."""

    def parts(self, name: str, slope: Array) -> tuple[Array | float, Array]:
        """Return ``kept`` and ``direction`` of a parameter's next step, from the mean gradient."""

    def moved(self, name: str, update: Array) -> None:
        """Note how a parameter was changed."""


@dataclass
class Momentum:
    """SGD with momentum, as MXNet has it: the velocity contains the learning rate."""

    velocity: dict[str, Array] = field(default_factory=dict)
    tolerance: Tolerance = UPDATE

    def parts(self, name: str, slope: Array) -> tuple[Array | float, Array]:
        """Keep a part of the last update, and go along the gradient."""
        return MOMENTUM * self.velocity.get(name, 0.0), slope

    def moved(self, name: str, update: Array) -> None:
        """Note the update."""
        self.velocity[name] = update


@dataclass
class Adam:
    """Algorithm 1 of Kingma and Ba 2014, https://arxiv.org/abs/1412.6980, with epsilon as in its section 2's remark.

    MXNet has this form: the bias is corrected in the rate, and epsilon is added to the root before it is corrected.
    """

    moments: dict[str, tuple[int, Array, Array]] = field(default_factory=dict)
    tolerance: Tolerance = ADAM_UPDATE
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def parts(self, name: str, slope: Array) -> tuple[Array | float, Array]:
        """Go along the mean of the gradients, divided by the root of the mean of their squares."""
        count, mean, square = self.moments.get(name, (0, np.zeros_like(slope), np.zeros_like(slope)))
        count, mean = count + 1, self.beta1 * mean + (1 - self.beta1) * slope
        square = self.beta2 * square + (1 - self.beta2) * slope**2
        self.moments[name] = count, mean, square
        correction = np.sqrt(1 - self.beta2**count) / (1 - self.beta1**count)
        return 0.0, correction * mean / (np.sqrt(square) + self.epsilon)

    def moved(self, name: str, update: Array) -> None:
        """Take no notice."""


def made_again(net: Any, run: Run, images: Array, labels: Array, rule: Rule) -> Iterator[Step]:
    """Make every step of a run again.

    Args:
        net: Another instance of the network, with weights.
        run: The run.
        images: All images handed out, of shape (N, ...).
        labels: Their true labels.
        rule: Of the run's optimizer.
    """
    for epoch in run.epochs:
        ends = [forward.state for forward in epoch.forwards[1:]] + [epoch.last_state]
        steps = [(forward, end) for forward, end in zip(epoch.forwards, ends, strict=True) if forward.recording]
        for number, (forward, end) in enumerate(steps, 1):
            before, after = run.states[forward.state], run.states[end]
            label = f"epoch {epoch.number}, step {number} ({len(forward.images)} images)"
            if -1 in forward.images:
                yield Step(label, epoch.stated_rate, (f"{label}: an image that was not handed out",), 0, 0.0)
            else:
                seed = step_seed(SEED, epoch.number, number)
                again = Again(net, before, images[list(forward.images)], labels[list(forward.images)], seed)
                with measuring() as seen:
                    step = again.compared_with(forward, after, rule, label, epoch.stated_rate)
                yield replace(step, measurements=tuple(seen.measurements))
            for name, value in before.items():
                rule.moved(name, sample(after[name]) - sample(value))


class Again:
    """One step's forward and backward in another instance.

    Args:
        net: The instance.
        before: What its parameters are set to.
        images: Of the step.
        labels: Their true labels.
        seed: Of MXNet's generator in the step.
    """

    def __init__(self, net: Any, before: State, images: Array, labels: Array, seed: int) -> None:
        """Compute logits, gradients and running statistics."""
        self.parameters = parameters_of(net)
        for name, parameter in self.parameters.items():
            parameter.set_data(before[name])
            parameter.zero_grad()
        ctx = next(iter(self.parameters.values())).list_ctx()[0]
        self.before, self.images = before, len(images)
        mx.random.seed(seed)
        with mx.autograd.record():
            logits = net(mx.nd.array(images, ctx=ctx))
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(labels, ctx=ctx))
        loss.backward()
        self.logits = logits.asnumpy()

    def compared_with(self, forward: Forward, after: State, rule: Rule, label: str, rate: float) -> Step:
        """Compare what the loop did in the step with the rule.

        Args:
            forward: The loop's forward.
            after: The parameters after its step.
            rule: Of the optimizer, with what it keeps of the steps before.
            label: What the step is called.
            rate: The learning rate stated for it.
        """
        problems = list(compare(f"{label}: logits", self.logits, forward.logits))
        compared, along, length = 0, 0.0, 0.0
        for name, parameter in self.parameters.items():
            if parameter.grad_req == "null":
                problems += compare(f"{label}: {name}", parameter.data().asnumpy(), after[name])
                continue
            kept, direction = rule.parts(name, sample(parameter.grad().asnumpy()) / self.images)
            direction = direction * parameter.lr_mult
            old, new = sample(self.before[name]), sample(after[name])
            update, expected = new - old, kept - rate * direction
            size, allowed = np.maximum(abs(old), abs(new)), rule.tolerance
            problems += compare(
                f"{label}: update of {name}", expected, update, allowed.bound, allowed.provenance, scale=size
            )
            compared += abs(expected).max() > VISIBLE * allowed.bound * size.max()
            along += float(((kept - update) * direction).sum())
            length += float((direction * direction).sum())
        return Step(label, rate, tuple(problems), int(compared), along / length if length else 0.0)
