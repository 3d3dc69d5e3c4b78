"""The least that must work on every supported Python: all networks are built and traced, one is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benches import bench, run_check
from conformance import CHECKS, Check, Subject
from conformance.session.snapshots import RECORDED
from reference import list_models

pytestmark = pytest.mark.smoke
QUICK = [check for check in CHECKS if check.family in ("structure", "parameters") and "reference" in check.kinds]


@pytest.mark.parametrize("name", list_models())
def test_network_has_the_recorded_manifest(name: str) -> None:
    """Every network is built and traced, and is what its snapshot records."""
    assert (RECORDED / f"{name}.txt").read_text() == run_check("structure.snapshot", bench(Subject(name)))


@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.id)
def test_resnet50_passes(check: Check) -> None:
    """ResNet-50 has the structure and the counts of its specification."""
    run_check(check, bench(Subject("resnet50")))


def test_snapshots_are_those_of_the_networks() -> None:
    """The folder of snapshots holds one file a network and the text that explains them."""
    assert {"README.md", *(f"{name}.txt" for name in list_models())} == {path.name for path in Path(RECORDED).iterdir()}
