"""Measure what each family learns in its course over many seeds, to set the bounds of the convergence checks.

Run ``python benchmarks/convergence.py [SEEDS] [NETWORK ...]``; prints one line a run, then the extremes.
"""

from __future__ import annotations

import sys
from functools import partial

from conformance.experiments.training.courses import COURSES, learn
from reference import get_model
from reference.runtime.mxnet_compat import mx


def main(seeds: int, names: list[str]) -> None:
    """Teach every network with true and with shuffled labels, once a seed."""
    for name in names:
        found = {}
        for shuffled in (False, True):
            lessons = [
                learn(partial(get_model, name), COURSES[name], shuffled=shuffled, seed=seed, ctx=mx.cpu())
                for seed in range(seeds)
            ]
            for seed, lesson in enumerate(lessons):
                print(name, seed, "shuffled" if shuffled else "true", lesson, flush=True)
            found[shuffled] = lessons
        print(
            f"{name}: lowest train accuracy {min(lesson.train_accuracy for lesson in found[False])}, "
            f"highest held-out accuracy of the control {max(lesson.held_out_accuracy for lesson in found[True])}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2:] or list(COURSES))
