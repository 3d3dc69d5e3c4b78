"""MXNet's operators compute their formulae: every operator of the networks, forward and backward, on small tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import formulae
from conformance.contract.tolerances import FORMULA, FORMULA_FLOAT32, NUMERIC_GRADIENT
from conformance.tensors.comparison import Array, compare
from conformance.tensors.fill import uniform
from reference.runtime.mxnet_compat import mx

Shape = tuple[int, ...]
STEP = 1e-5
LABELS = np.array([2, 0, 3])


class Operator(NamedTuple):
    """A formula, MXNet's operator, the shapes of what both take, the mode, and the smallest value."""

    formula: Callable[..., Array]
    mxnet: Callable[..., Any]
    shapes: tuple[Shape, ...]
    train: bool = True
    smallest: float = -2.0


def _convolution(channels: int, kernel: int, stride: int, pad: int, side: int) -> Operator:
    """A convolution as one of the networks has it, with few channels."""
    operator = partial(mx.nd.Convolution, num_filter=3, kernel=(kernel,) * 2, stride=(stride,) * 2, pad=(pad,) * 2)
    shapes = ((2, channels, side, side), (3, channels, kernel, kernel), (3,))
    return Operator(partial(formulae.convolution, stride=stride, pad=pad), operator, shapes)


def _pooling(formula: Callable[..., Array], kind: str, kernel: int, stride: int, pad: int = 0, **more: Any) -> Operator:
    operator = partial(
        mx.nd.Pooling, pool_type=kind, kernel=(kernel,) * 2, stride=(stride,) * 2, pad=(pad,) * 2, **more
    )
    return Operator(partial(formula, kernel=kernel, stride=stride, pad=pad, **more), operator, ((2, 2, 7, 6),))


def _cross_entropy(logits: Any) -> Any:
    return mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(LABELS, dtype=logits.dtype))


def _norm_training(images: Any, gamma: Any, beta: Any) -> Any:
    zeros, ones = (make(gamma.shape, dtype=gamma.dtype) for make in (mx.nd.zeros, mx.nd.ones))
    return mx.nd.BatchNorm(images, gamma, beta, zeros, ones, eps=1e-5, fix_gamma=False)


