"""What the time of our training loop is spent on, by MXNet's profiler, and what the cores can do at best."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from time import perf_counter
from typing import Any

from conformance.contract.specification import FORMULAS, SPECIFICATIONS
from contenders import CHANNELS, CLASSES, Task, ours

SIDE = 2048
OTHERS, IDLE = "other operators", "no operator at work"
#: Beginnings of the operators' names.
PARTS = {
    "convolution, forward": ("Convolution",),
    "convolution, backward": ("_backward_Convolution",),
    "dense layer, forward": ("FullyConnected",),
    "dense layer, backward": ("_backward_FullyConnected",),
    "BatchNorm": ("BatchNorm", "_backward_BatchNorm"),
    "activation, pooling, dropout, sums": (
        *("Activation", "_backward_Activation", "Pooling", "_backward_Pooling", "Dropout", "_backward_Dropout"),
        *("add_n", "elemwise_add", "_backward_add", "_grad_add", "relu", "_backward_relu"),
    ),
    "optimizer": ("adam_update",),
}


def profile(task: Task, warm_up: int = 2) -> list[str]:
    """Train with MXNet's profiler on, and return the lines of a Markdown table of parts and their share of the time.

    Args:
        task: How; its steps are those that are measured.
        warm_up: Steps before them.
    """
    # The profiler tells operators apart only where the engine does not run them in bulk.
    os.environ["MXNET_EXEC_BULK_EXEC_TRAIN"] = "0"
    from reference.runtime.mxnet_compat import mx

    mx.profiler.set_config(profile_imperative=True, profile_symbolic=True, aggregate_stats=True)
    start, seconds, done = 0.0, 0.0, 0

    def after_step(_: Any) -> None:
        nonlocal start, seconds, done
        done += 1
        if done == warm_up:
            mx.nd.waitall()
            mx.profiler.set_state("run")
            start = perf_counter()
        elif done == warm_up + task.steps:
            mx.nd.waitall()
            seconds = perf_counter() - start
            mx.profiler.set_state("stop")
            raise EOFError

    try:
        ours(task, after_step)
    except EOFError:
        found = json.loads(mx.profiler.dumps(reset=True, format="json"))
    milliseconds = {name: entry["Total"] for name, entry in found["Time"]["operator"].items()}
    reached = operations(task) * task.steps / seconds / 1e9
    return [
        *table(milliseconds, seconds, task.steps),
        "",
        f"- convolutions and dense layers: {operations(task) / 1e9:.0f} GFLOP a step, {reached:.0f} a second",
        f"- a matrix product of {SIDE}x{SIDE} by {SIDE}x{SIDE}: {matrix_product() / 1e9:.0f} GFLOP a second",
    ]


def table(milliseconds: dict[str, float], seconds: float, steps: int) -> list[str]:
    """Return the lines of a table of the parts' times.

    Args:
        milliseconds: Of every operator, by its name.
        seconds: That passed.
        steps: That were made.
    """
    times: defaultdict[str, float] = defaultdict(float)
    for name, total in milliseconds.items():
        part = next((part for part, beginnings in PARTS.items() if name.startswith(beginnings)), OTHERS)
        times[part] += total / 1000
    times[IDLE] = seconds - sum(times.values())
    rows = (
        f"| {part} | {total / steps:.3f} | {total / seconds:.1%} |"
        for part, total in sorted(times.items(), key=lambda pair: -pair[1])
    )
    return [f"| part | seconds a step | share of {seconds / steps:.3f} s |", "| --- " * 3 + "|", *rows]


def operations(task: Task) -> int:
    """Return the floating-point operations of a step's convolutions and dense layers.

    Forward takes two a multiply-add, backward twice as many again; nobody asks for the gradient of the images.
    """
    specification = SPECIFICATIONS[task.network]
    layers = list(FORMULAS[specification.family](specification, CHANNELS, task.image_size, CLASSES))
    return 2 * task.batch_size * (3 * sum(layer.multiply_adds for layer in layers) - layers[0].multiply_adds)


def matrix_product(repetitions: int = 10) -> float:
    """Return the floating-point operations a second of a large matrix product, the best of some repetitions."""
    from reference.runtime.mxnet_compat import mx

    matrix, times = mx.nd.random.normal(shape=(SIDE, SIDE)), []
    for _ in range(repetitions):
        mx.nd.waitall()
        start = perf_counter()
        mx.nd.dot(matrix, matrix).wait_to_read()
        times.append(perf_counter() - start)
    return 2.0 * SIDE**3 / min(times)
