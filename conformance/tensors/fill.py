"""The deterministic fill: weights and images that are the same on every machine and keep a signal's scale.

Values come from an integer hash, not from a library's random stream, so they depend on nothing but the
parameter's place in the graph. Weights are uniform with the variance 2 / fan-in of He et al. 2015, BN's
parameters and running statistics are spread around values that keep 200 layers within float32's range.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CHUNK = 1 << 16
#: Range of the uniform values by the slot a parameter fills; a weight's depends on its fan-in instead.
RANGES = {
    "bias": (-0.1, 0.1),
    "beta": (-0.1, 0.1),
    "gamma": (0.5, 1.1),
    "moving_mean": (-0.1, 0.1),
    "moving_var": (0.8, 1.6),
}


def _hash(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mix 32-bit integers in place: two rounds of xor-shift and odd multiplication."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        values ^= values >> np.uint32(shift)
        values *= np.uint32(factor)
    values ^= values >> np.uint32(16)
    return values


def hashed(begin: int, end: int, seed: int) -> NDArray[np.uint32]:
    """Elements ``begin`` to ``end`` of a sequence of well-mixed 32-bit integers.

    Args:
        begin: First element.
        end: Bound above.
        seed: Which sequence; neighbouring seeds give unrelated sequences.
    """
    counter = np.arange(begin, end, dtype=np.uint32)
    counter += _hash(np.array([seed * 2654435761 % 2**32], np.uint32))[0]
    return _hash(counter)


def uniform(shape: tuple[int, ...], low: float, high: float, seed: int) -> Floats:
    """Uniform values in [low, high), float32, the same on every machine.

    Args:
        shape: Of the result.
        low: Smallest value.
        high: Bound above.
        seed: Which sequence; neighbouring seeds give unrelated sequences.
    """
    size = math.prod(shape)
    result = np.empty(size, np.float32)
    width, base = np.float32((high - low) / 2**24), np.float32(low)
    for begin in range(0, size, CHUNK):
        end = min(begin + CHUNK, size)
        values = (hashed(begin, end, seed) >> np.uint32(8)).astype(np.float32)
        values *= width
        values += base
        result[begin:end] = values
    return result.reshape(shape)


def fill(slot: str, shape: tuple[int, ...], seed: int) -> Floats:
    """Values of one parameter.

    Args:
        slot: What its operator calls it: weight, bias, gamma, ...
        shape: Its shape; a weight's fan-in is the product of all axes but the first.
        seed: The parameter's place in the graph.
    """
    if slot == "weight" or (slot not in RANGES and len(shape) > 1):
        bound = math.sqrt(6 / max(1, math.prod(shape[1:])))
        return uniform(shape, -bound, bound, seed)
    low, high = RANGES.get(slot, (-0.1, 0.1))
    return uniform(shape, low, high, seed)
