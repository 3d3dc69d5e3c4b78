"""The catalogue: all checks, and the cases (subject, check, variant) that pytest runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from conformance.check import Check
from conformance.checks import (
    behaviour,
    claim,
    convergence,
    execution,
    files,
    numerics,
    parameters,
    structure,
    training,
)
from conformance.snapshot import compare_snapshot
from conformance.subject import RequestError, Subject
from conformance.worker import POOL, Result

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

FAMILIES = {
    module.__name__.rpartition(".")[2]: module.CHECKS
    for module in (structure, parameters, execution, claim, behaviour, numerics, files, training, convergence)
}
CHECKS: tuple[Check, ...] = tuple(check for checks in FAMILIES.values() for check in checks)


@dataclass(frozen=True)
class Case:
    """One check of one subject, in one variant where the check has variants."""

    subject: Subject
    check: Check
    variant: str = ""

    @property
    def id(self) -> str:
        """``subject-family.check`` or ``subject-family.check-variant``."""
        return "-".join(filter(None, (self.subject.name, self.check.id, self.variant)))

    def run(self, snapshot: SnapshotAssertion | None = None) -> None:
        """Run it in the subject's worker process; fails, skips or returns, as pytest expects.

        Args:
            snapshot: Syrupy's fixture, for the check that compares a snapshot.
        """
        reason = self.check.unless(self.subject)
        if reason:
            pytest.skip(f"not applicable: {reason}")
        result = POOL.worker(self.subject).run(self.check.id, self.variant)
        if result.outcome == "passed" and result.payload is not None:
            result = compare_snapshot(self.subject, result, snapshot, POOL.settings.snapshot_dir)
        if result.output.strip() and result.outcome != "passed":
            print(result.output)
        if result.outcome in ("not applicable", "not executed"):
            pytest.skip(f"{result.outcome}: {result.text}")
        if result.outcome != "passed":
            pytest.fail(self.message(result), pytrace=False)

    def message(self, result: Result) -> str:
        """Say what failed, how, why it matters, and how to repeat just this."""
        starts = [f"  first diverging layer: {result.place}"] if result.place not in result.text else []
        head = " · ".join(filter(None, (self.subject.name, self.check.id, self.variant)))
        return "\n".join(
            (
                f"{head}: {result.outcome}",
                *(f"  {line}" for line in result.text.splitlines()),
                *starts,
                "",
                f"expected: {self.check.title}",
                self.check.remedy,
                f"source: {self.check.source}",
                f"repeat: {self.repeat()}",
            )
        )

    def repeat(self) -> str:
        """The command that runs just this case again, from the same folder."""
        node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        if "test_catalogue.py::" not in node:
            return f'pytest "{node}"'
        options = [f"--subject {self.subject.name}"]
        if isinstance(self.subject.build, str):
            options[0] += f"={self.subject.build}"
        if self.subject.kind == "own":
            options.append(f"--input-shape {','.join(map(str, self.subject.input_shape or ()))}")
        if self.subject.weights is not None:
            options.append(f"--weights {self.subject.weights}")
        if POOL.settings.seed:
            options.append(f"--seed {POOL.settings.seed}")
        return f'pytest --pyargs "conformance.test_catalogue::test_check[{self.id}]" {" ".join(options)}'


def cases(subjects: Iterable[Subject], families: Iterable[str] = ()) -> Iterator[Case]:
    """Every check that fits each subject, in each variant, subject by subject.

    Args:
        subjects: What is tested.
        families: Names of families, all where empty.

    Raises:
        RequestError: If a family or an expected failure names nothing.
    """
    wanted = tuple(families) or tuple(FAMILIES)
    unknown = sorted(set(wanted) - set(FAMILIES))
    if unknown:
        raise RequestError(f"family {unknown[0]!r}: allowed are {', '.join(FAMILIES)}")
    for subject in subjects:
        stray = sorted(set(subject.expected_failures) - {check.id for check in CHECKS})
        if stray:
            raise RequestError(f"expected failure {stray[0]!r} of {subject.name} names no check")
        for check in CHECKS:
            if check.family in wanted and subject.kind in check.kinds:
                yield from (Case(subject, check, variant) for variant in check.variants or ("",))


def parameter(case: Case) -> Any:
    """A case as pytest's parameter: its id, its subject's xdist group, and a strict xfail where expected."""
    marks = [pytest.mark.xdist_group(case.subject.name)]
    if case.check.id in case.subject.expected_failures:
        marks.append(pytest.mark.xfail(reason=case.subject.expected_failures[case.check.id], strict=True))
    return pytest.param(case, id=case.id, marks=marks)


def parametrize_with_checks(subjects: Iterable[Subject], families: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Parametrize a test function's ``case`` argument with every check of every subject.

    Example:
        ``@parametrize_with_checks([Subject("mine", build=MyNet, input_shape=(3, 64, 64))])`` above
        ``def test_mine(case, snapshot): case.run(snapshot)``
    """
    return pytest.mark.parametrize("case", [parameter(case) for case in cases(subjects, families)])
