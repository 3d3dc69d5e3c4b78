"""``--conformance-report DIR`` in a pytest run: what the cases found travels to where the report is written."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Generator, Mapping
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from conformance.contract.subject import RequestError, Subject
from conformance.machine.asking import Unusable, ask
from conformance.report.document import Setup, details, document, result_of
from conformance.session.cases import RESULT, Case
from conformance.session.snapshots import recorded_version
from conformance.session.summary import ends, selected
from conformance.tensors.recording_file import replacing
from conformance.worker.pool import POOL
from conformance.worker.process import DRAW

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
        case: Case | None = getattr(getattr(item, "callspec", None), "params", {}).get("case")
        if report.when == "call" and case is not None and RESULT in item.stash:
            result = item.stash[RESULT]
            report.conformance = details(result, case.repeat())
            if case.subject.name not in self.drawn and result.outcome in ("passed", "failed"):
                self.drawn.add(case.subject.name)
                report.conformance["graph"] = drawing(case.subject)
        return report


class Writer:
    """Where the run is governed: writes the report once all cases have ended.

    Args:
        folder: Where it goes.
        subjects: What the run is of.
        known: The cases of the run by id, in order.
    """

    def __init__(self, folder: Path, subjects: tuple[Subject, ...], known: Mapping[str, Case]) -> None:
        """Note what the report is of, and where it goes."""
        self.folder, self.subjects, self.known = folder, subjects, known
        self.order = {case: number for number, case in enumerate(known)}
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
            result_of(end, seconds[node], carried[node], texts[node])
            for node, end in ends(reporter, self.known).items()
        ]
        drawings = {each["subject"]: drawn for each in results if (drawn := each.pop("graph", None))}
        results.sort(key=lambda each: self.order.get(each["id"], len(self.order)))
        asked = POOL.settings
        version = recorded_version()
        setup = Setup(self.facts, asked.ctx, asked.seed, asked.time_limit, version, self.subjects, self.started)
        return document(setup, results, drawings, max(0, selected(reporter) - len(seconds)), exit_code)

    def _write(self, report: dict[str, Any]) -> None:
        """Write both files, each of them whole or not at all."""
        from conformance.report.page import page  # here, as only this needs the extra `report`

        text = json.dumps(report, indent=1, allow_nan=False)
        for name, content in zip(FILES, (text, page(report)), strict=True):
            with replacing(self.folder / name) as file:
                file.write(content.encode())
