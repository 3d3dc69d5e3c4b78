"""The catalogue on this project's own block: one test for each check and variant."""

from __future__ import annotations

from typing import Any

from conformance import Subject, parametrize_with_checks
from my_nets import SmallNet


@parametrize_with_checks([Subject("small", build=SmallNet, input_shape=(3, 32, 32))])
def test_block(item: Any) -> None:
    """Every check that applies to the block holds."""
    item.run()