def _norm_predicting(images: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
    return mx.nd.BatchNorm(images, gamma, beta, mean, variance, eps=1e-5, fix_gamma=False)


average, largest = formulae.average_pooling, formulae.max_pooling
NORMED = ((3, 2, 4, 3), (2,), (2,))
OPERATORS = {
    "convolution 11 /4 pad 2": _convolution(2, 11, 4, 2, 15),
    "convolution 7 /2 pad 3": _convolution(2, 7, 2, 3, 9),
    "convolution 5 pad 2": _convolution(2, 5, 1, 2, 6),
    "convolution 3 pad 1": _convolution(2, 3, 1, 1, 5),
    "convolution 1": _convolution(4, 1, 1, 0, 4),
    "convolution 1 /2": _convolution(4, 1, 2, 0, 5),
    "max pooling 3 /2": _pooling(largest, "max", 3, 2),
    "max pooling 3 /2 pad 1": _pooling(largest, "max", 3, 2, 1),
    "max pooling 2 /2": _pooling(largest, "max", 2, 2),
    "average pooling 2 /2": _pooling(average, "avg", 2, 2),
    "average pooling 3 /2 pad 1": _pooling(average, "avg", 3, 2, 1, count_include_pad=True),
    "average pooling 3 /2 pad 1, padding not counted": _pooling(average, "avg", 3, 2, 1, count_include_pad=False),
    "global average pooling": Operator(
        formulae.global_pooling,
        partial(mx.nd.Pooling, pool_type="avg", global_pool=True, kernel=(1, 1)),
        ((2, 3, 4, 5),),
    ),
    "BatchNorm in train mode": Operator(formulae.batch_norm_training, _norm_training, NORMED),
    "BatchNorm in predict mode": Operator(
        formulae.batch_norm_predicting, _norm_predicting, (*NORMED, (2,), (2,)), train=False, smallest=0.5
    ),
    "dense": Operator(formulae.dense, partial(mx.nd.FullyConnected, num_hidden=5), ((3, 2, 2, 3), (5, 12), (5,))),
    "concat": Operator(formulae.concat, partial(mx.nd.concat, dim=1), ((2, 3, 2, 2), (2, 1, 2, 2), (2, 2, 2, 2))),
    "add": Operator(np.add, lambda left, right: left + right, ((2, 3, 2, 2),) * 2),
    "relu": Operator(formulae.relu, partial(mx.nd.Activation, act_type="relu"), ((2, 3, 4, 4),)),
    "softmax cross-entropy": Operator(partial(formulae.cross_entropy, labels=LABELS), _cross_entropy, ((3, 5),)),
}
#: Inputs that have a gradient in MXNet, where not all have: running statistics have none.
WITH_GRADIENT = {"BatchNorm in predict mode": 3}


def _given(operator: Operator) -> list[Array]:
    return [
        uniform(shape, operator.smallest, 2, 50 + place).astype(np.float64)
        for place, shape in enumerate(operator.shapes)
    ]


def _run(
    operator: Operator, arrays: list[Array], dtype: str, above: Array | None = None, gradients: int | None = None
) -> tuple[Array, list[Array]]:
    """Run MXNet's operator; returns its value and the gradients of the first arrays, of all by default."""
    given = [mx.nd.array(array, dtype=dtype) for array in arrays]
    learning = given if above is None else given[: gradients or len(given)]
    for array in learning:
        array.attach_grad()
    with mx.autograd.record(train_mode=operator.train):
        output = operator.mxnet(*given)
    if above is not None:
        output.backward(mx.nd.array(above, dtype=dtype), train_mode=operator.train)
    return output.asnumpy(), [array.grad.asnumpy() for array in learning]


@pytest.mark.parametrize(("dtype", "bound"), [("float64", FORMULA), ("float32", FORMULA_FLOAT32)])
@pytest.mark.parametrize("name", OPERATORS)
def test_operator_computes_its_formula(name: str, dtype: str, bound: Any) -> None:
    """Forward is the formula, in float64 and, by the kernels that the networks run on, in float32."""
    operator = OPERATORS[name]
    arrays = _given(operator)
    expected = operator.formula(*arrays)
    actual, _ = _run(operator, arrays, dtype)

    assert [] == list(compare(name, expected, actual.astype(np.float64), bound.bound, bound.provenance))
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_passes_its_derivative_back(name: str) -> None:
    """Backward is the formula's numeric derivative, with respect to every value that goes in, in float64."""
    operator = OPERATORS[name]
    arrays = _given(operator)
    above = uniform(operator.formula(*arrays).shape, -1, 1, 99).astype(np.float64)
    count = WITH_GRADIENT.get(name, len(arrays))
    function = operator.formula if count == len(arrays) else lambda *given: operator.formula(*given, *arrays[count:])
    expected = formulae.numeric_gradient(function, arrays[:count], above, STEP)
    _, actual = _run(operator, arrays, "float64", above, count)
    bound = NUMERIC_GRADIENT

    for place, (right, found) in enumerate(zip(expected, actual, strict=True)):
        assert [] == list(compare(f"input {place}", right, found, bound.bound, bound.provenance))
        assert np.abs(right).max() > 0.01


def test_running_statistics_follow_their_formula() -> None:
    """One backward moves the running mean and variance by the formula, the variance being the batch's own."""
    images, gamma, beta, mean, variance = (
        uniform(shape, 0.5, 2, 60 + place).astype(np.float64) for place, shape in enumerate((*NORMED, (2,), (2,)))
    )
    expected = formulae.running_statistics(images, mean, variance, float(np.float32(0.9)))
    given = [mx.nd.array(array, dtype="float64") for array in (images, gamma, beta, mean, variance)]
    given[0].attach_grad()
    with mx.autograd.record():
        output = mx.nd.BatchNorm(*given, eps=1e-5, momentum=0.9, fix_gamma=False)
    output.backward()

    for right, found in zip(expected, given[3:], strict=True):
        assert [] == list(compare("statistic", right, found.asnumpy(), FORMULA.bound, FORMULA.provenance))


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_dropout_scales_what_it_keeps(rate: float) -> None:
    """What is kept is divided by 1 - rate, forward and backward, and about that share is kept."""
    features, above = (uniform((40, 50), 0.5, 2, seed).astype(np.float64) for seed in (70, 71))
    mx.random.seed(1)
    output, (gradient,) = _run(Operator(np.abs, partial(mx.nd.Dropout, p=rate), ()), [features], "float64", above)
    kept = (output != 0).astype(np.float64)

    for expected, actual in (
        (formulae.dropout(features, kept, rate), output),
        (formulae.dropout(above, kept, rate), gradient),
    ):
        assert [] == list(compare("dropout", expected, actual, FORMULA_FLOAT32.bound, FORMULA_FLOAT32.provenance))
    assert abs(kept.mean() - (1 - rate)) < 6 * (rate * (1 - rate) / kept.size) ** 0.5


def test_numeric_gradient_is_that_of_a_cube() -> None:
    """The derivative of sum(a x ** 3) is 3 a x ** 2."""
    values, above = np.array([[1.0, -2.0]]), np.array([[0.5, 3.0]])
    (found,) = formulae.numeric_gradient(lambda given: given**3, [values], above, STEP)

    np.testing.assert_allclose(found, 3 * above * values**2, rtol=1e-8)
