"""Tolerances say where they come from."""

from __future__ import annotations

import pytest

from conformance.contract import tolerances
from conformance.contract.tolerances import Tolerance
from conformance.tensors.recording_file import DECIMALS, FEWER_DECIMALS

ALONE = {name: value for name, value in vars(tolerances).items() if isinstance(value, Tolerance) and name != "EXACT"}
OF_NETWORKS = {
    f"{name}[{network}]": bound
    for name, table in vars(tolerances).items()
    if isinstance(table, dict) and name.isupper()
    for network, bound in table.items()
}


@pytest.mark.parametrize("name", [*ALONE, *OF_NETWORKS])
def test_tolerance_is_measured(name: str) -> None:
    """Every tolerance is above 0 and states what was measured."""
    tolerance = {**ALONE, **OF_NETWORKS}[name]
    assert 0 < tolerance.bound
    assert len(tolerance.provenance) > 20
    assert "to be measured" not in tolerance.provenance


@pytest.mark.parametrize("section", tolerances.RECORDED)
def test_recordings_keep_more_digits_than_are_compared(section: str) -> None:
    """What a recording loses in its last decimal is a tenth of the tolerance, at most."""
    decimals = FEWER_DECIMALS if section == "predict" else DECIMALS["float64"]
    assert 10 ** (1 - decimals) <= tolerances.RECORDED[section].bound
