"""A rehearsal: the training loop run on a few images, with everything that happens to the network written down.

The record is made from outside, by a hook on the network: which images every forward sees, in which mode, what it
answers, and what the parameters are at that time. It knows nothing of how the loop is written.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from conformance.graphs.tracing import parameters_of
from conformance.tensors.comparison import Array
from reference.runtime.mxnet_compat import mx
from reference.training.metrics import EpochMetrics
from reference.training.randomness import step_seed
from reference.training.recipes import Recipe, StepDecay

#: 20 images in batches of 8 make two full steps and one of 4 images; the test images, one full batch and one of 4.
TRAIN_IMAGES, TEST_IMAGES, EPOCHS, SEED = 20, 12, 2, 3
MOMENTUM = 0.9
#: SGD shows the scale of a gradient, which Adam hides; the rate halves, so that two epochs tell its schedule.
RECIPE = Recipe(
    "sgd",
    learning_rate=0.01,
    schedule=StepDecay(0.5, every=1),
    optimizer_settings=(("momentum", MOMENTUM),),
    batch_size=8,
    epochs=EPOCHS,
)
#: Adam with the betas and the epsilon of its paper, which are MXNet's, too.
ADAM = Recipe("adam", learning_rate=0.001, schedule=StepDecay(0.5, every=1), batch_size=8, epochs=EPOCHS)

State = Mapping[str, Array]


@dataclass(frozen=True)
class Forward:
    """One forward pass of the network.

    Attributes:
        images: Places among the images handed out, training images first; -1 is an image that was not.
        training: Whether it ran in train mode.
        recording: Whether autograd recorded it, as a training step does.
        logits: What it answered, of shape (N, classes).
        state: Number of the state the parameters were in, see `Run.states`; -1 where nobody looked.
    """

    images: tuple[int, ...]
    training: bool
    recording: bool
    logits: Array
    state: int


@dataclass(frozen=True)
class Epoch:
    """What an epoch did and what it reported."""

    number: int
    forwards: Sequence[Forward]
    metrics: Any
    last_state: int
    first_rate: float

    @property
    def stated_rate(self) -> float:
        """The learning rate that the recipe states: halved after each epoch."""
        return self.first_rate * 2.0 ** (1 - self.number)

    def reported(self, name: str) -> Any:
        """One of the `EpochMetrics` that the loop gave; None where it is missing."""
        assert name in EpochMetrics._fields
        return getattr(self.metrics, name, None)

    @property
    def steps(self) -> list[Forward]:
        """The recorded forwards, each the beginning of a training step."""
        return [forward for forward in self.forwards if forward.recording]

    @property
    def predictions(self) -> list[Forward]:
        """The forwards that autograd did not record."""
        return [forward for forward in self.forwards if not forward.recording]

    @property
    def order(self) -> list[int]:
        """Places of the images in the order in which the steps saw them."""
        return [place for forward in self.steps for place in forward.images]


@dataclass
class Run:
    """A run of the loop.

    Attributes:
        epochs: What every epoch did.
        states: The different states of the parameters by structural name, in the order they were seen in.
    """

    epochs: list[Epoch] = field(default_factory=list)
    states: list[State] = field(default_factory=list)


class Recorder:
    """Writes down what happens to a network.

    Args:
        net: The network, with weights.
        images: All images handed out, of shape (N, ...).
        thorough: Whether to look at the parameters at every forward, too.
        masks: Whether to seed MXNet's generator before every step, so that its dropout can be made again.
    """

    def __init__(self, net: Any, images: Array, *, thorough: bool, masks: bool) -> None:
        """Watch every call of the network from now on."""
        self.net, self.thorough = net, thorough
        self.places = {image.tobytes(): place for place, image in enumerate(images)}
        self.states: list[State] = []
        self.forwards: list[Forward] = []
        self.epoch = 1
        net.register_forward_hook(self._note)
        if masks:
            net.register_forward_pre_hook(self._seed)

    def _seed(self, *_: Any) -> None:
        if mx.autograd.is_recording():
            step = 1 + sum(forward.recording for forward in self.forwards)
            mx.random.seed(step_seed(SEED, self.epoch, step))

    def _note(self, _: Any, inputs: Sequence[Any], logits: Any) -> None:
        training_mode, recording = mx.autograd.is_training(), mx.autograd.is_recording()
        places = tuple(self.places.get(image.tobytes(), -1) for image in inputs[0].asnumpy())
        state = self.state() if self.thorough else -1
        self.forwards.append(Forward(places, training_mode, recording, logits.asnumpy(), state))

    def state(self) -> int:
        """Number of the state the parameters are in; a new one if anything has changed since the last."""
        # oneDNN reorders weights in place during a predict-mode forward: whoever reads one meanwhile reads garbage.
        mx.nd.waitall()
        now = {name: p.data().asnumpy() for name, p in parameters_of(self.net).items()}
        if not self.states or any(not np.array_equal(now[name], old) for name, old in self.states[-1].items()):
            self.states.append(now)
        return len(self.states) - 1


@dataclass(frozen=True)
class Rehearser:
    """Runs a loop on a few images and writes down what happens.

    Args:
        loop: Called as `conformance.experiments.training.loops.Loop` says.
        images: All images handed out, training images first.
        test: What is evaluated on.
        masks: Whether the dropout of a thorough run must be made the same from outside, as the loop's own randomness
            is not known.
    """

    loop: Any
    images: Array
    test: Any
    masks: bool

    def run(self, net: Any, train: Any, *, seed: int = SEED, recipe: Recipe = RECIPE, epochs: int = EPOCHS) -> Run:
        """Train thoroughly: the parameters are looked at before and after every step.

        Args:
            net: A network with weights.
            train: What is trained on.
            seed: Of the run.
            recipe: How to train.
            epochs: After how many to stop.
        """
        return self._run(net, train, seed, recipe, epochs, thorough=True)

    def epoch(self, net: Any, train: Any, *, seed: int = SEED) -> Run:
        """Train for an epoch, whose parameters are looked at at its end only; see `run`."""
        return self._run(net, train, seed, RECIPE, 1, thorough=False)

    def _run(self, net: Any, train: Any, seed: int, recipe: Recipe, epochs: int, *, thorough: bool) -> Run:
        recorder = Recorder(net, self.images, thorough=thorough, masks=thorough and self.masks)
        run = Run(states=recorder.states)
        with warnings.catch_warnings():
            # The network's own hooks do run once it is hybridized, as it is no other block's child.
            warnings.filterwarnings("ignore", r"(?s).*is being hybridized while still having forward hook")
            for number, metrics in enumerate(islice(self.loop(net, train, self.test, recipe, seed=seed), epochs), 1):
                forwards = tuple(recorder.forwards)
                run.epochs.append(Epoch(number, forwards, metrics, recorder.state(), recipe.learning_rate))
                recorder.forwards.clear()
                recorder.epoch = number + 1
        return run
