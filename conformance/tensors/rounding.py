"""Is a difference only rounding? Two float32 runs that are not bit-identical are decided in float64.

Right networks may sum in another order: a concat nested otherwise, memory laid out otherwise. In float32,
training amplifies that rounding step by step; in float64 it stays far below what any fault changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from conformance.contract.outcomes import Problem
from conformance.contract.tolerances import FLOAT64_TRAINING
from conformance.tensors.comparison import compare

if TYPE_CHECKING:
    from conformance.tensors.label import Label
    from conformance.tensors.recording import Recording


def same_bits(expected: Recording, actual: Recording) -> Iterator[tuple[Label, Problem]]:
    """Compare two recordings bit for bit, every tensor kept: what differs, and how."""
    for label, tensor in expected.tensors.items():
        if label in actual.tensors:
            yield from ((label, line) for line in compare(str(label), tensor, actual.tensors[label]))
        else:
            yield label, Problem(f"{label}: missing")


def float64_differences(
    cancelled: Mapping[str, str], expected: Recording, actual: Recording
) -> Iterator[tuple[Label, Problem]]:
    """Compare two recordings in float64, every tensor kept, within the measured bound: what differs, and how.

    Args:
        cancelled: Biases without a true gradient -> the weight beside them. Such a gradient is rounding noise beside
            the weight's, and is held to that.
        expected: The right values.
        actual: The values under test.
    """
    for label, tensor in expected.tensors.items():
        if label not in actual.tensors:
            yield label, Problem(f"{label}: missing")
            continue
        weight = cancelled.get(label.name) if label.kind == "gradient" else None
        scale = expected.tensors.get(label._replace(name=weight)) if weight else None
        if weight and scale is None:  # the weight is frozen: nothing says how large the noise may be
            continue
        allowed, words = FLOAT64_TRAINING, f"{label} (float64)"
        lines = compare(words, tensor, actual.tensors[label], allowed.bound, allowed.provenance, scale)
        yield from ((label, line) for line in lines)
