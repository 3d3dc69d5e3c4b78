"""Tolerances, each with its provenance: what was measured, where, and with what margin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """A bound relative to the expected tensor's largest magnitude, unless its provenance says otherwise."""

    bound: float
    provenance: str


#: To be measured.
FUSED_LOGITS = Tolerance(1e-12, "")
REORDERED_SUMS = Tolerance(1e-12, "")
CANCELLED_BIAS = Tolerance(1e-5, "")
RUNNING_STATISTICS = Tolerance(1e-12, "")
BATCH_INDEPENDENCE = Tolerance(1e-12, "")
DROPOUT_SIGMAS = Tolerance(6.0, "6 standard deviations: a false alarm in 5e8 draws")
