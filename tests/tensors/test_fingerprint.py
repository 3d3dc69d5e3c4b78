"""Fingerprints: fixed signs, and what a bound on a tensor's elements means for its projections."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance.tensors.comparison import Array
from conformance.tensors.fill import CHUNK
from conformance.tensors.fingerprint import PROJECTIONS, SIGMAS, Fingerprint, projections


def noise(size: int, seed: int = 0) -> Array:
    """Return numbers of standard normal distribution."""
    return np.random.RandomState(seed).standard_normal(size)


def signs(size: int) -> Array:
    """Return the signs of each projection (PROJECTIONS, size), found by projecting unit vectors."""
    return np.array([projections(row) for row in np.eye(size)]).T * math.sqrt(size)


def test_signs_are_fixed() -> None:
    """The signs are the same on every machine and for every type, and each is +1 or -1."""
    expected = ["+-+++--+-+", "-+--+-+---", "+-+-+-+++-"]

    assert expected == ["".join("-+"[int(sign > 0)] for sign in row) for row in signs(10)]
    assert np.array_equal(np.ones((PROJECTIONS, 64)), np.abs(signs(64)))
    assert projections(np.ones(100, np.float32)) == projections(np.ones((10, 10), np.float64))


def test_signs_are_spread_evenly() -> None:
    """Each projection has as many of both signs as chance gives, and no two of them agree more than by chance."""
    rows = np.array(projections(np.ones(1 << 20))) * (1 << 10)
    matrix = signs(1 << 10) @ signs(1 << 10).T / (1 << 10)

    assert np.abs(rows).max() < 5 * (1 << 10)
    assert np.abs(matrix - np.eye(PROJECTIONS)).max() < 5 / (1 << 5)


@pytest.mark.parametrize("size", [1, 7, CHUNK, 3 * CHUNK + 5])
def test_projection_is_of_the_tensors_own_size(size: int) -> None:
    """A projection of noise is as large as the noise, however large the tensor."""
    assert max(map(abs, projections(noise(size)))) < 5


@pytest.mark.parametrize("size", [10, 1000, 2 * CHUNK])
def test_bounded_difference_moves_projections_less_than_allowed(size: int) -> None:
    """Where no element differs by more than d, no projection differs by more than 8 d, the allowed difference."""
    tensor = noise(size)
    for seed in range(20):
        changed = tensor + 1e-6 * np.sign(noise(size, seed + 1))
        moved = np.abs(np.subtract(projections(tensor), projections(changed)))

        assert moved.max() < SIGMAS * 1e-6
        assert moved.max() > 0


def test_one_wrong_element_moves_every_projection() -> None:
    """An error e in one of n elements moves each projection by exactly e / sqrt(n), also in the last chunk."""
    tensor = np.zeros(2 * CHUNK)
    tensor[-1] = 3.0

    assert [pytest.approx(3 / math.sqrt(2 * CHUNK))] * PROJECTIONS == [abs(value) for value in projections(tensor)]


def test_exchanged_chunks_are_seen() -> None:
    """Two parts of a large tensor that change places move the projections: signs do not repeat."""
    tensor = noise(2 * CHUNK)

    assert np.abs(np.subtract(projections(tensor), projections(np.roll(tensor, CHUNK)))).max() > 0.1


def test_fingerprint_has_type_and_summary() -> None:
    """A fingerprint tells shape, type, bits and largest magnitude."""
    found = Fingerprint.of(np.array([[1, -3]], np.float32))

    assert ((1, 2), 3.0, "float32") == (found.summary.shape, found.summary.largest, found.dtype)
    assert found != Fingerprint.of(np.array([[1, -3]], np.float64))


def test_projections_of_empty_and_infinite_tensors() -> None:
    """A tensor without elements projects to 0; one that is not finite gives no number and no warning."""
    assert (0.0,) * PROJECTIONS == projections(np.zeros((0, 3)))
    assert not np.isfinite(projections(np.array([np.inf, 1.0]))).any()
