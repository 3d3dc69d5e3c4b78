"""The same training steps in MXNet and in PyTorch, in float64 and without dropout, each by its own optimizer.

MXNet hands its operators float32 scalars, so every setting here is one that float32 holds, and Adam's step size,
which MXNet computes in float64, is rounded to float32 for PyTorch too.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from conformance.experiments.layers import trainable
from conformance.experiments.runs import Runs
from conformance.graphs.cancelled import cancelled_biases
from conformance.ports.step import batch
from conformance.ports.torch.port import TorchPort, WithoutDropout
from conformance.tensors.comparison import Array
from reference.runtime.mxnet_compat import mx

LEARNING_RATE = 2.0**-23
"""So small that steps hardly amplify rounding; what is compared is the change that they make."""
WEIGHT_DECAY = 2.0**-10
EPSILON = 2.0**-27
MOMENTUM, BETA1, BETA2 = (float(np.float32(value)) for value in (0.9, 0.9, 0.999))
STEPS = 3
MXNET_SETTINGS: dict[str, dict[str, float]] = {
    "sgd": {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "wd": WEIGHT_DECAY},
    "adam": {"learning_rate": LEARNING_RATE, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON},
}


def reference_trained(runs: Runs, optimizer: str) -> dict[str, Array]:
    """The reference's parameters and running statistics after three steps."""
    wide = runs.in_float64
    ready = trainable(wide)
    cancelled = cancelled_biases(runs.graph)
    learning = [p for name, p in ready.parameters.items() if p.grad_req != "null" and name not in cancelled]
    trainer = mx.gluon.Trainer(learning, optimizer, MXNET_SETTINGS[optimizer], kvstore=None)
    for step in range(1, STEPS + 1):
        images, _ = batch(runs.in_float64, step)
        with mx.autograd.record():
            loss = wide.loss(ready.net(mx.nd.array(images, dtype="float64")))
        loss.backward()
        trainer.step(len(images))
    return {name: p.data().asnumpy() for name, p in ready.parameters.items()}


def port_trained(port: TorchPort, runs: Runs, optimizer: str, frozen: set[str]) -> Iterator[tuple[str, Array]]:
    """The same in PyTorch, one by one; ``frozen`` are parameters that do not learn."""
    gc.collect()  # blocks and trainers sit in reference cycles: give the reference's memory back first
    module = copy.deepcopy(port.module).double().train()
    step_of = OPTIMIZERS[optimizer]([tensor for name, tensor in module.named_parameters() if name not in frozen])
    for step in range(1, STEPS + 1):
        images, labels = batch(runs.in_float64, step)
        module.zero_grad()
        with WithoutDropout():
            logits = module(torch.from_numpy(images))
        functional.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
        step_of(step)
    for name, tensor in port.state(module).items():
        yield name, tensor.detach().numpy()


def _sgd(learning: list[Any]) -> Callable[[int], None]:
    optimizer = torch.optim.SGD(learning, LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    return lambda step: optimizer.step()


def _adam(learning: list[Any]) -> Callable[[int], None]:
    """Adam as MXNet has it: its epsilon is added before the bias correction, PyTorch's after it."""
    optimizer = torch.optim.Adam(learning, LEARNING_RATE, (BETA1, BETA2))

    def step_of(step: int) -> None:
        first, second = 1 - BETA1**step, (1 - BETA2**step) ** 0.5
        (group,) = optimizer.param_groups
        group["eps"] = EPSILON / second
        group["lr"] = float(np.float32(LEARNING_RATE * second / first)) * first / second
        optimizer.step()

    return step_of


OPTIMIZERS = {"sgd": _sgd, "adam": _adam}
