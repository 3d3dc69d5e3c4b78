"""Comparisons: what is equal, and the words for what is not."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.tensors.comparison import Array, Summary, compare, largest_difference
from conformance.tensors.label import Label
from conformance.tensors.recording import Recording, read
from reference.runtime.mxnet_compat import mx

NAN = float("nan")


def floats(*values: float) -> Array:
    """Return a float32 array."""
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("expected", "actual", "gap", "index"),
    [
        (floats(1, 2, 3), floats(1, 2, 3), 0, (0,)),
        (floats(1, 2, 3), floats(1, 4, 2), 2, (1,)),
        (floats(1, 2), floats(1, NAN), np.inf, (1,)),
        (floats(NAN, 2), floats(1, 2), np.inf, (0,)),
        (floats(NAN, 2), floats(NAN, 5), 3, (1,)),
        (floats(np.inf, 0), floats(-np.inf, 0), np.inf, (0,)),
        (floats(), floats(), 0, ()),
        (floats(1, 2, 3, 4).reshape(2, 2), floats(1, 2, 5, 4).reshape(2, 2), 2, (1, 0)),
    ],
)
def test_largest_difference_has_its_index(expected: Array, actual: Array, gap: float, index: tuple[int, ...]) -> None:
    """The largest difference and where it is; NaN against a number is infinitely far."""
    assert (gap, index) == largest_difference(expected, actual)


def test_compare_names_everything() -> None:
    """A difference is told with expected, actual, index, size and tolerance."""
    line = "logits: expected 2, actual 4 at (1,); largest difference 2, allowed 0 (bit for bit)"
    assert [line] == list(compare("logits", floats(1, 2), floats(1, 4)))
    line = "logits: expected 2, actual 4 at (1,); largest difference 2, allowed 0.02 (measured)"
    assert [line] == list(compare("logits", floats(1, 2), floats(1, 4), 0.01, "measured"))


def test_compare_tells_shapes_apart() -> None:
    """Another shape is told before any number."""
    assert ["w: expected shape (2,), actual (1,)"] == list(compare("w", floats(1, 2), floats(1)))


@pytest.mark.parametrize(
    ("expected", "actual", "bound", "equal"),
    [
        (floats(1, 100), floats(1.9, 100), 0.01, True),
        (floats(1, 100), floats(2.1, 100), 0.01, False),
        (floats(NAN), floats(NAN), 0, True),
        (floats(NAN), floats(1), 0.5, False),
        (floats(1), floats(NAN), 0.5, False),
        (floats(0.0), floats(-0.0), 0, False),
        (floats(0.0), floats(-0.0), 0.1, True),
        (floats(1), np.array([1.0]), 0, False),
        (np.array([1, 2], np.int32), np.array([1, 2], np.int32), 0, True),
    ],
)
def test_compare_is_bit_for_bit_unless_bounded(expected: Array, actual: Array, bound: float, equal: bool) -> None:
    """Without a bound the bits decide; a bound is relative to the largest expected magnitude."""
    assert equal == (not list(compare("x", expected, actual, bound)))


def test_compare_takes_scalars() -> None:
    """A tensor without axes is compared too."""
    one, two = np.array(1, np.float32), np.array(2, np.float32)
    assert [] == list(compare("loss", one, one.copy()))
    assert 1 == len(list(compare("loss", one, two)))


def test_summary_tells_bits_and_finiteness() -> None:
    """A summary changes with one bit, and knows NaN, infinity and the largest magnitude."""
    assert Summary.of(floats(1, -3)) == Summary.of(floats(1, -3))
    assert Summary.of(floats(0.0)) != Summary.of(floats(-0.0))
    assert (3, True) == (Summary.of(floats(1, -3)).largest, Summary.of(floats(1, -3)).finite)
    assert not Summary.of(floats(1, NAN)).finite
    assert not Summary.of(floats(1, np.inf)).finite
    assert 0 == Summary.of(floats()).largest


def test_recording_names_what_differs_in_order() -> None:
    """Tensors that differ from the expected recording, or that only one has, are named in order."""
    a, b, c, d = (Label(1, "parameter", name) for name in "abcd")
    expected = Recording()
    for label, value in ((a, 1), (b, 2), (c, 3)):
        expected.note(label, floats(value))
    actual = Recording(expected, keep=frozenset({b}))
    for label, value in ((a, 1), (b, 5), (d, 4)):
        actual.note(label, mx.nd.array([value]))
    assert [b, c, d] == actual.different()
    assert {b: [5]} == {label: tensor.tolist() for label, tensor in actual.tensors.items()}
    assert [] == expected.different()


@pytest.mark.parametrize("shape", [(2, 3), (), (0, 2)])
def test_read_gives_mxnets_values(shape: tuple[int, ...]) -> None:
    """An MXNet array is read as it is, whatever its shape."""
    array = mx.nd.array(np.arange(np.prod(shape), dtype=np.float32).reshape(shape)) if shape else mx.nd.array([1]).sum()
    assert np.array_equal(array.asnumpy(), read(array))


def test_read_gives_values_in_onednns_own_layout() -> None:
    """A convolution's output is read right, whatever layout oneDNN keeps it in."""
    output = mx.nd.Convolution(mx.nd.ones((1, 16, 8, 8)), mx.nd.ones((16, 16, 1, 1)), no_bias=True, kernel=(1, 1),
                               num_filter=16)  # fmt: skip
    assert np.array_equal(np.full((1, 16, 8, 8), 16, np.float32), read(output))


def test_label_says_step_and_parameter() -> None:
    """A label is put into words in one place: the step, what it is of it, and the parameter."""
    labels = {
        Label(1, "logits"): "step 1: logits",
        Label(1, "gradient", "conv.weight"): "step 1: gradient of conv.weight",
        Label(3, "parameter", "conv.weight"): "step 3: conv.weight",
        Label(2, "run", "(2, 3, 8, 8)"): "logits of run 2 (2, 3, 8, 8)",
    }
    assert list(labels.values()) == [str(label) for label in labels]
    assert [True, False, False, True] == [label.of_logits for label in labels]
