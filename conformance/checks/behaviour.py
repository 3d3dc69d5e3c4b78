"""What a right network does beyond its numbers: gradients, running statistics, dropout, batches, seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from conformance.check import NETWORKS, Check, NotApplicable, Problem, Vacuous, owner, refuse
from conformance.comparison import compare, largest_difference
from conformance.graph import Node
from conformance.measurement import Measurement, note, note_exact
from conformance.rounding import cancelled_biases
from conformance.tolerances import BATCH_INDEPENDENCE, CANCELLED_BIAS, DROPOUT_SIGMAS, RUNNING_STATISTICS

if TYPE_CHECKING:
    from conformance.workbench import Workbench

BATCHNORM = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/nn/index.html#mxnet.gluon.nn.BatchNorm"
DROPOUT = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/nn/index.html#mxnet.gluon.nn.Dropout"
AUTOGRAD = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/autograd/index.html"
ENTERING = 400
"""Values that enter a Dropout at least, as many images are taken for it: a relu before it leaves about half of them."""


def check_gradients_reach_every_parameter(bench: Workbench) -> None:
    """Every parameter that asks for a gradient gets a finite one that is not zero.

    A bias that a BatchNorm cancels is the exception: its true gradient is zero, and what is computed must be
    rounding noise, small beside its layer's weight gradient. A zero gradient elsewhere means that the
    parameter is unused or cut off (``BlockGrad``, a dead branch); an infinite one, a wrong scale.
    """
    cancelled = cancelled_biases(bench.graph)
    gradients = {
        name.removeprefix("step 1: gradient of "): summary
        for name, summary in bench.trained.summaries.items()
        if name.startswith("step 1: gradient of ")
    }
    if not gradients:
        raise Vacuous("the network has no gradient")
    problems: list[Problem] = []
    for name, gradient in gradients.items():
        beside = gradients.get(cancelled.get(name, ""))
        noise = CANCELLED_BIAS.bound * beside.largest if beside is not None else None
        if beside is not None:
            what = f"gradient of {name}, a bias that a BatchNorm cancels"
            note(Measurement(what, gradient.largest, noise, CANCELLED_BIAS.provenance, owner(name), beside.largest))
        if not gradient.finite:
            problems.append(Problem(f"gradient of {name}: not finite", owner(name)))
        elif name not in cancelled and gradient.largest == 0:
            problems.append(Problem(f"gradient of {name}: expected not zero, actual 0 everywhere", owner(name)))
        elif noise is not None and gradient.largest > noise:
            text = (
                f"gradient of {name}: a BatchNorm cancels this bias; expected at most {noise:.3g} "
                f"({CANCELLED_BIAS.provenance}), actual {gradient.largest:.3g}"
            )
            problems.append(Problem(text, owner(name)))
    input_gradient = bench.trained.summaries["step 1: input gradient"]
    if input_gradient.largest == 0 or not input_gradient.finite:
        problems.append(Problem(f"input gradient: expected finite and not zero, largest {input_gradient.largest}"))
    refuse(problems)


def check_parameters_move(bench: Workbench) -> None:
    """Every parameter moves in a training step, and running statistics with it; a frozen one (grad_req null) stays.

    One that stays although its gradient is not zero is not given to the trainer, or its lr_mult is 0.
    """
    cancelled, frozen = cancelled_biases(bench.graph), bench.frozen
    before, after = bench.initial, bench.trained.summaries
    moved = {name: after[f"step 1: {name}"] != summary for name, summary in before.items()}
    if not moved:
        raise Vacuous("the network has no parameter")
    refuse(
        Problem(f"{name}: {'frozen, but changed by' if changed else 'unchanged after'} a training step", owner(name))
        for name, changed in moved.items()
        if changed == (name in frozen) and name not in cancelled
    )


def check_running_statistics(bench: Workbench) -> None:
    """Running statistics move by ``momentum * old + (1 - momentum) * batch``, in backward only.

    The batch's mean and biased variance, in NumPy float64, of what enters each BatchNorm. MXNet writes them
    when backward runs in train mode: not in predict mode, not by a recorded forward alone, and twice for two
    backwards. The first BatchNorm named is the first whose statistics are wrong.
    """
    norms = [node for node in bench.graph.nodes if node.operator == "BatchNorm"]
    if not norms:
        raise NotApplicable("the network has no BatchNorm")
    ported = bench.ported_statistics()
    if ported is not None:
        refuse(ported)
        return
    problems = [
        Problem(f"running statistics of {name} moved {when}", owner(name)) for when, name in bench.unexpected_updates()
    ]
    once, twice = bench.statistics_after(backwards=1), bench.statistics_after(backwards=2)
    shape = bench.shape(2, train=True)
    read = sorted({node.inputs[0][0] for node in norms} - {-1})
    inputs = {node.position: array for node, array in bench.node_outputs(shape, train=True, only=read)}
    inputs[-1] = bench.images(shape).asnumpy()
    for node in norms:
        entered = inputs[node.inputs[0][0]].astype(np.float64)
        problems += _wrong_updates(bench, node, entered, (once, twice))
    refuse(problems[:8])


def _wrong_updates(bench: Workbench, node: Node, entered: np.ndarray, after: tuple[dict, dict]) -> list[Problem]:  # type: ignore[type-arg]
    """Compare one BatchNorm's statistics after one and two backwards with the rule."""
    axes = tuple(axis for axis in range(entered.ndim) if axis != node.attributes["axis"] % entered.ndim)
    momentum = node.attributes["momentum"]
    frozen = bool(node.attributes.get("use_global_stats"))
    problems: list[Problem] = []
    for name, batch in zip(node.parameters[2:], (entered.mean(axes), entered.var(axes)), strict=True):
        value = bench.values[name].astype(np.float64)
        for count, actual in enumerate(after, 1):
            value = value if frozen else momentum * value + (1 - momentum) * batch
            problems += compare(
                f"{node}: {name} after {count} backward",
                value,
                actual[name].astype(np.float64),
                RUNNING_STATISTICS.bound,
                RUNNING_STATISTICS.provenance,
                place=node.place,
            )
    return problems


