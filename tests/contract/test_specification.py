"""The specification: closed formulas, published facts and the reference networks say the same."""

from __future__ import annotations

import pytest

from conformance.contract.specification import REPRESENTATIVES, SPECIFICATIONS, Count, count, output_size
from reference import get_model, list_models


def test_specifications_are_the_reference_networks() -> None:
    """The specified networks are the reference networks, in their order."""
    assert list(SPECIFICATIONS) == list_models()
    assert set(REPRESENTATIVES) < set(SPECIFICATIONS)
    assert 4 == len({SPECIFICATIONS[name].family for name in REPRESENTATIVES})


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_formula_gives_the_specified_counts(name: str) -> None:
    """The closed formula gives the specified and the published counts."""
    spec = SPECIFICATIONS[name]
    assert Count(spec.total, spec.trainable, spec.arrays, spec.multiply_adds) == count(spec)
    biased = spec.family in ("alexnet", "vgg")
    assert spec.published == count(spec, conv_bias=biased).trainable


@pytest.mark.parametrize(
    ("name", "arguments", "difference"),
    [
        ("resnet50", {"classes": 10}, 990 * 2049),
        ("vgg11", {"channels": 1}, 2 * 64 * 9),
        ("alexnet", {"classes": 10}, 990 * 4097),
        ("densenet121", {"channels": 1}, 2 * 64 * 49),
    ],
)
def test_formula_follows_classes_and_channels(name: str, arguments: dict[str, int], difference: int) -> None:
    """Fewer classes or channels take away the parameters of the last or first layer."""
    spec = SPECIFICATIONS[name]
    assert count(spec).total - difference == count(spec, **arguments).total  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_smallest_size_is_the_networks_own(name: str) -> None:
    """The specified smallest image is the one the network states, and training uses no smaller one."""
    spec = SPECIFICATIONS[name]
    assert spec.smallest == get_model(name).smallest_input
    assert spec.smallest <= min(spec.train_size, spec.other_size)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "expected"), [(224, 11, 4, 2, 55), (55, 3, 2, 0, 27), (7, 7, 1, 0, 1)]
)
def test_output_size_is_that_of_a_window(size: int, kernel: int, stride: int, pad: int, expected: int) -> None:
    """A window's outputs are ``floor((n - k + 2p) / s) + 1``."""
    assert expected == output_size(size, kernel, stride, pad)
