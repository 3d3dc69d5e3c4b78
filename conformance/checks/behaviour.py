"""What a right network does beyond its numbers: gradients, running statistics, dropout, batches, seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from conformance.contract.check import NETWORKS, Check
from conformance.contract.measurement import Measurement, note, note_exact
from conformance.contract.outcomes import SHOWN, NotApplicable, Problem, Vacuous, owner, refuse
from conformance.contract.tolerances import BATCH_INDEPENDENCE, CANCELLED_BIAS, DROPOUT_SIGMAS
from conformance.graphs.cancelled import cancelled_biases
from conformance.graphs.graph import Node
from conformance.tensors.comparison import Array, compare, largest_difference
from conformance.tensors.label import Label

if TYPE_CHECKING:
    from conformance.experiments.architecture import Architecture
    from conformance.experiments.behaviour import Behaviour, Statistics
    from conformance.experiments.divergence import Divergence
    from conformance.experiments.network import Network
    from conformance.experiments.runs import Runs

BATCHNORM = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/nn/index.html#mxnet.gluon.nn.BatchNorm"
DROPOUT = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/nn/index.html#mxnet.gluon.nn.Dropout"
AUTOGRAD = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/autograd/index.html"
ENTERING = 400
"""Values that enter a Dropout at least, as many images are taken for it: a relu before it leaves about half of them."""


def check_gradients_reach_every_parameter(runs: Runs) -> None:
    """Every parameter that asks for a gradient gets a finite one that is not zero.

    A bias that a BatchNorm cancels is the exception: its true gradient is zero, and what is computed must be
    rounding noise, small beside its layer's weight gradient. A zero gradient elsewhere means that the
    parameter is unused or cut off (``BlockGrad``, a dead branch); an infinite one, a wrong scale.
    """
    cancelled = cancelled_biases(runs.graph)
    computed = runs.trainings.usual.summaries
    gradients = {label.name: summary for label, summary in computed.items() if label.kind == "gradient"}
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
    input_gradient = computed[Label(1, "input gradient")]
    if input_gradient.largest == 0 or not input_gradient.finite:
        problems.append(Problem(f"input gradient: expected finite and not zero, largest {input_gradient.largest}"))
    refuse(problems)


def check_parameters_move(runs: Runs, behaviour: Behaviour) -> None:
    """Every parameter moves in a training step, and running statistics with it; a frozen one (grad_req null) stays.

    One that stays although its gradient is not zero is not given to the trainer, or its lr_mult is 0.
    """
    cancelled, frozen = cancelled_biases(runs.graph), behaviour.frozen
    before, after = runs.initial, runs.trainings.usual.summaries
    moved = {name: after[Label(1, "parameter", name)] != summary for name, summary in before.items()}
    if not moved:
        raise Vacuous("the network has no parameter")
    refuse(
        Problem(f"{name}: {'frozen, but changed by' if changed else 'unchanged after'} a training step", owner(name))
        for name, changed in moved.items()
        if changed == (name in frozen) and name not in cancelled
    )


def check_running_statistics(statistics: Statistics) -> None:
    """Running statistics move by ``momentum * old + (1 - momentum) * batch``, in backward only.

    The batch's mean and biased variance, in NumPy float64, of what enters each BatchNorm. MXNet writes them
    when backward runs in train mode: not in predict mode, not by a recorded forward alone, and twice for two
    backwards. The first BatchNorm named is the first whose statistics are wrong.
    """
    refuse(statistics.problems()[:SHOWN])


def check_dropout(runs: Runs) -> None:
    """Dropout drops the stated fraction and scales the rest in train mode, and does nothing in predict mode.

    The fraction is bounded statistically, the scale exactly. A dropout that is active in predict mode gives
    predictions that change from run to run.
    """
    nodes = [node for node in runs.graph.nodes if node.operator == "Dropout"]
    if not nodes:
        raise NotApplicable("the network has no Dropout")
    positions = sorted({position for node in nodes for position in (node.inputs[0][0], node.position)} - {-1})
    batch = max(2, math.ceil(ENTERING / min(math.prod(node.shape[1:]) for node in nodes)))
    problems: list[Problem] = []
    for train in (True, False):
        shape = runs.network.shape(batch, train=True)
        outputs = {node.position: array for node, array in runs.node_outputs(shape, train=train, only=positions)}
        outputs[-1] = runs.network.images(shape).asnumpy()
        for node in nodes:
            entered, left = outputs[node.inputs[0][0]], outputs[node.position]
            if not train and not np.array_equal(entered, left):
                problems.append(Problem(f"{node}: changes values in predict mode", node.place))
            if train:
                problems += [Problem(line, node.place) for line in _wrong_fraction(node, entered, left)]
    refuse(problems)


def _wrong_fraction(node: Node, entered: Array, left: Array) -> list[str]:
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


def check_batch_independence(behaviour: Behaviour, divergence: Divergence) -> None:
    """A sample's prediction does not depend on the other samples of its batch.

    When it does, something normalizes, pools or indexes across the batch axis in predict mode, such as a
    BatchNorm that uses the batch's statistics.
    """
    runs = behaviour.together_and_alone()
    logits = runs[0][0][""].asnumpy()
    if largest_difference(logits[0], logits[1])[0] == 0:
        raise Vacuous("different samples give the same logits")
    problems: list[str] = []
    for sample, (together, alone) in enumerate(runs):
        bound = BATCH_INDEPENDENCE
        name, expected = f"logits of sample {sample} alone", alone[""].asnumpy()[0]
        lines = list(compare(name, expected, together[""].asnumpy()[sample], bound.bound, bound.provenance))
        problems += [*lines, *(divergence.batches(together, alone, sample) if lines else ())]
    refuse(problems)


def check_classes_and_channels(network: Network, architecture: Architecture) -> None:
    """``classes`` sets the number of logits, and any number of image channels is accepted.

    Shown by shape inference with 7 classes and with 1 and 5 channels: nothing else may change.
    """
    _ = architecture.specification  # a network without one is not built with `classes`
    problems = []
    for classes, channels in ((7, 3), (10, 1), (10, 5)):
        side = network.shape(train=True)[-1]
        graph = network.graph_at((2, channels, side, side), classes=classes)
        shape, weight = graph.nodes[graph.head].shape, next(iter(graph.parameters.values())).shape
        first = weight[1] if len(weight) > 1 else 0
        if shape != (2, classes):
            problems.append(f"classes={classes}: expected logits of shape (2, {classes}), actual {shape}")
        if first != channels:
            problems.append(f"{channels} channels: the first convolution reads {first}")
    refuse(problems)


def check_reproducible(runs: Runs, behaviour: Behaviour, divergence: Divergence) -> None:
    """The same seed gives the same forward pass, bit for bit, dropout included, in both modes.

    A result that changes in a new instance, or in the same one when it is called again, comes from unseeded
    randomness, uninitialized memory or state kept in Python. Gradients and parameters are repeated by
    execution.train_mode.
    """
    again, trained = behaviour.seeded_forward().summaries, runs.trainings.usual.summaries
    note_exact("tensors of a second forward pass", len(again), sum(again[name] != trained[name] for name in again))
    problems = [
        f"{name}: differs between two runs with the same seed"
        for name, summary in again.items()
        if summary != trained[name]
    ]
    first, _, third = runs.predictions.usual.summaries.values()
    if first != third:
        problems.append("logits in predict mode: the third call differs from the first")
    refuse([*divergence.calls(), *problems] if problems else ())


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
