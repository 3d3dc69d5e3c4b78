"""Right networks are accepted, however they are written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance import CHECKS, Check, Subject
from conformance.check import NotApplicable
from conformance.workbench import Workbench
from right_claims import RIGHT

#: What is run: all but convergence; of AlexNet, which is slow at its one size, what its writing can change.
FAMILIES = ("structure", "parameters", "execution", "claim", "behaviour", "files")
OF_ALEXNET = ("structure", "parameters", "claim")
CASES = [
    pytest.param(name, check, variant, id="-".join(filter(None, (name, check.id, variant))))
    for name in RIGHT
    for check in CHECKS
    for variant in check.variants or ("",)
    if check.family in (OF_ALEXNET if name == "alexnet" else FAMILIES) and "claim" in check.kinds
]


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """Give the bench of one right claim; one is kept at a time."""
    yield Workbench(Subject(request.param, build=RIGHT[request.param]))


@pytest.mark.parametrize(("bench", "check", "variant"), CASES, indirect=["bench"])
def test_right_claim_is_accepted(bench: Workbench, check: Check, variant: str) -> None:
    """A right network passes every check, whatever its names, layers and order of calls."""
    try:
        check.function(bench, *filter(None, [variant]))
    except NotApplicable as reason:
        pytest.skip(str(reason))
