"""A request: what the command line asks for, read, checked and turned into cases."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from conformance.catalogue import cases, parameter
from conformance.devices import REPEATABLE
from conformance.doctor import Unusable, ask, numeric_switches
from conformance.expected_failures import ExpectedFailure, for_build, read_file
from conformance.preflight import preflight
from conformance.progress import Progress, wanted
from conformance.reporting import Sender, Writer, prepare_folder
from conformance.snapshot import recorded_version
from conformance.subject import RequestError, Subject, parse_subjects
from conformance.summary import ends
from conformance.worker import POOL, PREPARE, Settings


@dataclass(frozen=True)
class Request:
    """Subjects, families and expected failures of one pytest run."""

    subjects: tuple[Subject, ...]
    families: tuple[str, ...]
    expected: tuple[ExpectedFailure, ...]
    config: pytest.Config

    @classmethod
    def from_options(cls, config: pytest.Config) -> Request:
        """Read pytest's options.

        Raises:
            pytest.UsageError: In one line, for anything wrong (exit code 4).
        """
        option = config.option
        try:
            subjects = parse_subjects(
                option.conformance_subjects,
                option.conformance_input_shape,
                option.conformance_weights,
                option.conformance_reference,
                option.conformance_images,
                option.conformance_trainer,
            )
            families = tuple(filter(None, option.conformance_families.split(",")))
            request = cls(subjects, families, read_expected(option.conformance_expected_failures), config)
            request.parameters()
            if option.conformance_report is not None:
                prepare_folder(option.conformance_report)
        except RequestError as error:
            raise pytest.UsageError(str(error)) from None
        if option.conformance_time_limit <= 0:
            raise pytest.UsageError(f"--time-limit {option.conformance_time_limit:g}: allowed are positive seconds")
        if option.conformance_seed < 0:
            raise pytest.UsageError(f"--seed {option.conformance_seed}: allowed are integers from 0 on")
        if getattr(option, "update_snapshots", False) and (getattr(option, "numprocesses", None) or 0) > 1:
            raise pytest.UsageError("--snapshot-update needs one process: leave -n out, or snapshots can be lost")
        POOL.settings = Settings(
            option.conformance_ctx,
            option.conformance_time_limit,
            snapshot_dir=Path(option.conformance_snapshot_dir).absolute(),
            seed=option.conformance_seed,
        )
        return request

    def watch(self) -> None:
        """Add what writes the report: in processes that run cases, and where the run is governed."""
        plugins, folder = self.config.pluginmanager, self.config.option.conformance_report
        if folder is not None:
            plugins.register(Sender())
            if not hasattr(self.config, "workerinput"):
                plugins.register(Writer(folder, self.subjects, cases(self.subjects, self.families, self.expected)))

    def show(self) -> None:
        """Show on a terminal how far the run is."""
        plugins = self.config.pluginmanager
        reporter: Any = plugins.get_plugin("terminalreporter")
        if wanted(self.config, reporter):
            plugins.register(Progress(reporter))

    def header(self) -> list[str]:
        """Lines about the suite, MXNet, Python and every numeric switch set in the environment."""
        lines = [
            f"conformance {version('gluon-conformance')}: {len(self.subjects)} subject(s), "
            f"snapshots {recorded_version()}, ctx {POOL.settings.ctx}, seed {POOL.settings.seed}, "
            f"Python {platform.python_version()}"
        ]
        lines += _device_lines() if POOL.settings.ctx == "gpu" else ask_build("describe")
        return [*lines, f"numeric switches: {' '.join(numeric_switches()) or 'none set'}"]

    def prepare(self) -> None:
        """Build and trace every subject the user brought, where there is a device for it.

        Raises:
            pytest.UsageError: If a subject cannot be imported, built or fed as asked. A subject's crash is left to
                the checks; so is a GPU that cannot be used, as its checks are skipped with the reason.
        """
        if POOL.settings.ctx == "gpu" and preflight("gpu").problems:
            return
        for subject in self.subjects:
            if subject.kind == "reference" and subject.weights is None and subject.trainer is None:
                continue
            result = POOL.worker(subject).run(PREPARE)
            if result.outcome == "refused":
                POOL.close()
                raise pytest.UsageError(result.text)
            # A stage that ended the process here is tried once more, so that a check fails by name.
            POOL.worker(subject).fatal_stages.clear()
        if getattr(self.config.option, "numprocesses", None):
            POOL.close()  # xdist's processes run the checks, and may wait for the place that this one has on a GPU

    def parameters(self) -> list[Any]:
        """The requested cases as pytest's parameters."""
        ctx = self.config.option.conformance_ctx
        return [parameter(case) for case in cases(self.subjects, self.families, self.expected, ctx)]

    def finish(self, session: pytest.Session) -> None:
        """End the worker; a run that executed nothing, or left out a check that applies, is not green."""
        POOL.close()
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or session.config.option.collectonly or session.exitstatus != pytest.ExitCode.OK:
            return
        if not any(reporter.stats.get(outcome) for outcome in ("passed", "failed", "error", "xfailed", "xpassed")):
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        elif any(end.outcome == "not executed" for end in ends(reporter).values()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _device_lines() -> list[str]:
    """Lines about MXNet and the GPUs, or why there is none that can be used."""
    found = preflight("gpu")
    if found.problems:
        return [f"no usable GPU, so nothing is executed: {found.problems[0]}"]
    names = [f"{'' if device.usable else 'not used: '}{device.words}" for device in found.devices]
    switches = " ".join(f"{name}={os.environ.get(name, value)}" for name, value in REPEATABLE)
    return [*ask_build("describe"), *names, f"on the device: {switches}"]


def read_expected(files: list[str]) -> tuple[ExpectedFailure, ...]:
    """Read the files of expected failures, less what is not for this build of MXNet.

    Raises:
        RequestError: In one line, if a file is wrong.
        pytest.UsageError: If MXNet's version matters and MXNet cannot be used.
    """
    entries = [entry for file in files for entry in read_file(Path(file), date.today())]

    return for_build(entries, lambda: ask_build("facts"))


def ask_build(question: str) -> Any:
    """Ask MXNet's build something, in a process of its own.

    Args:
        question: The name of a function of ``conformance.describe``.

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
