"""Fingerprints: enough of a tensor to tell on another machine whether it has the same bits, or nearly the same values.

A projection of a tensor x of n elements is p = sum(s_i x_i) / sqrt(n), with signs s_i of +1 or -1 that come from the
suite's own integer hash. What follows from a bound d on every element's difference:

- always: no projection differs by more than sqrt(n) d, and the largest magnitude by no more than d;
- as the signs have nothing to do with the difference (Hoeffding's inequality): a projection differs by more than
  8 d with a probability below 2 exp(-8**2 / 2) = 2.6e-14. So 8 d is what is allowed.

What the projections see in return: a difference whose root mean square is r changes each by r times a number of about
normal distribution, so three of them hide one of 80 d in a case out of 2,000. One wrong element changes each by its
error / sqrt(n), for certain; that the bits differ is seen in any case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.tensors.comparison import Array, Summary
from conformance.tensors.fill import CHUNK, hashed

PROJECTIONS = 3
SIGMAS = 8.0
"""How many times the bound on an element a projection may differ."""
SEED = 20_000


@dataclass(frozen=True)
class Fingerprint:
    """A tensor's summary (shape, CRC-32 of its bytes, largest magnitude), type and projections."""

    summary: Summary
    dtype: str
    projections: tuple[float, ...]

    @classmethod
    def of(cls, array: Array) -> Fingerprint:
        """Take a tensor's fingerprint."""
        summary, dtype = Summary.of(array), np.dtype(array.dtype).name
        return cls(summary, dtype, projections(array))


def projections(array: Array) -> tuple[float, ...]:
    """Projections of a tensor on fixed signs, computed in float64 and divided by the root of its size."""
    flat = np.ascontiguousarray(array).reshape(-1)
    parts: list[list[float]] = [[] for _ in range(PROJECTIONS)]
    with np.errstate(invalid="ignore"):
        for begin in range(0, flat.size, CHUNK):
            values = flat[begin : begin + CHUNK].astype(np.float64)
            bits = hashed(begin, begin + len(values), SEED)
            for number, part in enumerate(parts):
                part.append(float((values * _signs(bits, number)).sum()))
        return tuple(sum(part) / math.sqrt(max(1, flat.size)) for part in parts)


def _signs(bits: NDArray[np.uint32], number: int) -> NDArray[np.float64]:
    """+1 or -1 from one bit of each hash; the higher bits are the better mixed ones."""
    return 1.0 - 2.0 * ((bits >> np.uint32(31 - number)) & np.uint32(1))
