"""A live table of a run on a terminal: what has ended of each subject and family, and what is running now.

Where there is no terminal, or more or less than pytest's usual is asked for (``-v``, ``-q``, ``-s``), pytest's own
lines stay as they are.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping
from typing import Any

import pytest
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from conformance.session.cases import Case, case_of
from conformance.session.summary import columns, order

SHOWN = 4
"""Running checks that are named; there is one a process."""


def wanted(config: pytest.Config, reporter: Any) -> bool:
    """Whether the run is on a terminal that nobody has asked other lines of."""
    option = config.option
    usual = option.verbose == 0 and option.capture != "no" and not option.collectonly
    if not usual or reporter is None:
        return False
    console = Console(file=reporter._tw._file)
    return console.is_terminal and not console.is_dumb_terminal


class Progress:
    """Draws the table, and keeps pytest's dots off the terminal meanwhile."""

    def __init__(self, reporter: Any, known: Mapping[str, Case]) -> None:
        """Take the terminal from pytest's reporter, which has it back at the end; ``known`` are the run's cases."""
        self.known = known
        reporter.showfspath, reporter._show_progress_info = False, False
        self.totals: Counter[tuple[str, str]] = Counter()
        self.ended: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.running: dict[str, None] = {}
        self.started = time.monotonic()
        # No thread draws, and nothing is redirected: while a test runs, what is written is pytest's to capture.
        self.live = Live(
            console=Console(file=reporter._tw._file),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what this process is to run."""
        self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Iterable[str]) -> None:
        """Count what the processes are to run, each of which has found the same."""
        self.totals.clear()
        self._expect(ids)

    def _expect(self, ids: Iterable[str]) -> None:
        self.totals.update(key for node in ids if (key := self._key(node)) is not None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """While the table is there, leave a report its category and take its letter."""
        category, letter, word = yield
        return (category, "", "") if self.live.is_started else (category, letter, word)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name a check that begins."""
        self.running[nodeid] = None
        self._draw()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a check that has ended; one that was skipped or broke before it began has no call."""
        key = self._key(report.nodeid)
        if key is not None and (report.when == "call" or not report.passed):
            self.ended[key][report.outcome] += 1

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Forget a check that has ended."""
        self.running.pop(nodeid, None)
        self._draw()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Clear the table away: what follows says it all."""
        self.live.stop()

    def _draw(self) -> None:
        self.live.start()
        self.live.update(Group(self.table(), self.line()), refresh=True)

    def table(self) -> Table:
        """Subjects by families: how many checks have ended, of how many."""
        families = columns(family for _, family in self.totals)
        table = Table("subject", *families, box=SIMPLE_HEAD)
        for subject in sorted({subject for subject, _ in self.totals}, key=order):
            table.add_row(subject, *(self._cell(subject, family) for family in families))
        return table

    def _cell(self, subject: str, family: str) -> Text:
        total, ended = self.totals[subject, family], self.ended[subject, family]
        done, failed = ended.total(), ended["failed"]
        if not total:
            return Text("")
        text = f"{done}/{total}" if done < total else f"{total}"
        if failed:
            return Text(f"{text}, {failed} FAILED", "bold red")
        return Text(text, "green" if done == total else "dim")

    def line(self) -> Text:
        """How far the run is, and what is running now."""
        counts = sum(self.ended.values(), Counter[str]())
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        now = ", ".join(node.rpartition("[")[2].removesuffix("]") for node in [*self.running][:SHOWN])
        wrong = f", {counts['failed']} FAILED" if counts["failed"] else ""
        text = f"  {counts.total()} of {self.totals.total()}{wrong}, {minutes}:{seconds:02} {now}"
        return Text(text, no_wrap=True, overflow="ellipsis")

    def _key(self, nodeid: str) -> tuple[str, str] | None:
        """Subject and family of a case; None for any other test."""
        case = case_of(nodeid, self.known)
        return None if case is None else (case.subject.name, case.check.family)
