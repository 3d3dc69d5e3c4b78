"""The training loop on the subject: what every epoch of it sees, does and reports.

The loop, the reference's or the user's own, is run for two epochs on 20 images, which fill two batches and a half, and
12 test images, and is watched from outside: see ``conformance/experiments/training/recorder.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from conformance.contract.check import Check, unless_representative
from conformance.contract.measurement import Measurement, note
from conformance.contract.outcomes import SHOWN, NotApplicable, Vacuous, refuse
from conformance.contract.tolerances import FITTED_RATE, REPORTED_LOSS
from conformance.tensors.comparison import Array

if TYPE_CHECKING:
    from conformance.experiments.training.recorder import Epoch, Forward, Run
    from conformance.experiments.training.rehearsal import Rehearsal, Rehearsals

SOURCE = "the docstring of reference/training/loop.py"
OPTIMIZERS = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/optimizer/index.html"
DATA_LOADER = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/data/index.html"


def _rehearsal(rehearsals: Rehearsals) -> Rehearsal:
    """The rehearsal, if the loop trained at all."""
    rehearsal = rehearsals.rehearsal
    if not any(epoch.steps for epoch in rehearsal.run.epochs):
        raise Vacuous("the loop made no step that autograd recorded")
    if (actual := len(rehearsal.run.epochs)) != rehearsal.epochs:
        refuse([f"expected {rehearsal.epochs} epochs, actual {actual}: a loop yields once after each"])
    return rehearsal


def _wrong_counts(where: str, expected: Sequence[int], seen: Iterable[int], rehearsal: Rehearsal) -> Iterator[str]:
    """Name the images that were not seen exactly once."""
    counts = Counter(seen)
    for place in sorted({*expected, *counts}):
        if counts[place] != (place in expected):
            times = f"expected {int(place in expected)} times, actual {counts[place]} times"
            yield f"{where}: {rehearsal.name_of(place)}: {times}"


def _wrong_modes(epoch: Epoch, forwards: Sequence[Forward], *, train: bool) -> Iterator[str]:
    """Name the forwards in the wrong mode."""
    for number, forward in enumerate(forwards, 1):
        if forward.training != train:
            what, modes = f"step {number}" if train else f"test batch {number}", ("train mode", "predict mode")
            yield f"epoch {epoch.number}, {what}: expected {modes[not train]}, actual {modes[train]}"


def check_train_images(rehearsals: Rehearsals) -> None:
    """The steps of an epoch see every training image exactly once, in train mode, and no other image.

    A last batch that is dropped loses the same images or others in every epoch; one seen twice counts double; a
    test image among them makes the test accuracy worthless.
    """
    rehearsal, problems = _rehearsal(rehearsals), list[str]()
    for epoch in rehearsal.run.epochs:
        problems += _wrong_counts(f"epoch {epoch.number}, training", rehearsal.train, epoch.order, rehearsal)
        problems += _wrong_modes(epoch, epoch.steps, train=True)
    refuse(problems[:SHOWN])


def check_test_images(rehearsals: Rehearsals) -> None:
    """After the steps of an epoch every test image is predicted exactly once, in predict mode, and nothing moves.

    In train mode dropout and the batch's own statistics would decide about the accuracy. Training images among
    them tell what was learned by heart.
    """
    rehearsal, problems = _rehearsal(rehearsals), list[str]()
    if rehearsal.may_lack and not any(epoch.predictions for epoch in rehearsal.run.epochs):
        raise NotApplicable("the loop evaluates nothing")
    for epoch in rehearsal.run.epochs:
        seen = [place for forward in epoch.predictions for place in forward.images]
        problems += _wrong_counts(f"epoch {epoch.number}, evaluation", rehearsal.test, seen, rehearsal)
        problems += _wrong_modes(epoch, epoch.predictions, train=False)
        for number, forward in enumerate(epoch.predictions, 1):
            if forward.state != epoch.last_state:
                problems += _moved(rehearsal, epoch, number, forward)
    refuse(problems[:SHOWN])


def _moved(rehearsal: Rehearsal, epoch: Epoch, number: int, forward: Forward) -> Iterator[str]:
    """Name the parameters that a prediction saw otherwise than they are at the end of the epoch."""
    states = rehearsal.run.states
    for name, value in states[forward.state].items():
        if not np.array_equal(value, states[epoch.last_state][name]):
            yield f"epoch {epoch.number}, test batch {number}: {name} is not what it is at the end of the epoch"


def check_order(rehearsals: Rehearsals) -> None:
    """Every epoch has another order of images, and the seed alone decides about it and about the weights.

    Batches that never change mix less noise into the gradient, and images sorted by class spoil it. A run that its
    seed does not repeat cannot be examined, nor continued as it was.
    """
    rehearsal = _rehearsal(rehearsals)
    first, second = (epoch.order for epoch in rehearsal.run.epochs)
    once, again, other = (run.epochs[0] for run in (rehearsal.once, rehearsal.again, rehearsal.other_seed))
    problems = []
    for what, order in (("epoch 1", first), ("epoch 2", second)):
        if order == sorted(order):
            problems.append(f"{what}: the images come in the order they are stored in: {order}")
    if first == second:
        problems.append(f"epoch 2: expected another order than epoch 1, actual {second}")
    if first == other.order:
        problems.append(f"another seed: expected another order than {first}, actual the same")
    if once.order != again.order:
        problems.append(f"the same seed: expected the order {once.order}, actual {again.order}")
    problems += _differing("the same seed", rehearsal.once, rehearsal.again)
    refuse(problems[:SHOWN])


def _differing(where: str, expected: Run, actual: Run) -> Iterator[str]:
    """Name the parameters that two runs leave otherwise after their first epoch."""
    left, right = (run.states[run.epochs[0].last_state] for run in (expected, actual))
    names = (name for name in left if not np.array_equal(left[name], right[name]))
    yield from (f"{where}: {name} differs after epoch 1" for name in names)


def check_loader_workers(rehearsals: Rehearsals) -> None:
    """The same seed gives the same run, whether no process, one or four load the images.

    A DataLoader that shuffles draws from NumPy's own generator, which a loop must seed. What workers load lies in
    shared memory and arrives in its order; a loop copies it to the network's device.
    """
    rehearsal, loaded, problems = _rehearsal(rehearsals), rehearsals.loaded, list[str]()
    for workers, run in loaded.items():
        where, order, expected = f"{workers} workers", run.epochs[0].order, loaded[0].epochs[0].order
        problems += _wrong_counts(where, rehearsal.train, order, rehearsal)
        if order != expected:
            problems.append(f"{where}: expected the order {expected}, actual {order}")
        problems += _differing(where, loaded[0], run)
    refuse(problems[:SHOWN])


def check_updates(rehearsals: Rehearsals, variant: str) -> None:
    """Every step is the optimizer's rule applied to the mean gradient of its own images.

    With SGD ``update = momentum * update before - rate * gradient / images``, with Adam its paper's algorithm 1; the
    gradient is that of another instance that had these parameters, images and labels and nothing else, and the rule
    is computed in NumPy float64. A factor is a loss averaged twice or a smaller batch weighted as a full one; anything
    else, gradients that were not cleared, a step lost or made twice, labels of other images, an optimizer without
    its settings, or dropout that does not follow from the seed, the epoch and the step.
    """
    steps = _rehearsal(rehearsals).steps
    if variant == "adam":
        steps = rehearsals.adam_steps
    for measurement in (measurement for step in steps for measurement in step.measurements):
        note(measurement)
    blind = [step.label for step in steps if not step.compared and not step.problems]
    refuse(line for step in steps for line in step.problems[:2])
    if blind:
        raise Vacuous(f"{blind[0]}: no parameter moved enough to be told from rounding")


def check_learning_rate(rehearsals: Rehearsals) -> None:
    """The learning rate of every epoch is the schedule's: the one reported and the one that moved the parameters.

    A rate set after the epoch's first step, or counted from 0 where the schedule counts from 1, is an epoch early
    or late.
    """
    rehearsal, problems = _rehearsal(rehearsals), list[str]()
    for epoch in rehearsal.run.epochs:
        for name, stated in (("epoch", epoch.number), ("learning_rate", epoch.stated_rate)):
            reported = epoch.reported(name)
            if reported != stated and not (reported is None and rehearsal.may_lack):
                problems.append(f"epoch {epoch.number}: expected a report of {name} {stated:g}, actual {reported}")
    for step in rehearsal.steps:
        expected, allowed = step.stated_rate, FITTED_RATE.bound * step.stated_rate
        what = f"{step.label}: learning rate"
        note(Measurement(what, abs(step.rate - expected), allowed, FITTED_RATE.provenance, scale=expected))
        if abs(step.rate - expected) > allowed:
            problems.append(
                f"{step.label}: expected learning rate {expected:g}, actual {step.rate:.4g} (fitted to the update); "
                f"allowed {allowed:.3g} ({FITTED_RATE.provenance})"
            )
    refuse(problems[:SHOWN])


def check_metrics(rehearsals: Rehearsals) -> None:
    """The reported loss and accuracies are those of the logits and the true labels, over the images of the epoch.

    Computed again in NumPy float64 from every logit that the network gave. A mean of batch means counts a smaller
    batch too much; a number that is right for the last batch only looks right when all batches are alike.
    """
    rehearsal, problems, told = _rehearsal(rehearsals), list[str](), list[bool]()
    for epoch in rehearsal.run.epochs:
        for what, forwards, names in (
            ("training", epoch.steps, ("loss", "train_accuracy")),
            ("test", epoch.predictions, ("test_loss", "test_accuracy")),
        ):
            loss, accuracy = map(epoch.reported, names)
            if rehearsal.may_lack and loss is None and accuracy is None:
                continue
            where, expected = f"epoch {epoch.number}, {what}", _recomputed(forwards, rehearsal.labels)
            if expected is None or (None in (loss, accuracy) and not rehearsal.may_lack):
                problems.append(f"epoch {epoch.number}: no {what} metrics to compare, or images without a label")
                continue
            told.append(0 < expected[1] < 1)
            problems += _wrong_metrics(where, expected, loss, accuracy)
    refuse(problems)
    if not told:
        raise NotApplicable("the loop reports no loss and no accuracy")
    if not any(told):
        raise Vacuous("every accuracy is 0 or 1, which a wrong count can give too")


def _wrong_metrics(where: str, expected: tuple[float, float], loss: float | None, accuracy: float | None) -> list[str]:
    """Name what is reported and is not the loss and accuracy that are expected."""
    problems, allowed = [], REPORTED_LOSS.bound * expected[0]
    if loss is not None:
        gap = abs(loss - expected[0])
        note(Measurement(f"{where} loss", gap, allowed, REPORTED_LOSS.provenance, scale=expected[0]))
    if loss is not None and not gap <= allowed:
        problems.append(
            f"{where} loss: expected {expected[0]:.9g}, actual {loss:.9g}, "
            f"allowed {allowed:.3g} ({REPORTED_LOSS.provenance})"
        )
    if accuracy is not None and accuracy != expected[1]:
        problems.append(f"{where} accuracy: expected {expected[1]:.9g}, actual {accuracy:.9g}")
    return problems


def _recomputed(forwards: Sequence[Forward], labels: Array) -> tuple[float, float] | None:
    """Mean cross-entropy and accuracy of some forwards in float64; None without one, or without its labels."""
    if not forwards or any(-1 in forward.images for forward in forwards):
        return None
    logits = np.concatenate([forward.logits for forward in forwards]).astype(np.float64)
    truth = labels[[place for forward in forwards for place in forward.images]]
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(truth)), truth]
    return float(losses.mean()), int((logits.argmax(1) == truth).sum()) / len(truth)


CHECKS = (
    Check(check_train_images, SOURCE, unless=unless_representative),
    Check(check_test_images, SOURCE, unless=unless_representative),
    Check(check_order, SOURCE, unless=unless_representative),
    Check(check_updates, OPTIMIZERS, ("sgd", "adam"), unless=unless_representative),
    Check(check_learning_rate, SOURCE, unless=unless_representative),
    Check(check_metrics, SOURCE, unless=unless_representative),
    Check(check_loader_workers, DATA_LOADER, unless=unless_representative),
)
