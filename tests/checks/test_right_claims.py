"""Right networks are accepted, however they are written; networks that only look alike are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benches import bench, run_check
from conformance import CHECKS, Check, Subject
from conformance.contract.outcomes import NotApplicable
from conformance.worker.bench import Bench
from more_right_claims import DEPARTURES, RIGHT, zoo

#: What is run on those that are least alike: all but training.
WHOLE = ("structure", "parameters", "execution", "claim", "behaviour", "numerics", "files")
LEAST_ALIKE = ("other layers", "flat concats")
#: What is run on the others, and on AlexNet and VGG, which are slow at their one size: what their writing can change.
WRITING = ("structure", "parameters", "claim", "behaviour")
OF_PLAIN = ("structure", "parameters", "claim")


def families(what: str, name: str) -> tuple[str, ...]:
    """The families that a right claim is run through."""
    return WHOLE if what in LEAST_ALIKE else OF_PLAIN if name in ("alexnet", "vgg11") else WRITING


CASES = [
    pytest.param(what, check, variant, id="-".join(filter(None, (what, check.id, variant))))
    for what, (name, _) in RIGHT.items()
    for check in CHECKS
    for variant in check.variants or ("",)
    if check.family in families(what, name) and "claim" in check.kinds
]


@pytest.fixture(scope="module")
def on(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give the bench of one right claim; one is kept at a time."""
    name, build = RIGHT[request.param]
    yield bench(Subject(name, build=build))


@pytest.mark.parametrize(("on", "check", "variant"), CASES, indirect=["on"])
def test_right_claim_is_accepted(on: Bench, check: Check, variant: str) -> None:
    """A right network passes every check, whatever its names, layers and order of calls."""
    try:
        run_check(check, on, variant)
    except NotApplicable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(("name", "other", "says"), DEPARTURES)
def test_departures_of_the_model_zoo_are_refused(name: str, other: str, says: str) -> None:
    """A network of Gluon's model zoo that is not the same is refused, and the departure named."""
    on = bench(Subject(name, build=lambda classes: zoo(other, classes)))
    found = []
    for check in (check for check in CHECKS if check.id in ("structure.graph", "structure.parameter_settings")):
        try:
            run_check(check, on)
        except AssertionError as failure:
            found.append(str(failure))
    assert any(says in text for text in found)
