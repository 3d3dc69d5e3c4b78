"""Flaws of execution: outputs, gradients and statistics that are wrong in some modes, calls or batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from flaws import Patch, after, attribute, both, layer
from reference.runtime.mxnet_compat import mx

Change = Callable[[Any, Any], Any]


class _WrongGradient(mx.operator.CustomOp):
    """Passes values on, and gradients times a factor."""

    def __init__(self, factor: float) -> None:
        """Keep the factor."""
        super().__init__()
        self.factor = factor

    def forward(self, is_train: bool, req: Any, in_data: Any, out_data: Any, aux: Any) -> None:
        """Copy."""
        self.assign(out_data[0], req[0], in_data[0])

    def backward(self, req: Any, out_grad: Any, in_data: Any, out_data: Any, in_grad: Any, aux: Any) -> None:
        """Scale."""
        self.assign(in_grad[0], req[0], out_grad[0] * self.factor)


@mx.operator.register("wrong_gradient")
class _WrongGradientProp(mx.operator.CustomOpProp):
    """Tells MXNet of the operator."""

    def __init__(self, factor: str) -> None:
        """Keep the factor."""
        super().__init__(need_top_grad=True)
        self.factor = float(factor)

    def create_operator(self, ctx: Any, shapes: Any, dtypes: Any) -> Any:
        """Return the operator."""
        return _WrongGradient(self.factor)


class ScaledBackward(mx.autograd.Function):
    """Passes values on, and gradients twice as large; imperatively only."""

    def forward(self, x: Any) -> Any:
        """Copy."""
        return x * 1

    def backward(self, gradient: Any) -> Any:
        """Scale."""
        return gradient * 2


def imperative(change: Callable[[Any], Any]) -> Change:
    """Change an output in Python code that sees arrays only."""
    return lambda F, y: change(y) if F is mx.nd else y


def traced(change: Change) -> Change:
    """Change an output in the traced graph only."""
    return lambda F, y: change(F, y) if F is mx.sym else y


def custom(factor: float) -> Change:
    """Scale a gradient by an operator of one's own, in every mode."""
    return lambda F, y: F.Custom(y, op_type="wrong_gradient", factor=factor)


def frozen(path: str) -> Patch:
    """Act on a flag that Python changes at the first call: a traced graph keeps what it was."""

    def patch(net: Any) -> None:
        calls = itertools.count()
        after(path, lambda F, y: y * 1.01 if next(calls) else y)(net)

    return patch


def from_call(path: str, number: int) -> Patch:
    """Change the output from one call on, imperatively."""

    def patch(net: Any) -> None:
        calls = itertools.count(1)
        after(path, imperative(lambda y: y * 1.01 if next(calls) >= number else y))(net)

    return patch


def through_half(F: Any, y: Any) -> Any:
    """Pass values through half precision."""
    return F.cast(F.cast(y, dtype="float16"), dtype="float32")


def by_place_in_batch(F: Any, y: Any) -> Any:
    """Scale each sample by its place in the batch."""
    places = F.contrib.arange_like(y, axis=0)
    return F.broadcast_mul(y, F.reshape(places * 0.01 + 1, shape=(-1, 1, 1, 1)))


def batch_mean(F: Any, y: Any) -> Any:
    """Take a part of the batch's mean away."""
    return F.broadcast_sub(y, 0.1 * F.mean(y, axis=0, keepdims=True))


def unseeded(y: Any) -> Any:
    """Multiply by noise that no seed of MXNet's repeats."""
    return y * float(np.random.default_rng().uniform(1, 1.001))


def noise(F: Any, y: Any) -> Any:
    """Add noise, in predict mode too."""
    return y + 0.001 * F.Dropout(F.ones_like(y), p=0.5, mode="always")


def stop(F: Any, y: Any) -> Any:
    """Let no gradient through."""
    return F.BlockGrad(y)


def times(factor: float) -> Change:
    """Scale a gradient, not the value, with MXNet's own operators."""
    return lambda F, y: y * factor + F.BlockGrad(y * (1 - factor))


def norm_twice(path: str) -> Patch:
    """Call a BatchNorm twice, which moves its statistics twice."""

    def patch(net: Any) -> None:
        block = layer(net, path)
        inner = block.hybrid_forward
        block.hybrid_forward = lambda F, x, **params: inner(F, inner(F, x, **params), **params)

    return patch


def moved(path: str, parameter: str, when: Callable[[], bool], change: Callable[[Any], Any]) -> Patch:
    """Move a layer's parameter in Python, where no rule moves it."""

    def patch(net: Any) -> None:
        block = layer(net, path)
        inner, value = block.forward, getattr(block, parameter)

        def forward(x: Any) -> Any:
            if isinstance(x, mx.nd.NDArray) and when():
                with mx.autograd.pause():
                    value.set_data(change(value.data()))
            return inner(x)

        block.forward = forward

    return patch


def statistics_moved(path: str, when: Callable[[], bool]) -> Patch:
    """Move a running mean."""
    return moved(path, "running_mean", when, lambda mean: mean + 1)


def frozen_moved(path: str) -> Patch:
    """Freeze a layer's weight, and shrink it all the same whenever it is used in training."""
    shrunk = moved(path, "weight", mx.autograd.is_training, lambda weight: weight * 0.99)
    return both(attribute(f"{path}.weight", "grad_req", "null"), shrunk)


def statistics_kept(path: str) -> Patch:
    """Normalize with the batch's statistics and never record them: momentum 1."""
    return lambda net: layer(net, path)._kwargs.update(momentum=1.0)


def clearing(net: Any) -> None:
    """Clear all gradients at every forward, which loses what was to be added up."""
    inner = net.forward

    def forward(x: Any) -> Any:
        if mx.autograd.is_recording():
            with mx.autograd.pause():
                net.collect_params().zero_grad()
        return inner(x)

    net.forward = forward


def initialized(initializer: Any) -> Patch:
    """Ignore the initializer that the user gives."""

    def patch(net: Any) -> None:
        initialize = net.initialize
        net.initialize = lambda *_, **settings: initialize(initializer, **settings)

    return patch
