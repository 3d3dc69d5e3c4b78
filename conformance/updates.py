"""A training step made again from its images and the parameters before it alone, and the optimizer's rule in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.comparison import Array, compare
from conformance.measurement import Measurement, measuring
from conformance.rehearsal import MOMENTUM, SEED, Forward, Run, State
from conformance.tolerances import UPDATE
from conformance.tracing import structural_names
from reference.mxnet_compat import mx
from reference.randomness import step_seed

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


def made_again(net: Any, run: Run, images: Array, labels: Array) -> Iterator[Step]:
    """Make every step of a run again.

    Args:
        net: Another instance of the network, with weights.
        run: The run.
        images: All images handed out, of shape (N, ...).
        labels: Their true labels.
    """
    velocity: dict[str, Array] = {}
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
                    step = again.compared_with(forward, after, velocity, label, epoch.stated_rate)
                yield replace(step, measurements=tuple(seen.measurements))
            velocity = {name: sample(after[name]) - sample(before[name]) for name in before}


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
        names = structural_names(net)
        self.parameters = {names[full]: parameter for full, parameter in net.collect_params().items()}
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

    def compared_with(self, forward: Forward, after: State, velocity: State, label: str, rate: float) -> Step:
        """Compare what the loop did in the step with the rule.

        Args:
            forward: The loop's forward.
            after: The parameters after its step.
            velocity: The update of the step before, by parameter; empty at the first.
            label: What the step is called.
            rate: The learning rate stated for it.
        """
        problems = list(compare(f"{label}: logits", self.logits, forward.logits))
        compared, along, length = 0, 0.0, 0.0
        for name, parameter in self.parameters.items():
            if parameter.grad_req == "null":
                problems += compare(f"{label}: {name}", parameter.data().asnumpy(), after[name])
                continue
            kept = MOMENTUM * velocity[name] if velocity else 0.0
            slope = sample(parameter.grad().asnumpy()) * (parameter.lr_mult / self.images)
            old, new = sample(self.before[name]), sample(after[name])
            update, expected = new - old, kept - rate * slope
            size = np.maximum(abs(old), abs(new))
            problems += compare(
                f"{label}: update of {name}", expected, update, UPDATE.bound, UPDATE.provenance, scale=size
            )
            compared += abs(expected).max() > VISIBLE * UPDATE.bound * size.max()
            along += float(((kept - update) * slope).sum())
            length += float((slope * slope).sum())
        return Step(label, rate, tuple(problems), int(compared), along / length if length else 0.0)
