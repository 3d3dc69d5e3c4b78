"""The readable end of a run: subjects by families, with what happened and how long it took."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from conformance.catalogue import FAMILIES

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
    """Print the table and the reasons of what was skipped."""
    cells: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    seconds: dict[str, float] = defaultdict(float)
    for outcome, word in COUNTED.items():
        for report in reporter.stats.get(outcome, ()):
            match = CASE.search(getattr(report, "nodeid", "").partition("@")[0])
            if match:
                cells[match["subject"], match["family"]][word] += 1
    for reports in reporter.stats.values():
        for report in reports:
            match = CASE.search(getattr(report, "nodeid", "").partition("@")[0])
            if match:
                seconds[match["subject"]] += getattr(report, "duration", 0.0)
    if not cells:
        return
    subjects = list(dict.fromkeys(subject for subject, _ in cells))
    families = [family for family in FAMILIES if any(key[1] == family for key in cells)]
    table = Table("subject", *families, "seconds", title="conformance")
    for subject in sorted(subjects):
        table.add_row(
            subject,
            *(_cell(cells.get((subject, family), {})) for family in families),
            f"{seconds[subject]:.0f}",
        )
    console = Console(width=max(100, reporter._tw.fullwidth), color_system=None)
    with console.capture() as capture:
        console.print(table)
    reporter.write_line("")
    reporter.write(capture.get())


def _cell(counts: dict[str, int]) -> str:
    """What happened in one family: ``5 passed, 1 failed``."""
    if not counts:
        return "-"
    if set(counts) == {"passed"}:
        return f"{counts['passed']} passed"
    return ", ".join(f"{number} {word.upper() if word == 'failed' else word}" for word, number in counts.items())
