"""The readable end of a run: subjects by families, with what happened and how long it took."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from conformance.catalogue import FAMILIES
from conformance.specification import SPECIFICATIONS

CASE = re.compile(r"\[(?P<subject>[^\[\]]+?)-(?P<family>[a-z]+)\.[^\[\]]*\]$")
COUNTED = {
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "skipped": "skipped",
    "xfailed": "expected failure",
    "xpassed": "failed",
}


def write_summary(reporter: Any) -> None:
    """Print the table of subjects and families, then the reasons of what was not executed."""
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    reasons: Counter[str] = Counter()
    for outcome, reports in reporter.stats.items():
        for report in reports:
            match = CASE.search(getattr(report, "nodeid", "").partition("@")[0])
            if match is None:
                continue
            seconds[match["subject"]] += getattr(report, "duration", 0.0)
            if outcome in COUNTED:
                cells[match["subject"], match["family"]][COUNTED[outcome]] += 1
            if outcome == "skipped":
                reasons[f"{match['subject']}: {report.longrepr[2].removeprefix('Skipped: ')}"] += 1
    if cells:
        reporter.write_line("")
        reporter.write(_table(cells, seconds, reporter._tw.fullwidth))
        for reason, number in sorted(reasons.items()):
            reporter.write_line(f"skipped {number}: {reason}")


def _table(cells: Mapping[tuple[str, str], Counter[str]], seconds: Mapping[str, float], width: int) -> str:
    """Draw the table as text, the reference networks in the order of the specification."""
    order = [*SPECIFICATIONS, *sorted(seconds)]
    families = [family for family in FAMILIES if any(key[1] == family for key in cells)]
    table = Table("subject", *families, "seconds", title="conformance")
    for subject in sorted({subject for subject, _ in cells}, key=order.index):
        parts = (_cell(cells.get((subject, family), Counter())) for family in families)
        table.add_row(subject, *parts, f"{seconds[subject]:.0f}")
    console = Console(width=max(100, width), color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _cell(counts: Counter[str]) -> str:
    """What happened in one family: ``5 passed, 1 failed``."""
    if not counts:
        return "-"
    if set(counts) == {"passed"}:
        return f"{counts['passed']} passed"
    return ", ".join(f"{number} {word.upper() if word == 'failed' else word}" for word, number in counts.items())
