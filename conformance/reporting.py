"""``--conformance-report DIR`` in a pytest run: what the cases found travels to where the report is written."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Generator, Iterable
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from conformance.catalogue import Case
from conformance.doctor import Unusable, ask
from conformance.record_file import replacing
from conformance.report import Setup, details, document, result_of
from conformance.subject import RequestError, Subject
from conformance.summary import ends, selected
from conformance.worker import DRAW, POOL

NEEDS = ("jinja2", "matplotlib")
FILES = ("report.json", "index.html")


def prepare_folder(folder: Path) -> None:
    """See to it that a report can be written, before anything runs.

    Raises:
        RequestError: In one line, if a library is missing or the folder cannot be written to.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise RequestError(
            f"--conformance-report needs {' and '.join(missing)}: pip install 'gluon-conformance[report]'"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise RequestError(f"--conformance-report {folder}: cannot be written to: {error.strerror}") from None


def drawing(subject: Subject) -> dict[str, Any] | None:
    """What is drawn of a subject, by its worker; None where it cannot be drawn.

    A subject that ends its process here is left to the checks, which then find out by themselves.
    """
    worker = POOL.worker(subject)
    fatal = dict(worker.fatal_stages)
    result = worker.run(DRAW)
    worker.fatal_stages.clear()
    worker.fatal_stages.update(fatal)
    found: dict[str, Any] | None = json.loads(result.payload) if result.payload else None
    return found


class Sender:
    """In a process that runs cases: puts what each found into its pytest report, with which xdist sends it on."""

    def __init__(self) -> None:
        """Begin with nothing drawn."""
        self.drawn: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
        """Add the details of a case, and once a subject its drawing."""
        report = yield
        case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
        if report.when == "call" and isinstance(case, Case) and POOL.last is not None:
            report.conformance = details(case, POOL.last)
            if case.subject.name not in self.drawn and POOL.last.outcome in ("passed", "failed"):
                self.drawn.add(case.subject.name)
                report.conformance["graph"] = drawing(case.subject)
        return report


class Writer:
    """Where the run is governed: writes the report once all cases have ended."""

    def __init__(self, folder: Path, subjects: tuple[Subject, ...], cases: Iterable[Case]) -> None:
        """Note what the report is of, and where it goes."""
        self.folder, self.subjects = folder, subjects
        self.order = {case.id: number for number, case in enumerate(cases)}
        self.started = datetime.now(timezone.utc)
        self.end = ""

    def pytest_sessionstart(self) -> None:
        """Ask what the build is, while it is known to answer."""
        try:
            self.facts = ask("facts")
        except Unusable as reason:
            raise pytest.UsageError(f"MXNet cannot be used: {reason}") from None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the files; a report that cannot be written is said in one line, and the run is not green."""
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or session.config.option.collectonly or not hasattr(self, "facts"):
            return
        report = self._document(reporter, int(session.exitstatus))
        try:
            self._write(report)
            self.end = f"report: {(self.folder / 'index.html').resolve()}"
        except OSError as error:
            self.end = f"report: cannot be written to {self.folder}: {error.strerror}"
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say where the report is."""
        if self.end:
            terminalreporter.write_line(self.end)

    def _document(self, reporter: Any, exit_code: int) -> dict[str, Any]:
        """Put together what all cases sent."""
        seconds: dict[str, float] = defaultdict(float)
        carried: dict[str, dict[str, Any]] = defaultdict(dict)
        texts: dict[str, str] = defaultdict(str)
        for report in (report for reports in reporter.stats.values() for report in reports):
            if hasattr(report, "nodeid"):
                seconds[report.nodeid] += getattr(report, "duration", 0.0)
                carried[report.nodeid] |= getattr(report, "conformance", {})
                texts[report.nodeid] += str(report.longrepr) if getattr(report, "failed", False) else ""
        results = [
            result_of(node, end, seconds[node], carried[node], texts[node]) for node, end in ends(reporter).items()
        ]
        drawings = {each["subject"]: drawn for each in results if (drawn := each.pop("graph", None))}
        results.sort(key=lambda each: self.order.get(each["id"], len(self.order)))
        setup = Setup(self.facts, POOL.settings, self.subjects, self.started)
        return document(setup, results, drawings, max(0, selected(reporter) - len(seconds)), exit_code)

    def _write(self, report: dict[str, Any]) -> None:
        """Write both files, each of them whole or not at all."""
        from conformance.report_page import page  # here, as only this needs the extra `report`

        text = json.dumps(report, indent=1, allow_nan=False)
        for name, content in zip(FILES, (text, page(report)), strict=True):
            with replacing(self.folder / name) as file:
                file.write(content.encode())
