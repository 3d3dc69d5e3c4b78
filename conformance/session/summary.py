"""The readable end of a run: subjects by families, what was executed, and why something was not or must fail."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from conformance.checks.catalogue import FAMILIES
from conformance.contract.specification import SPECIFICATIONS
from conformance.report.document import LOST, End
from conformance.session.cases import Case, case_of

EXECUTED = ("passed", "failed", "expected failure")
WIDTH = 120
"""Columns that the table of all families needs, one line a subject."""
WORDS = {"passed": "", "failed": "FAILED", "crashed": "CRASHED", "hung": "HUNG"}
"""What a cell of the table says, where it is not the outcome itself."""


def ends(reporter: Any, known: Mapping[str, Case]) -> dict[str, End]:
    """How every case that was begun ended, by node id.

    Args:
        reporter: Pytest's, with the reports of the run.
        known: The cases of the run, by id.
    """
    found: dict[str, End] = {}
    for kind in ("passed", "skipped", "xfailed", "failed", "error"):
        for report in reporter.stats.get(kind, ()):
            case = case_of(getattr(report, "nodeid", ""), known)
            told = getattr(report, "conformance_end", None)
            if told is not None:
                found[report.nodeid] = End(*told)
            elif case is not None and (kind != "passed" or report.nodeid not in found):
                found[report.nodeid] = case.ended_without_result(report.outcome, str(report.longrepr or ""))
    return found


def write_summary(reporter: Any, known: Mapping[str, Case]) -> None:
    """Print the table of subjects and families, the fraction executed, and the reasons."""
    found = ends(reporter, known)
    if not found:
        return
    seconds: dict[str, float] = defaultdict(float)
    for reports in reporter.stats.values():
        for report in reports:
            end = found.get(getattr(report, "nodeid", ""))
            if end is not None:
                seconds[end.subject] += getattr(report, "duration", 0.0)
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for end in found.values():
        cells[end.subject, end.family][end.outcome] += 1
    reporter.write_line("")
    reporter.write(_table(cells, seconds, reporter._tw.fullwidth))
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for end in found.values():
        if end.reason:
            reasons[end.outcome, end.reason].append(end.subject)
    for (outcome, reason), subjects in sorted(reasons.items()):
        names = ", ".join(dict.fromkeys(sorted(subjects, key=order)))
        reporter.write_line(f"{outcome} {len(subjects)}: {names}: {reason}")
    for line in dict.fromkeys(end.told for end in found.values() if end.told):
        reporter.write_line(line)
    for line in filter(None, (end.line for end in found.values())):
        reporter.write_line(textwrap.shorten(line, max(WIDTH, reporter._tw.fullwidth), placeholder=" ..."), red=True)
    begun = {report.nodeid for reports in reporter.stats.values() for report in reports if hasattr(report, "nodeid")}
    reporter.write_line(executed(Counter(end.outcome for end in found.values()), selected(reporter) - len(begun)))


def selected(reporter: Any) -> int:
    """How many tests pytest, or its xdist processes, were to run."""
    return int(reporter._session.testscollected)


def executed(outcomes: Mapping[str, int], not_begun: int) -> str:
    """Say what fraction of the cases was executed; a run that was stopped early has begun only some.

    A case that crashed or hung gave no answer, and so is not counted as executed.
    """
    counts = Counter(outcomes)
    counts["not executed"] += max(0, not_begun)
    total, done = counts.total(), sum(counts[outcome] for outcome in EXECUTED)
    parts = [f"{counts[outcome]} {outcome}" for outcome in ("not applicable", "not executed")]
    parts += [f"{counts[outcome]} {outcome}" for outcome in LOST if counts[outcome]]
    expected = counts["expected failure"]
    parts.append(f"{expected} expected failure{'' if expected == 1 else 's'}")
    return f"executed {done} of {total} checks ({done / total:.1%}); {', '.join(parts)}".replace("%", " %")


def columns(families: Iterable[str]) -> list[str]:
    """Families in the order of the catalogue, each once."""
    found = set(families)
    return [family for family in FAMILIES if family in found]


def order(subject: str) -> tuple[int, str]:
    """The reference networks in the order of the specification, then the others by name."""
    names = list(SPECIFICATIONS)
    return (names.index(subject) if subject in names else len(names), subject)


def _table(cells: Mapping[tuple[str, str], Counter[str]], seconds: Mapping[str, float], width: int) -> str:
    """Draw the table as text, the reference networks in the order of the specification."""
    families = columns(family for _, family in cells)
    table = Table("subject", *families, "seconds", title="checks that passed", box=SIMPLE_HEAD)
    for subject in sorted({subject for subject, _ in cells}, key=order):
        parts = (_cell(cells.get((subject, family), Counter())) for family in families)
        table.add_row(subject, *parts, f"{seconds[subject]:.0f}")
    console = Console(width=max(WIDTH, width), color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _cell(counts: Counter[str]) -> str:
    """What happened in one family: ``5, 1 FAILED``; what does not apply is told below the table, with its reason."""
    shown = {outcome: number for outcome, number in counts.items() if outcome != "not applicable"}
    return ", ".join(f"{number} {WORDS.get(outcome, outcome)}".rstrip() for outcome, number in shown.items()) or "-"
