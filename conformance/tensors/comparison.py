"""How a tensor is summarized, how two are compared, and how their difference is put into words."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.contract.measurement import Measurement, note
from conformance.contract.outcomes import Problem

Array = np.ndarray[Any, Any]

BLOCK = 1 << 22
"""Numbers that are compared in float64 at once: a dense layer has a hundred million weights."""


@dataclass(frozen=True)
class Summary:
    """A tensor's checksum (CRC-32 of its bytes), largest magnitude, and whether it is finite and constant."""

    shape: tuple[int, ...]
    checksum: int
    largest: float
    finite: bool

    @classmethod
    def of(cls, array: Array) -> Summary:
        """Summarize an array."""
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        finite = bool(np.isfinite(low) and np.isfinite(high))
        return cls(array.shape, zlib.crc32(np.ascontiguousarray(array).data), max(abs(low), abs(high)), finite)


def largest_difference(expected: Array, actual: Array) -> tuple[float, tuple[int, ...]]:
    """Largest absolute difference of two arrays of one shape, and its index (NaN counts as infinite)."""
    if not expected.size:
        return 0.0, ()
    largest, place = 0.0, 0
    for start in range(0, expected.size, BLOCK):
        left, right = (array.reshape(-1)[start : start + BLOCK].astype(np.float64) for array in (expected, actual))
        with np.errstate(invalid="ignore"):
            gap = np.abs(left - right)
        unlike = np.isnan(gap) & ~(np.isnan(left) & np.isnan(right))
        gap = np.where(unlike, np.inf, np.nan_to_num(gap, posinf=np.inf))
        here = int(np.argmax(gap))
        if gap[here] > largest:
            largest, place = float(gap[here]), start + here
    return largest, tuple(int(i) for i in np.unravel_index(place, expected.shape))


def compare(
    name: str,
    expected: Array,
    actual: Array,
    bound: float = 0.0,
    provenance: str = "",
    scale: Array | None = None,
    place: str = "",
) -> Iterator[Problem]:
    """Note how two tensors differ, and say where it is beyond ``bound`` times the expected tensor's magnitude.

    Args:
        name: What the tensor is.
        expected: The right values.
        actual: The values under test.
        bound: Relative to the tensor's own size; 0 means bit for bit.
        provenance: Where the bound comes from.
        scale: The tensor whose largest magnitude counts, where it is not the expected one.
        place: The layer it belongs to, where there is one.

    Yields:
        Nothing, or one line with expected, actual, the largest difference, its index and the tolerance.
    """
    if expected.shape != actual.shape:
        yield Problem(f"{name}: expected shape {expected.shape}, actual {actual.shape}", place)
        return
    identical = (
        np.array_equal(expected.view(f"u{expected.itemsize}"), actual.view(f"u{actual.itemsize}"))
        if expected.dtype == actual.dtype
        else False
    )
    gap, index = (0.0, ()) if identical else largest_difference(expected, actual)
    size = float(np.max(np.abs(expected if scale is None else scale), initial=0))
    allowed = bound * size
    note(Measurement(name, gap, allowed, provenance or "bit for bit", place, size))
    if identical or (bound and gap <= allowed):
        return
    tolerance = f"allowed {allowed:.3g} ({provenance})" if bound else "allowed 0 (bit for bit)"
    text = (
        f"{name}: expected {expected[index]:.9g}, actual {actual[index]:.9g} at {index}; "
        f"largest difference {gap:.3g}, {tolerance}"
    )
    yield Problem(text, place)
