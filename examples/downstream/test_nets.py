"""The catalogue on this project's own block: one test for each check and variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import Case, Subject, parametrize_with_checks
from my_nets import SmallNet

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


@parametrize_with_checks([Subject("small", build=SmallNet, input_shape=(3, 32, 32))])
def test_small(case: Case, snapshot: SnapshotAssertion) -> None:
    """Every check that applies to the block holds."""
    case.run(snapshot)
