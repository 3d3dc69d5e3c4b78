"""The school: the subject trained by the reference's own loop, in a short course or in a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from conformance.check import NotApplicable, Vacuous
from conformance.comparison import Array
from conformance.learning import CLASSES, COURSES, Lesson, learn
from conformance.rehearsal import SEED, TEST_IMAGES, TRAIN_IMAGES, Run, State, rehearse
from conformance.runner import Runner
from conformance.tracing import trace
from conformance.updates import Step, made_again
from conformance.weights import fill
from reference.batches import Examples
from reference.mxnet_compat import mx


@dataclass(frozen=True)
class Rehearsal:
    """What the loop did to one network.

    Attributes:
        labels: The true label of every image handed out.
        run: A run.
        again: The first epoch of the same run, once more.
        other_seed: The first epoch of a run with another seed.
        steps: The steps of the run, each made again by itself.
    """

    labels: Array
    run: Run
    again: Run
    other_seed: Run
    steps: tuple[Step, ...]
    train: ClassVar[range] = range(TRAIN_IMAGES)
    test: ClassVar[range] = range(TRAIN_IMAGES, TRAIN_IMAGES + TEST_IMAGES)

    def name_of(self, place: int) -> str:
        """What the image at a place is called."""
        if place in self.train:
            return f"training image {place}"
        return f"test image {place - TRAIN_IMAGES}" if place in self.test else "an image that was not handed out"


class School(Runner):
    """A runner that also trains its subject with the reference's loop."""

    def lesson(self, *, shuffled: bool) -> Lesson:
        """What a new instance learns in its family's course."""
        course = COURSES[self.subject.architecture or self.subject.name]
        return learn(self.build, course, shuffled=shuffled, seed=self.number, ctx=self.ctx)

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """The loop run on a few images at a small size, and every step of it made again.

        Raises:
            NotApplicable, Vacuous: If there is nothing to train.
        """
        _ = self.recorded
        with self.stage("rehearsing the training loop"):
            images = self.images((TRAIN_IMAGES + TEST_IMAGES, *self._image_shape)).asnumpy()
            start = self._start()
            labels = self._labels(start, images)
            train = Examples(images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES])
            test = Examples(images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:])
            run = rehearse(self._pupil(start), train, test)
            again = rehearse(self._pupil(start), train, test, epochs=1)
            other_seed = rehearse(self._pupil(start), train, test, seed=SEED + 1, epochs=1)
            steps = made_again(self._pupil(start), run, images, labels)
            return Rehearsal(labels, run, again, other_seed, tuple(steps))

    @property
    def _image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        if self.subject.architecture is None:
            return self.shape(train=True)[1:]
        size = COURSES[self.subject.architecture].size
        return (3, size, size)

    @property
    def _arguments(self) -> dict[str, Any]:
        """Arguments of the subject's build function."""
        return {} if self.subject.specification is None else {"classes": CLASSES}

    def _start(self) -> State:
        """The weights that all runs begin with.

        Raises:
            NotApplicable: If the outputs are no logits.
            Vacuous: If there are no weights.
        """
        graph, _ = trace(self.build(**self._arguments), (2, *self._image_shape))
        if not graph.parameters:
            raise Vacuous("the network has no parameter")
        shape = graph.nodes[graph.head].shape
        if len(shape) != 2 or shape[1] < 2:
            raise NotApplicable(f"its outputs {shape} are not logits (N, classes) of at least two classes")
        return {name: fill(p.slot, p.shape, place) for place, (name, p) in enumerate(graph.parameters.items())}

    def _pupil(self, values: State) -> Any:
        """A new instance with weights."""
        return self.new(values=values, **self._arguments)

    def _labels(self, start: State, images: Array) -> Array:
        """Labels of which the untrained network gets every other one right, so that no accuracy is trivial."""
        logits = self._pupil(start)(mx.nd.array(images, ctx=self.ctx)).asnumpy()
        labels: Array = (logits.argmax(1) + np.arange(len(images)) % 2) % logits.shape[1]
        return labels
