"""What checks measure reaches whoever opened a notebook, and is thinned out there and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance.contract.measurement import SHOWN, Measurement, Notebook, measuring, note, note_curve, note_exact
from conformance.tensors.comparison import compare


@pytest.mark.parametrize(
    ("value", "allowed", "least", "share"),
    [
        (1.0, 4.0, False, 0.25),
        (0.0, 0.0, False, 0.0),
        (1e-9, 0.0, False, math.inf),
        (5.0, None, False, 0.0),
        (0.8, 0.4, True, 0.5),
        (0.0, 0.4, True, math.inf),
    ],
)
def test_share_is_the_part_of_the_bound_that_is_used_up(
    value: float, allowed: float | None, least: bool, share: float
) -> None:
    """Of an upper bound, of a lower one, of nothing, and where there is no bound."""
    if allowed is None:
        assert share == Measurement("x", value, None).share
    else:
        assert share == Measurement("x", value, allowed, least=least).share


def test_comparison_is_noted_whether_it_holds_or_not() -> None:
    """A tensor within its bound and one beyond it are both measured, with layer, size and provenance."""
    expected = np.array([2.0, -4.0], np.float32)
    with measuring() as notebook:
        assert [] == list(compare("w", expected, expected + np.float32(0.5), 0.25, "seen", place="conv"))
        assert 1 == len(list(compare("w", expected, expected + np.float32(0.5))))
    assert [
        Measurement("w", 0.5, 1.0, "seen", "conv", 4.0),
        Measurement("w", 0.5, 0.0, "bit for bit", "", 4.0),
    ] == notebook.measurements


def test_inner_notebook_keeps_its_own() -> None:
    """What a search measures inside a check is not the check's; without a notebook nothing is kept."""
    note_curve("accuracy", [0.5])
    with measuring() as outer:
        with measuring() as inner:
            note_exact("tensors", 7, 2)
            note_curve("accuracy", [0.1])
        note(Measurement("x", 1.0, None))
    assert [Measurement("tensors that differ, of 7", 2, 0.0, "bit for bit", count=7)] == inner.measurements
    assert {"accuracy": [0.1]} == inner.curves
    assert (7, 0) == (inner.compared, outer.compared)
    assert {} == outer.curves


def test_layers_are_all_kept_and_others_nearest_to_their_bound() -> None:
    """A check that compares thousands of tensors sends on those that tell most, in the order they were measured."""
    others = [Measurement(f"{number}", number, 100.0) for number in range(3 * SHOWN)]
    layers = [Measurement("layer", 0.0, 1.0, place=f"{number}") for number in range(3 * SHOWN)]
    assert (*layers, *others[-SHOWN:]) == Notebook([*layers, *others]).kept()
