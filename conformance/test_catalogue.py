"""The catalogue as pytest runs it: one test, parametrized over (subject, check, variant) by the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from conformance.session.cases import Case


def test_check(case: Case, snapshot: SnapshotAssertion) -> None:
    """The subject has the property."""
    case.run(snapshot)
