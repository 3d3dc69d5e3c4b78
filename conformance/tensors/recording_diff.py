"""Do two recordings agree? Tensor by tensor, each within the bound that its section's tolerance puts on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from conformance.contract.tolerances import RECORDED
from conformance.tensors.comparison import Array, compare, largest_difference
from conformance.tensors.fingerprint import SIGMAS
from conformance.tensors.recording_file import SubjectRecord, Tensor

Outcome = Literal["identical", "within", "beyond", "missing"]
Whole = tuple[Callable[[Tensor], Array], Callable[[Tensor], Array]]


@dataclass(frozen=True)
class Verdict:
    """What became of one tensor.

    Attributes:
        tensor: The expected one; the actual one where it was not expected.
        outcome: Bit-identical, within tolerance, beyond it, or missing on one side.
        difference: The difference that came nearest to what is allowed for it, relative to the tensor's scale.
        allowed: What is allowed for it, relative to the scale.
        text: What is wrong, where something is.
    """

    tensor: Tensor
    outcome: Outcome
    difference: float = 0.0
    allowed: float = 0.0
    text: str = ""

    @property
    def fails(self) -> bool:
        """Whether the two recordings disagree here."""
        return self.outcome in ("beyond", "missing")

    @property
    def share(self) -> float:
        """The difference as a part of what is allowed."""
        return self.difference / self.allowed if self.allowed else 0.0


@dataclass(frozen=True)
class Comparison:
    """Two recordings of one subject, with the verdict on every tensor in the order in which a fault is looked for."""

    expected: SubjectRecord
    actual: SubjectRecord
    verdicts: tuple[Verdict, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing is beyond its tolerance or missing."""
        return not any(verdict.fails for verdict in self.verdicts)

    def section(self, section: str) -> list[Verdict]:
        """The verdicts on one section's tensors."""
        return [verdict for verdict in self.verdicts if verdict.tensor.section == section]

    @property
    def first(self) -> Verdict | None:
        """The first tensor that diverges: it was computed by the layer where the trouble starts."""
        return first_failure(self.verdicts)


def first_failure(verdicts: tuple[Verdict, ...] | list[Verdict]) -> Verdict | None:
    """The first verdict that fails, if any."""
    return next((verdict for verdict in verdicts if verdict.fails), None)


def compare_records(expected: SubjectRecord, actual: SubjectRecord) -> Comparison:
    """Compare two recordings of one subject, in full where both have full tensors.

    Raises:
        Unreadable: If full tensors are missing, damaged or not those that were recorded.
    """
    left = {tensor.key: tensor for tensor in expected.tensors}
    right = {tensor.key: tensor for tensor in actual.tensors}
    if not (expected.whole and actual.whole):
        verdicts = tuple(_judge(left.get(key), right.get(key), None) for key in merged(left, right))
    else:
        with expected.open_whole() as first, actual.open_whole() as second:
            verdicts = tuple(_judge(left.get(key), right.get(key), (first, second)) for key in merged(left, right))
    return Comparison(expected, actual, verdicts)


def merged(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]) -> list[str]:
    """Keys of both in the expected order; one that only ``actual`` has stands behind the one before it there."""
    keys, previous = list(expected), ""
    for key in actual:
        if key not in expected:
            keys.insert(keys.index(previous) + 1 if previous else 0, key)
        previous = key
    return keys


def _judge(expected: Tensor | None, actual: Tensor | None, whole: Whole | None) -> Verdict:
    """Compare one tensor."""
    if expected is None or actual is None:
        tensor = expected or actual
        assert tensor is not None
        return Verdict(tensor, "missing", text=f"{tensor.name}: {'missing in' if expected else 'only in'} B")
    left, right = expected.fingerprint, actual.fingerprint
    kinds = [f"{print_.dtype} {print_.summary.shape}" for print_ in (left, right)]
    if kinds[0] != kinds[1]:
        return Verdict(expected, "beyond", text=f"{expected.name}: expected {kinds[0]}, actual {kinds[1]}")
    if left.summary.checksum == right.summary.checksum:
        return Verdict(expected, "identical", allowed=RECORDED[expected.section].bound)
    if not (left.summary.finite and right.summary.finite):
        return Verdict(expected, "beyond", text=f"{expected.name}: not finite, and not the same bits")
    return _judge_whole(expected, actual, whole) if whole else _judge_projections(expected, actual)


def _judge_projections(expected: Tensor, actual: Tensor) -> Verdict:
    """Compare largest magnitude and projections with what the tolerance implies for them."""
    tolerance = RECORDED[expected.section]
    left, right = expected.fingerprint, actual.fingerprint
    pairs = [("largest magnitude", 1.0, left.summary.largest, right.summary.largest)]
    for number, values in enumerate(zip(left.projections, right.projections, strict=True), 1):
        pairs.append((f"projection {number}", SIGMAS, *values))
    what, factor, before, after = max(pairs, key=lambda pair: abs(pair[2] - pair[3]) / pair[1])
    allowed = factor * tolerance.bound
    difference = _relative(abs(before - after), expected.scale)
    if difference <= allowed:
        return Verdict(expected, "within", difference, allowed)
    text = (
        f"{expected.name}: {what} expected {before:.9g}, actual {after:.9g}; difference {difference:.3g} of "
        f"{expected.scale:.3g}, allowed {allowed:.3g} ({factor:g} times {tolerance.bound:g}: {tolerance.provenance})"
    )
    return Verdict(expected, "beyond", difference, allowed, text)


def _judge_whole(expected: Tensor, actual: Tensor, whole: Whole) -> Verdict:
    """Compare every element."""
    tolerance = RECORDED[expected.section]
    left, right = whole[0](expected), whole[1](actual)
    bound, provenance = tolerance.bound, tolerance.provenance
    problems = list(compare(expected.name, left, right, bound, provenance, np.array(expected.scale)))
    difference = _relative(largest_difference(left, right)[0], expected.scale)
    return Verdict(expected, "beyond" if problems else "within", difference, bound, "".join(problems))


def _relative(gap: float, scale: float) -> float:
    if not gap:
        return 0.0
    return gap / scale if scale else math.inf
