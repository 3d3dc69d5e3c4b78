"""A rehearsal: the training loop run on a few images, with everything that happens to the network written down.

The record is made from outside, by a hook on the network: which images every forward sees, in which mode, what it
answers, and what the parameters are at that time. It knows nothing of how the loop is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from conformance.comparison import Array
from conformance.tracing import structural_names
from reference import training
from reference.batches import Examples
from reference.mxnet_compat import mx
from reference.recipes import StepDecay

#: 20 images in batches of 8 make two full steps and one of 4 images; the test images, one full batch and one of 4.
TRAIN_IMAGES, TEST_IMAGES, EPOCHS, SEED = 20, 12, 2, 3
MOMENTUM = 0.9
#: SGD shows the scale of a gradient, which Adam hides; the rate halves, so that two epochs tell its schedule.
RECIPE = training.Recipe(
    "sgd",
    learning_rate=0.01,
    schedule=StepDecay(0.5, every=1),
    optimizer_settings=(("momentum", MOMENTUM),),
    batch_size=8,
    epochs=EPOCHS,
)

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
    metrics: training.EpochMetrics
    last_state: int

    @property
    def stated_rate(self) -> float:
        """The learning rate that `RECIPE` states: halved after each epoch."""
        return RECIPE.learning_rate * 2.0 ** (1 - self.number)

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
    """

    def __init__(self, net: Any, images: Array, *, thorough: bool) -> None:
        """Watch every call of the network from now on."""
        self.net, self.thorough = net, thorough
        self.names = structural_names(net)
        self.places = {image.tobytes(): place for place, image in enumerate(images)}
        self.states: list[State] = []
        self.forwards: list[Forward] = []
        net.register_forward_hook(self._note)

    def _note(self, _: Any, inputs: Sequence[Any], logits: Any) -> None:
        training_mode, recording = mx.autograd.is_training(), mx.autograd.is_recording()
        places = tuple(self.places.get(image.tobytes(), -1) for image in inputs[0].asnumpy())
        state = self.state() if self.thorough else -1
        self.forwards.append(Forward(places, training_mode, recording, logits.asnumpy(), state))

    def state(self) -> int:
        """Number of the state the parameters are in; a new one if anything has changed since the last."""
        # oneDNN reorders weights in place during a predict-mode forward: whoever reads one meanwhile reads garbage.
        mx.nd.waitall()
        now = {self.names[full]: p.data().asnumpy() for full, p in self.net.collect_params().items()}
        if not self.states or any(not np.array_equal(now[name], old) for name, old in self.states[-1].items()):
            self.states.append(now)
        return len(self.states) - 1


def rehearse(net: Any, train: Examples, test: Examples, *, seed: int = SEED, epochs: int = EPOCHS) -> Run:
    """Run the loop on a network and write down what happens; the parameters of a run of one epoch, at its end only.

    Args:
        net: A network with weights.
        train: Images to train on.
        test: Images to evaluate on.
        seed: Of the run.
        epochs: After how many to stop.
    """
    recorder = Recorder(net, np.concatenate([train.images, test.images]), thorough=epochs > 1)
    run = Run(states=recorder.states)
    for number, metrics in enumerate(islice(training.fit(net, train, test, RECIPE, seed=seed), epochs), 1):
        last = recorder.state()
        run.epochs.append(Epoch(number, tuple(recorder.forwards), metrics, last))
        recorder.forwards.clear()
    return run
