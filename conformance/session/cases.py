"""The catalogue: all checks, and the cases (subject, check, variant) that pytest runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from conformance.checks.catalogue import CHECKS, FAMILIES
from conformance.contract.check import Check
from conformance.contract.outcomes import Result
from conformance.contract.subject import RequestError, Subject
from conformance.machine.asking import Unusable
from conformance.report.document import LOST, End
from conformance.session.expected_failures import ExpectedFailure, expected_of, require_cases, stated_by
from conformance.session.options import shown
from conformance.session.snapshots import compare_snapshot
from conformance.worker.pool import POOL

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""What became of a case, on its item."""


def ignore(result: Result) -> None:
    """Tell nobody of a result."""


@dataclass(frozen=True)
class Case:
    """One check of one subject, in one variant where the check has variants; with the reason if it must fail.

    ``tell`` is told what became of it.
    """

    subject: Subject
    check: Check
    variant: str = ""
    expected: ExpectedFailure | None = None
    tell: Callable[[Result], None] = field(default=ignore, compare=False, repr=False)

    @property
    def id(self) -> str:
        """``subject-family.check`` or ``subject-family.check-variant``."""
        return "-".join(filter(None, (self.subject.name, self.check.id, self.variant)))

    def run(self, snapshot: SnapshotAssertion | None = None) -> None:
        """Run it in the subject's worker process; fails, skips or returns, as pytest expects.

        Args:
            snapshot: Syrupy's fixture, for the check that compares a snapshot.
        """
        result = self._result(snapshot)
        self.tell(result)
        if result.output.strip() and result.outcome != "passed":
            print(result.output)
        if self.expected is not None:
            self._require_failure(result, self.expected)
        if result.outcome == "passed" and result.text:
            print(f"{self.head}: {result.text}")
        if result.outcome in ("not applicable", "not executed"):
            pytest.skip(f"{result.outcome}: {result.text}")
        if result.outcome != "passed":
            pytest.fail(self.message(result), pytrace=False)

    def end(self, result: Result) -> End:
        """How it ended, as the report says it."""
        outcome, reason = result.outcome, result.text if result.outcome in ("not applicable", "not executed") else ""
        line = f"{self.head}: {result.outcome}: {_first_line(result)}"
        if self.expected is not None and result.outcome not in ("passed", "not applicable"):
            return End(self.id, *self._names, "expected failure", self.expected.why)
        if self.expected is not None:
            out_of_date = f"{self.head}: expected to fail, actual {result.outcome}: {self.expected.why}"
            return End(self.id, *self._names, "failed", line=out_of_date)
        if outcome in ("passed", "not applicable", "not executed"):
            told = f"{self.head}: {result.text}" if outcome == "passed" and result.text else ""
            return End(self.id, *self._names, outcome, reason, told=told)
        return End(self.id, *self._names, outcome if outcome in LOST else "failed", line=line)

    def ended_without_result(self, outcome: str, text: str) -> End:
        """How it ended where its process, or pytest before it, never came to a result.

        Args:
            outcome: Pytest's: ``passed``, ``skipped`` or ``failed``.
            text: What pytest says of it.
        """
        first = (text.strip().splitlines() or [""])[0]
        if outcome == "failed":
            return End(self.id, *self._names, "failed", line=f"{self.head}: {first}")
        return End(self.id, *self._names, "passed" if outcome == "passed" else "not executed", first)

    @property
    def _names(self) -> tuple[str, str, str, str]:
        return self.subject.name, self.check.family, self.check.id, self.variant

    def _result(self, snapshot: SnapshotAssertion | None) -> Result:
        """What becomes of it."""
        reason = self.check.unless(self.subject)
        if reason:
            return Result("not applicable", reason)
        try:
            worker = POOL.worker(self.subject, self.check.switches(self.variant))
        except Unusable as reason:
            return Result("not executed", str(reason))
        result = worker.run(self.check.task(self.variant))
        if result.outcome == "passed" and result.payload is not None:
            result = compare_snapshot(self.subject, result, snapshot, POOL.settings.snapshot_dir)
        return result

    def _require_failure(self, result: Result, expected: ExpectedFailure) -> None:
        """End as an expected failure; what passed or does not apply fails, as its entry is out of date."""
        if result.outcome in ("passed", "not applicable"):
            pytest.fail(
                f"{self.head}: expected to fail, actual {result.outcome}\n"
                f"  {expected.why}\n\nremove {expected.place}: what it says no longer holds",
                pytrace=False,
            )
        print(self.message(result))
        pytest.xfail(expected.why)

    @property
    def head(self) -> str:
        """``subject · family.check · variant``."""
        return " · ".join(filter(None, (self.subject.name, self.check.id, self.variant)))

    def message(self, result: Result) -> str:
        """Say what failed, how, why it matters, and how to repeat just this."""
        return "\n".join(
            (
                f"{self.head}: {result.outcome}",
                *(f"  {line}" for line in [*result.text.splitlines(), *_start(result)]),
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
        test = f"conformance.test_catalogue::test_check[{self.id}]"
        return f'pytest --pyargs "{test}" {shown(self.subject, POOL.settings)}'


def _start(result: Result) -> list[str]:
    """The line that says where a failure starts, where its text does not say so by itself."""
    return [f"first diverging layer: {result.place}"] if result.place not in result.text else []


def _first_line(result: Result) -> str:
    """A failure in one line: where it starts, or else the first thing that is wrong."""
    lines = result.text.splitlines()
    starts = [line for line in lines if "first diverging layer" in line]
    return [*starts, *_start(result), *lines, ""][0].strip()


def case_of(nodeid: str, known: Mapping[str, Case]) -> Case | None:
    """The case that pytest's name of a test speaks of, among known ones by id; None for any other test."""
    return known.get(nodeid.partition("@")[0].partition("[")[2].removesuffix("]"))


def cases(
    subjects: Iterable[Subject],
    families: Iterable[str] = (),
    expected: Iterable[ExpectedFailure] = (),
    ctx: str = "cpu",
) -> Iterator[Case]:
    """Every check that fits each subject, in each variant, subject by subject.

    Args:
        subjects: What is tested.
        families: Names of families, all where empty.
        expected: What must fail, beside what the subjects themselves state.
        ctx: The sort of device: some checks are made for a GPU.

    Raises:
        RequestError: If a family or an expected failure names nothing.
    """
    checks = [check for check in CHECKS if check.ctx in ("", ctx)]
    allowed = dict.fromkeys(check.family for check in checks)
    wanted = tuple(families) or tuple(allowed)
    unknown = sorted(set(wanted) - set(allowed))
    if unknown:
        remedy = " (with --ctx gpu)" if unknown[0] in FAMILIES else ""
        raise RequestError(f"family {unknown[0]!r}{remedy}: allowed are {', '.join(allowed)}")
    subjects = tuple(subjects)
    entries = (*expected, *(entry for subject in subjects for entry in stated_by(subject)))
    require_cases(entries, subjects, CHECKS)
    for subject in subjects:
        fitting = [check for check in checks if check.family in wanted and subject.kind in check.kinds]
        pairs = [(check, variant) for check in fitting for variant in check.variants or ("",)]
        # Those that share a process together: another environment takes another process, and the network anew.
        for check, variant in sorted(pairs, key=lambda pair: pair[0].switches(pair[1])):
            yield Case(subject, check, variant, expected_of(entries, subject, check, variant))


def parameter(case: Case) -> Any:
    """A case as pytest's parameter: its id, and its subject's xdist group."""
    return pytest.param(case, id=case.id, marks=pytest.mark.xdist_group(case.subject.name))


def parametrize_with_checks(subjects: Iterable[Subject], families: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Parametrize a test function's ``case`` argument with every check of every subject.

    Example:
        ``@parametrize_with_checks([Subject("mine", build=MyNet, input_shape=(3, 64, 64))])`` above
        ``def test_mine(case, snapshot): case.run(snapshot)``
    """
    return pytest.mark.parametrize("case", [parameter(case) for case in cases(subjects, families)])
