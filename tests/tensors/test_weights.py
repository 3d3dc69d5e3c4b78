"""The deterministic fill: the same values everywhere, and no signal that dies or explodes."""

from __future__ import annotations

import numpy as np
import pytest

from benches import runs_of
from conformance import Subject
from conformance.tensors.fill import CHUNK, RANGES, fill, uniform


def test_uniform_gives_pinned_values() -> None:
    """The values are these on every machine."""
    expected = [0.8377555012702942, 0.7206099629402161, 0.9227715730667114, 0.46179676055908203]
    assert expected == uniform((4,), 0, 1, 7).tolist()


def test_uniform_is_even_within_its_bounds() -> None:
    """Values fill their range evenly, beyond one chunk too, and neighbouring seeds are unrelated."""
    values = uniform((2 * CHUNK + 5,), -1, 3, 20)
    assert -1 <= values.min() < -0.999
    assert 2.999 < values.max() < 3
    assert abs(values.mean() - 1) < 0.02
    assert abs(values.var() - 16 / 12) < 0.02
    assert abs(np.corrcoef(values, uniform(values.shape, -1, 3, 21))[0, 1]) < 0.02
    assert np.array_equal(values, uniform(values.shape, -1, 3, 20))


def test_uniform_of_nothing_is_empty() -> None:
    """An empty shape has no values."""
    assert (0, 3) == uniform((0, 3), 0, 1, 1).shape


def test_fill_gives_weights_the_variance_of_he() -> None:
    """A weight's variance is 2 / fan-in."""
    weight = fill("weight", (64, 32, 3, 3), 1)
    assert abs(weight.var() * 288 / 2 - 1) < 0.03


@pytest.mark.parametrize("slot", RANGES)
def test_fill_stays_in_the_slots_range(slot: str) -> None:
    """Other parameters stay in the range of their slot."""
    low, high = RANGES[slot]
    values = fill(slot, (1000,), 3)
    assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("slot", ["input2", "unused"])
def test_fill_knows_any_parameter(slot: str) -> None:
    """A parameter no slot is known for is filled as a weight or as a bias."""
    assert abs(fill(slot, (50, 50), 1)).max() > 0.3
    assert abs(fill(slot, (50,), 1)).max() <= 0.1


@pytest.mark.parametrize("name", ["vgg19", "resnet152", "densenet201"])
def test_fill_keeps_the_signals_scale(name: str) -> None:
    """In the deepest network of each family every operator's output stays between sane bounds."""
    runs = runs_of(Subject(name))
    side = 64 if name != "vgg19" else 224
    largest = {str(node): float(np.abs(array).max()) for node, array in runs.node_outputs((1, 3, side, side))}
    assert 0.05 < min(largest.values()), min(largest.items(), key=lambda pair: pair[1])
    assert 500 > max(largest.values()), max(largest.items(), key=lambda pair: pair[1])
