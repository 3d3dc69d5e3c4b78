"""Measure again what the tolerances of ``conformance/contract/tolerances.py`` bound, and report drift.

``python benchmarks/tolerances.py [--seed N] [NETWORK ...]`` prints the measured maximum of every network; exit code 1
where one exceeds half of its bound. ``--table`` prints docs/tolerances.md. Threads are those of ``OMP_NUM_THREADS``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import Subject
from conformance.contract.tolerances import (
    BATCH_INDEPENDENCE,
    CANCELLED_BIAS,
    DERIVATIVE,
    DEVICE_LAYERS,
    FLOAT32_LAYERS,
    FUSED_LOGITS,
    RUNNING_STATISTICS,
    Tolerance,
    every,
)
from conformance.experiments.behaviour import Behaviour, Statistics
from conformance.experiments.devices.operators import operators
from conformance.experiments.network import Network
from conformance.experiments.numerics import Numerics
from conformance.experiments.runs import Runs
from conformance.graphs.cancelled import cancelled_biases
from conformance.graphs.rewriting import layer_names
from conformance.tensors.comparison import Array, largest_difference
from conformance.tensors.label import Label


def relative(expected: Array, actual: Array) -> float:
    """Largest difference relative to the expected tensor's largest magnitude."""
    return largest_difference(expected, actual)[0] / float(np.abs(expected).max())


def fused_logits(runs: Runs) -> float:
    """The fused oneDNN graph's logits against imperative ones."""
    expected = runs.predictions.usual.tensors
    actual = runs.predictions.record("fused", frozenset(expected)).tensors
    return max(relative(expected[name], actual[name]) for name in expected)


def batch_independence(runs: Runs) -> float:
    """A sample's logits alone against in a batch of two."""
    return max(
        relative(alone[""].asnumpy()[0], together[""].asnumpy()[sample])
        for sample, (together, alone) in enumerate(Behaviour(runs).together_and_alone())
    )


def cancelled_bias(runs: Runs) -> float:
    """The gradient of a bias that a BatchNorm cancels, against its layer's weight gradient."""
    found = runs.trainings.usual.summaries
    return max(
        (
            found[Label(1, "gradient", bias)].largest / found[Label(1, "gradient", weight)].largest
            for bias, weight in cancelled_biases(runs.graph).items()
        ),
        default=0.0,
    )


def running_statistics(runs: Runs) -> float:
    """Running statistics after one and two backwards against the rule in float64."""
    norms = [node for node in runs.graph.nodes if node.operator == "BatchNorm"]
    shape = runs.network.shape(2, train=True)
    inputs = {node.position: array.astype(np.float64) for node, array in runs.node_outputs(shape, train=True)}
    worst = 0.0
    for backwards in (1, 2) if norms else ():
        after = Statistics(runs).after(backwards)
        for node in norms:
            entered = inputs[node.inputs[0][0]]
            for name, batch in zip(node.parameters[2:], (entered.mean((0, 2, 3)), entered.var((0, 2, 3))), strict=True):
                value = runs.network.values[name].astype(np.float64)
                for _ in range(backwards):
                    value = 0.9 * value + 0.1 * batch
                worst = max(worst, relative(value, after[name].astype(np.float64)))
    return worst


def float32_layers(runs: Runs) -> float:
    """Every layer's output in float32 against float64."""
    return max(relative(expected, actual) for _, expected, actual in Numerics(runs).layers_in_two_precisions())


def derivative(runs: Runs) -> float:
    """Backward's slope against a finite difference, the better of two batches."""
    found = []
    for slope in Numerics(runs).slopes():
        expected, actual = slope.of(list(slope.parameters), DERIVATIVE.bound)
        found.append(abs(expected - actual) / actual)
    return min(found)


def operators_alone(runs: Runs) -> float:
    """Every operator by itself in float32 against float64, forward and backward: what no device can be held to."""
    worst = 0.0
    for operator in operators(runs, layer_names(runs.graph)):
        wide = replace(operator, values={name: value.astype(np.float64) for name, value in operator.values.items()})
        precise = wide.run(runs.network.ctx)
        for name, value in operator.run(runs.network.ctx).items():
            worst = max(worst, relative(precise[name], value) if precise[name].any() else 0.0)
    return worst


MEASURES: tuple[tuple[Tolerance, Callable[[Runs], float]], ...] = (
    (FUSED_LOGITS, fused_logits),
    (BATCH_INDEPENDENCE, batch_independence),
    (CANCELLED_BIAS, cancelled_bias),
    (RUNNING_STATISTICS, running_statistics),
    (FLOAT32_LAYERS, float32_layers),
    (DERIVATIVE, derivative),
    (DEVICE_LAYERS, operators_alone),
)


def table() -> str:
    """Every tolerance as a Markdown document."""
    rows = [
        f"| `{name}` | {value.bound:g} | {value.seen or ''} | {f'of {value.of}; ' * bool(value.of)}{value.where} |"
        for name, value in every().items()
    ]
    return "\n".join(
        [
            "# Tolerances",
            "",
            "Where MXNet is bit-exact, so are the checks. Every other bound is here, as "
            "`conformance/contract/tolerances.py`",
            "has it: relative to the expected tensor's largest magnitude unless it says otherwise. `nox -s tolerances`",
            "measures those of the 12 networks again.",
            "",
            "| tolerance | bound | extreme seen | measured |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main(argv: list[str]) -> None:
    """Print one line a network, then maxima, what was seen before, and drift.

    Raises:
        SystemExit: With code 1 where a maximum exceeds half of its bound.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(SPECIFICATIONS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.table:
        print(table(), end="")
        return
    print("network", *(measure.__name__ for _, measure in MEASURES))
    maxima = [0.0] * len(MEASURES)
    for name in arguments.networks:
        runs = Runs(Network(Subject(name), number=arguments.seed))
        row = [measure(runs) for _, measure in MEASURES]
        maxima = [max(pair) for pair in zip(maxima, row, strict=True)]
        print(name, *(f"{value:.2e}" for value in row), flush=True)
    print("maximum", *(f"{value:.2e}" for value in maxima))
    print("seen before", *(f"{tolerance.seen:.2e}" for tolerance, _ in MEASURES))
    drifted = [
        f"{measure.__name__}: {value:.2e} of {tolerance.bound:g} allowed, {tolerance.seen:.2e} was the largest seen"
        for value, (tolerance, measure) in zip(maxima, MEASURES, strict=True)
        if value > tolerance.bound / 2
    ]
    if drifted:
        raise SystemExit("drift:\n" + "\n".join(drifted))


if __name__ == "__main__":
    main(sys.argv[1:])