def check_dropout(bench: Workbench) -> None:
    """Dropout drops the stated fraction and scales the rest in train mode, and does nothing in predict mode.

    The fraction is bounded statistically, the scale exactly. A dropout that is active in predict mode gives
    predictions that change from run to run.
    """
    nodes = [node for node in bench.graph.nodes if node.operator == "Dropout"]
    if not nodes:
        raise NotApplicable("the network has no Dropout")
    positions = sorted({position for node in nodes for position in (node.inputs[0][0], node.position)} - {-1})
    batch = max(2, math.ceil(ENTERING / min(math.prod(node.shape[1:]) for node in nodes)))
    problems: list[Problem] = []
    for train in (True, False):
        shape = bench.shape(batch, train=True)
        outputs = {node.position: array for node, array in bench.node_outputs(shape, train=train, only=positions)}
        outputs[-1] = bench.images(shape).asnumpy()
        for node in nodes:
            entered, left = outputs[node.inputs[0][0]], outputs[node.position]
            if not train and not np.array_equal(entered, left):
                problems.append(Problem(f"{node}: changes values in predict mode", node.place))
            if train:
                problems += [Problem(line, node.place) for line in _wrong_fraction(node, entered, left)]
    refuse(problems)


def _wrong_fraction(node: Node, entered: np.ndarray, left: np.ndarray) -> list[str]:  # type: ignore[type-arg]
    """Say how a dropout in train mode departs from its rate."""
    rate = node.attributes["p"]
    alive = entered != 0
    trials, dropped = int(alive.sum()), int((left[alive] == 0).sum())
    if trials < 100:
        raise Vacuous(f"{node}: only {trials} values enter it that are not zero")
    if node.attributes.get("axes"):
        return [] if 0 < dropped < trials else [f"{node}: dropped {dropped} of {trials}"]
    allowed = DROPOUT_SIGMAS.bound * math.sqrt(rate * (1 - rate) / trials)
    what = f"{node}: dropped fraction less {rate:g}"
    note(Measurement(what, abs(dropped / trials - rate), allowed, DROPOUT_SIGMAS.provenance, node.place))
    problems: list[str] = []
    if abs(dropped / trials - rate) > allowed:
        problems.append(
            f"{node}: expected a dropped fraction of {rate:g}, actual {dropped / trials:.4f} of {trials}, "
            f"allowed {allowed:.4f} ({DROPOUT_SIGMAS.provenance})"
        )
    kept = alive & (left != 0)
    kept_values, origin = entered[kept] / np.float32(1 - rate), "one float32 division, 2**-23 relative"
    return [*problems, *compare(f"{node}: kept values", kept_values, left[kept], 1e-6, origin, place=node.place)]


