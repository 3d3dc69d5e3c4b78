"""A rehearsal: any training loop run on one network and a few images, and every step of it made again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from conformance.contract.outcomes import NotApplicable, Vacuous
from conformance.experiments.runs import Runs
from conformance.experiments.training.courses import CLASSES, COURSES
from conformance.experiments.training.loops import Loop, loader, loop_of
from conformance.experiments.training.recorder import (
    ADAM,
    EPOCHS,
    RECIPE,
    SEED,
    TEST_IMAGES,
    TRAIN_IMAGES,
    Rehearser,
    Run,
    State,
)
from conformance.experiments.training.rules import Adam, Momentum, Step, made_again
from conformance.graphs.tracing import trace
from conformance.tensors.comparison import Array
from conformance.tensors.fill import fill
from reference.runtime.mxnet_compat import mx
from reference.training.batches import Examples

#: Processes that load images, as Gluon's DataLoader counts them: with 0 its caller loads.
WORKERS = (0, 1, 4)


@dataclass(frozen=True)
class Rehearsal:
    """What the loop did to one network.

    Attributes:
        labels: The true label of every image handed out.
        run: A run.
        once: The first epoch of the same run, or the run itself.
        again: The first epoch of the same run, once more.
        other_seed: The first epoch of a run with another seed.
        steps: The steps of the run, each made again by itself.
        may_lack: Whether the loop may leave out what it is not needed for: to evaluate, and to report.
    """

    labels: Array
    run: Run
    once: Run
    again: Run
    other_seed: Run
    steps: tuple[Step, ...]
    may_lack: bool
    epochs: ClassVar[int] = EPOCHS
    train: ClassVar[range] = range(TRAIN_IMAGES)
    test: ClassVar[range] = range(TRAIN_IMAGES, TRAIN_IMAGES + TEST_IMAGES)

    def name_of(self, place: int) -> str:
        """What the image at a place is called."""
        if place in self.train:
            return f"training image {place}"
        return f"test image {place - TRAIN_IMAGES}" if place in self.test else "an image that was not handed out"


@dataclass(frozen=True)
class Material:
    """What all rehearsals of one subject are given: first weights, images with labels, and the loop that is watched."""

    start: State
    images: Array
    labels: Array
    rehearser: Rehearser

    @property
    def train(self) -> Examples:
        """The images to train on."""
        return Examples(self.images[:TRAIN_IMAGES], self.labels[:TRAIN_IMAGES])

    @property
    def own_loop(self) -> bool:
        """Whether the loop is the user's own."""
        return self.rehearser.masks


class Rehearsals:
    """Rehearses a training loop, the reference's or the user's, on one network.

    Args:
        runs: Of the network.
    """

    def __init__(self, runs: Runs) -> None:
        """Take the runs; nothing is rehearsed yet."""
        self.runs, self.network = runs, runs.network

    @cached_property
    def loop(self) -> Loop:
        """The loop that is watched; raises RequestError where it cannot be used."""
        return loop_of(self.network.subject)

    @cached_property
    def material(self) -> Material:
        """What is rehearsed, at a small size.

        Raises:
            NotApplicable, Vacuous: If there is nothing to train.
        """
        _ = self.runs.recorded
        images = self.network.images((TRAIN_IMAGES + TEST_IMAGES, *self._image_shape)).asnumpy()
        start = self._start()
        labels = self._labels(start, images)
        own = self.network.subject.trainer is not None
        test = Examples(images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:])
        tested = loader(test, RECIPE.batch_size, shuffle=False) if own else test
        return Material(start, images, labels, Rehearser(self.loop, images, tested, masks=own))

    def _training_data(self, workers: int | None = None) -> Any:
        """What the loop is given to train on: the reference's takes images as they are, unless workers load them."""
        train = self.material.train
        if workers is None and not self.material.own_loop:
            return train
        return loader(train, RECIPE.batch_size, shuffle=True, workers=workers or 0)

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """The loop run on a few images, and every step of it made again; see `material`."""
        with self.network.stage("rehearsing the training loop"):
            material = self.material
            rehearser, start, data = material.rehearser, material.start, self._training_data()
            run = rehearser.run(self._pupil(start), data)
            once = rehearser.epoch(self._pupil(start), data) if material.own_loop else run
            again = rehearser.epoch(self._pupil(start), data)
            other_seed = rehearser.epoch(self._pupil(start), data, seed=SEED + 1)
            steps = made_again(self._pupil(start), run, material.images, material.labels, Momentum())
            return Rehearsal(material.labels, run, once, again, other_seed, tuple(steps), material.own_loop)

    @cached_property
    def adam_steps(self) -> tuple[Step, ...]:
        """The steps of an epoch with Adam, each made again by itself; see `material`."""
        with self.network.stage("rehearsing the training loop with Adam"):
            material = self.material
            run = material.rehearser.run(self._pupil(material.start), self._training_data(), recipe=ADAM, epochs=1)
            return tuple(made_again(self._pupil(material.start), run, material.images, material.labels, Adam()))

    @cached_property
    def loaded(self) -> dict[int, Run]:
        """The first epoch of a run, by the number of processes that load its images; see `material`."""
        with self.network.stage("rehearsing the training loop with workers that load"):
            material = self.material
            return {
                workers: material.rehearser.epoch(self._pupil(material.start), self._training_data(workers))
                for workers in WORKERS
            }

    @property
    def _image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        if self.network.subject.architecture is None:
            return self.network.shape(train=True)[1:]
        size = COURSES[self.network.subject.architecture].size
        return (3, size, size)

    @property
    def _arguments(self) -> dict[str, Any]:
        """Arguments of the subject's build function."""
        return {} if self.network.subject.specification is None else {"classes": CLASSES}

    def _start(self) -> State:
        """The weights that all runs begin with.

        Raises:
            NotApplicable: If the outputs are no logits.
            Vacuous: If there are no weights.
        """
        graph, _ = trace(self.network.build(**self._arguments), (2, *self._image_shape))
        if not graph.parameters:
            raise Vacuous("the network has no parameter")
        shape = graph.nodes[graph.head].shape
        if len(shape) != 2 or shape[1] < 2:
            raise NotApplicable(f"its outputs {shape} are not logits (N, classes) of at least two classes")
        return {name: fill(p.slot, p.shape, place) for place, (name, p) in enumerate(graph.parameters.items())}

    def _pupil(self, values: State) -> Any:
        """A new instance with weights."""
        return self.network.new(values=values, **self._arguments)

    def _labels(self, start: State, images: Array) -> Array:
        """Labels of which the untrained network gets every other one right, so that no accuracy is trivial."""
        logits = self._pupil(start)(mx.nd.array(images, ctx=self.network.ctx)).asnumpy()
        labels: Array = (logits.argmax(1) + np.arange(len(images)) % 2) % logits.shape[1]
        return labels
