"""A second CPU context as the device, with faults that only it has: what the checks of devices must catch.

Operators written in Python are told for which device they are made, so a network can compute otherwise on one alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import small_networks
from conformance import Subject
from conformance.checks import device
from conformance.contract.tolerances import Tolerance
from conformance.experiments.devices import two_devices as device_runs
from conformance.experiments.devices.two_devices import Training
from flaws import Patch, Small, after, knows_the_answers, patched
from reference.runtime.mxnet_compat import mx

DEVICE = "cpu:1"
KEPT: list[Any] = []


class _Faulty(mx.operator.CustomOp):
    """Passes values and gradients on, scaled by a factor each."""

    def __init__(self, output: float, gradient: float) -> None:
        """Keep the factors."""
        super().__init__()
        self.factors = output, gradient

    def forward(self, is_train: Any, req: Any, in_data: Any, out_data: Any, aux: Any) -> None:
        """Scale the output."""
        self.assign(out_data[0], req[0], in_data[0] * self.factors[0])

    def backward(self, req: Any, out_grad: Any, in_data: Any, out_data: Any, in_grad: Any, aux: Any) -> None:
        """Scale the gradient."""
        self.assign(in_grad[0], req[0], out_grad[0] * self.factors[1])


@mx.operator.register("faulty_on_a_device")
class _FaultyProperty(mx.operator.CustomOpProp):
    """How MXNet makes the operator."""

    def __init__(self, output: str, gradient: str) -> None:
        """Read the factors."""
        super().__init__(need_top_grad=True)
        self.factors = float(output), float(gradient)

    def create_operator(self, ctx: Any, shapes: Any, dtypes: Any) -> Any:
        """Return the operator."""
        return _Faulty(*self.factors if str(ctx) == "cpu(1)" else (1.0, 1.0))


def faulty(output: float, gradient: float, path: str = "conv") -> Patch:
    """Scale a layer's output or its gradient on the second device."""
    return after(path, lambda F, y: F.Custom(y, op_type="faulty_on_a_device", output=output, gradient=gradient))


def nothing(net: Any) -> None:
    """Change nothing."""


def keeping(net: Any) -> None:
    """Keep every network of the second device for good."""
    KEPT.append(net)


def unlearning(net: Any) -> None:
    """Give the same logits for every image."""
    after("", lambda F, y: y * 0)(net)


class BrokenDevice(NamedTuple):
    """A fault of a device: the check that must fail, in which variants, on which network, and what it says."""

    check: str
    variants: tuple[str, ...]
    subject: Callable[[Patch], Subject]
    patch: Patch
    says: str


def own(patch: Patch) -> Subject:
    """Return a small block of one's own."""
    return Subject("small", build=lambda: patched(Small(), patch), input_shape=(3, 32, 32))


def claim(patch: Patch) -> Subject:
    """Return a small ResNet that can be trained."""
    return small_networks.claim("resnet", small_networks.patched_build("resnet", patch))


LAYERS = ("repeatable", "tf32", "autotuned", "any_order")
BROKEN_DEVICES = (
    BrokenDevice("device.layers", LAYERS, own, faulty(1.01, 1), "Custom in conv: output in predict mode: expected"),
    BrokenDevice("device.layers", LAYERS, own, faulty(1, 1.01), "Custom in conv: gradient of input 0: expected"),
    BrokenDevice("device.whole", ("imperative",), own, faulty(1.00001, 1), "Custom in conv"),
    BrokenDevice("device.whole", ("static_alloc", "fused"), own, faulty(1, 1.00001), "gradient"),
    BrokenDevice("device.half", ("cast",), own, faulty(1.1, 1), "logits in float16: expected"),
    BrokenDevice("device.half", ("amp",), own, faulty(1.5, 1, "output"), "first loss with AMP: expected"),
    BrokenDevice("device.half", ("amp",), own, faulty(1, float("inf")), "parameters after 3 steps with AMP"),
    BrokenDevice("device.memory", ("",), own, keeping, "memory kept: expected at most 0.02 of"),
    BrokenDevice("device.learns", ("",), claim, unlearning, "held-out accuracy: expected at least"),
    BrokenDevice("device.negative_control", ("",), claim, knows_the_answers, "held-out accuracy: expected at most"),
)


def used_memory(ctx: Any) -> int:
    """Bytes of all arrays on a context that Python knows of."""
    mx.nd.waitall()
    gc.collect()
    arrays = [each for each in gc.get_objects() if isinstance(each, mx.nd.NDArray) and each.context == ctx]
    return sum(int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize for array in arrays)


class StandIn:
    """Stands for AMP, which needs a GPU: a loss scale and no cast."""

    def __init__(self) -> None:
        """Begin with a scale that is small enough."""
        self.scale = 8.0

    def init(self, target_dtype: str) -> None:
        """Change nothing."""

    def init_trainer(self, trainer: Any) -> None:
        """Let the trainer leave out steps whose gradients are not finite, as AMP's does."""
        update = trainer._update

        def unless_overflow(ignore_stale_grad: bool = False) -> None:
            gradients = [p.grad() for p in trainer._params if p.grad_req != "null"]
            if all(np.isfinite(gradient.asnumpy()).all() for gradient in gradients):
                update(ignore_stale_grad)

        trainer._update = unless_overflow

    def scale_loss(self, loss: Any, trainer: Any) -> StandIn:
        """Scale the loss."""
        self.loss = loss
        trainer._scale = 1 / self.scale
        return self

    def __enter__(self) -> Any:
        """Give the scaled loss."""
        return self.loss * self.scale

    def __exit__(self, *_: Any) -> None:
        """End."""


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put in the place of what only a GPU has what a CPU context can do, and train briefly on small images."""
    KEPT.clear()
    monkeypatch.setattr(device_runs, "HALF", "float64")
    monkeypatch.setattr(device_runs, "AMP", StandIn())
    monkeypatch.setattr(device_runs, "AMP_STEPS", 3)
    monkeypatch.setattr(device_runs, "used_memory", used_memory)
    monkeypatch.setattr(device_runs, "FULL_SIZE", Training(steps=60, size=32, rate=3e-3, held_out=100))
    monkeypatch.setattr(device, "FULL_SIZE_CONTROL", Tolerance(0.35, 0, "100 images"))
