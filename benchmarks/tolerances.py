"""Measure what the tolerances of ``conformance/tolerances.py`` bound, on each network, and print the maxima.

Run ``python benchmarks/tolerances.py [NETWORK ...]`` with one and with two threads (``OMP_NUM_THREADS``).
"""

from __future__ import annotations

import sys

import numpy as np

from conformance.comparison import Array, largest_difference
from conformance.rounding import cancelled_biases
from conformance.specification import SPECIFICATIONS
from conformance.subject import Subject
from conformance.workbench import Workbench


def relative(expected: Array, actual: Array) -> float:
    """Largest difference relative to the expected tensor's largest magnitude."""
    return largest_difference(expected, actual)[0] / float(np.abs(expected).max())


def fused_logits(bench: Workbench) -> float:
    """The fused oneDNN graph's logits against imperative ones."""
    expected = bench.predicted.tensors
    actual = bench.predict("fused", frozenset(expected)).tensors
    return max(relative(expected[name], actual[name]) for name in expected)


def batch_independence(bench: Workbench) -> float:
    """A sample's logits alone against in a batch of two."""
    together, alone = bench.together_and_alone()
    return max(relative(logits, together[sample]) for sample, logits in enumerate(alone))


def cancelled_bias(bench: Workbench) -> float:
    """The gradient of a bias that a BatchNorm cancels, against its layer's weight gradient."""
    found = bench.trained.summaries
    return max(
        (
            found[f"step 1: gradient of {bias}"].largest / found[f"step 1: gradient of {weight}"].largest
            for bias, weight in cancelled_biases(bench.graph).items()
        ),
        default=0.0,
    )


def running_statistics(bench: Workbench) -> float:
    """Running statistics after one and two backwards against the rule in float64."""
    norms = [node for node in bench.graph.nodes if node.operator == "BatchNorm"]
    shape = bench.shape(2, train=True)
    inputs = {node.position: array.astype(np.float64) for node, array in bench.node_outputs(shape, train=True)}
    worst = 0.0
    for backwards in (1, 2) if norms else ():
        after = bench.statistics_after(backwards)
        for node in norms:
            entered = inputs[node.inputs[0][0]]
            for name, batch in zip(node.parameters[2:], (entered.mean((0, 2, 3)), entered.var((0, 2, 3))), strict=True):
                value = bench.values[name].astype(np.float64)
                for _ in range(backwards):
                    value = 0.9 * value + 0.1 * batch
                worst = max(worst, relative(value, after[name].astype(np.float64)))
    return worst


MEASURES = (fused_logits, batch_independence, cancelled_bias, running_statistics)


def main(names: list[str]) -> None:
    """Print one line a network, then the maxima."""
    print("network", *(measure.__name__ for measure in MEASURES))
    rows = []
    for name in names:
        bench = Workbench(Subject(name))
        rows.append([measure(bench) for measure in MEASURES])
        print(name, *(f"{value:.2e}" for value in rows[-1]), flush=True)
    print("maximum", *(f"{max(column):.2e}" for column in zip(*rows, strict=True)))


if __name__ == "__main__":
    main(sys.argv[1:] or list(SPECIFICATIONS))
