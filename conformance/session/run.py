"""A run of the catalogue: begun, shown, prepared and ended as pytest's hooks say."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import pytest

from conformance.contract.switches import REPEATABLE
from conformance.machine.asking import Unusable, ask
from conformance.machine.environment import numeric_switches
from conformance.machine.preflight import preflight
from conformance.session.cases import parameter
from conformance.session.progress import Progress, wanted
from conformance.session.report_writer import Sender, Writer
from conformance.session.request import Request, read_request
from conformance.session.snapshots import recorded_version
from conformance.session.summary import ends
from conformance.worker.pool import POOL
from conformance.worker.process import PREPARE


def begin(config: pytest.Config) -> Request:
    """Read what is asked for, and add what writes the report: in processes that run cases, and where it is governed.

    Raises:
        pytest.UsageError: In one line, for anything wrong (exit code 4).
    """
    request = read_request(config.option, lambda: ask_build("facts"))
    POOL.settings = request.settings
    if request.report is not None:
        config.pluginmanager.register(Sender())
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Writer(request.report, request.subjects, request.cases))
    return request


def show(request: Request, config: pytest.Config) -> None:
    """Show on a terminal how far the run is."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if wanted(config, reporter):
        config.pluginmanager.register(Progress(reporter, request.cases))


def header(request: Request) -> list[str]:
    """Lines about the suite, MXNet, Python and every numeric switch set in the environment."""
    ctx = request.settings.ctx
    lines = [
        f"conformance {version('gluon-conformance')}: {len(request.subjects)} subject(s), "
        f"snapshots {recorded_version()}, ctx {ctx}, seed {request.settings.seed}, "
        f"Python {platform.python_version()}"
    ]
    lines += _device_lines() if ctx == "gpu" else ask_build("describe")
    return [*lines, f"numeric switches: {' '.join(numeric_switches()) or 'none set'}"]


def prepare(request: Request, config: pytest.Config) -> None:
    """Build and trace every subject the user brought, where there is a device for it.

    Raises:
        pytest.UsageError: If a subject cannot be imported, built or fed as asked. A subject's crash is left to
            the checks; so is a GPU that cannot be used, as its checks are skipped with the reason.
    """
    if request.settings.ctx == "gpu" and preflight("gpu").problems:
        return
    for subject in request.subjects:
        if subject.kind == "reference" and subject.weights is None and subject.trainer is None:
            continue
        result = POOL.worker(subject).run(PREPARE)
        if result.outcome == "refused":
            POOL.close()
            raise pytest.UsageError(result.text)
        # A stage that ended the process here is tried once more, so that a check fails by name.
        POOL.worker(subject).fatal_stages.clear()
    if getattr(config.option, "numprocesses", None):
        POOL.close()  # xdist's processes run the checks, and may wait for the place that this one has on a GPU


def parameters(request: Request) -> list[Any]:
    """The requested cases as pytest's parameters."""
    return [parameter(case) for case in request.cases.values()]


def finish(request: Request, session: pytest.Session) -> None:
    """End the worker; a run that executed nothing, or left out a check that applies, is not green."""
    POOL.close()
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.config.option.collectonly or session.exitstatus != pytest.ExitCode.OK:
        return
    if not any(reporter.stats.get(outcome) for outcome in ("passed", "failed", "error", "xfailed", "xpassed")):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
    elif any(end.outcome == "not executed" for end in ends(reporter, request.cases).values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _device_lines() -> list[str]:
    """Lines about MXNet and the GPUs, or why there is none that can be used."""
    found = preflight("gpu")
    if found.problems:
        return [f"no usable GPU, so nothing is executed: {found.problems[0]}"]
    names = [f"{'' if device.usable else 'not used: '}{device.words}" for device in found.devices]
    switches = " ".join(f"{name}={os.environ.get(name, value)}" for name, value in REPEATABLE)
    return [*ask_build("describe"), *names, f"on the device: {switches}"]


def ask_build(question: str) -> Any:
    """Ask MXNet's build something, in a process of its own.

    Args:
        question: The name of a function of ``conformance.machine.build``.

    Raises:
        pytest.UsageError: If MXNet cannot be used; the message is its one line.
    """
    try:
        return ask(question)
    except Unusable as reason:
        raise pytest.UsageError(f"MXNet cannot be used: {reason}") from None


class CatalogueModule(pytest.Module):
    """The catalogue's module: its test is found whatever ``python_functions`` says."""

    def funcnamefilter(self, name: str) -> bool:
        """Accept test functions by the usual name."""
        return name.startswith("test_")