def check_batch_independence(bench: Workbench) -> None:
    """A sample's prediction does not depend on the other samples of its batch.

    When it does, something normalizes, pools or indexes across the batch axis in predict mode, such as a
    BatchNorm that uses the batch's statistics.
    """
    runs = bench.together_and_alone()
    logits = runs[0][0][""].asnumpy()
    if largest_difference(logits[0], logits[1])[0] == 0:
        raise Vacuous("different samples give the same logits")
    problems: list[str] = []
    for sample, (together, alone) in enumerate(runs):
        bound = BATCH_INDEPENDENCE
        name, expected = f"logits of sample {sample} alone", alone[""].asnumpy()[0]
        lines = list(compare(name, expected, together[""].asnumpy()[sample], bound.bound, bound.provenance))
        problems += [*lines, *(bench.batch_divergence(together, alone, sample) if lines else ())]
    refuse(problems)


def check_classes_and_channels(bench: Workbench) -> None:
    """``classes`` sets the number of logits, and any number of image channels is accepted.

    Shown by shape inference with 7 classes and with 1 and 5 channels: nothing else may change.
    """
    problems = []
    for classes, channels in ((7, 3), (10, 1), (10, 5)):
        shape, first = bench.output_shape(classes, channels)
        if shape != (2, classes):
            problems.append(f"classes={classes}: expected logits of shape (2, {classes}), actual {shape}")
        if first != channels:
            problems.append(f"{channels} channels: the first convolution reads {first}")
    refuse(problems)


def check_reproducible(bench: Workbench) -> None:
    """The same seed gives the same forward pass, bit for bit, dropout included, in both modes.

    A result that changes in a new instance, or in the same one when it is called again, comes from unseeded
    randomness, uninitialized memory or state kept in Python. Gradients and parameters are repeated by
    execution.train_mode.
    """
    again, trained = bench.seeded_forward().summaries, bench.trained.summaries
    note_exact("tensors of a second forward pass", len(again), sum(again[name] != trained[name] for name in again))
    problems = [
        f"{name}: differs between two runs with the same seed"
        for name, summary in again.items()
        if summary != trained[name]
    ]
    first, _, third = bench.predicted.summaries.values()
    if first != third:
        problems.append("logits in predict mode: the third call differs from the first")
    refuse([*bench.repeated_divergence(), *problems] if problems else ())


CHECKS = (
    Check(check_gradients_reach_every_parameter, AUTOGRAD),
    Check(check_parameters_move, AUTOGRAD),
    Check(check_running_statistics, BATCHNORM),
    Check(check_dropout, DROPOUT),
    Check(check_batch_independence, BATCHNORM),
    Check(
        check_classes_and_channels,
        "design contract: make_net(classes=N), deferred initialization",
        kinds=NETWORKS,
    ),
    Check(
        check_reproducible,
        "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/mxnet/random/index.html",
    ),
)
