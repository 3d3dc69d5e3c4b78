"""A request: what the command line asks for, read and checked, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from conformance.contract.subject import RequestError, Subject, parse_subjects
from conformance.session.cases import Case, cases
from conformance.session.expected_failures import ExpectedFailure, for_build, read_file
from conformance.session.report_writer import prepare_folder
from conformance.worker.process import Settings


@dataclass(frozen=True)
class Request:
    """What one pytest run is asked for.

    Attributes:
        subjects: What is tested.
        families: Names of families, all where empty.
        expected: What must fail.
        settings: How workers run.
        report: Folder of the report, if one is asked for.
    """

    subjects: tuple[Subject, ...]
    families: tuple[str, ...]
    expected: tuple[ExpectedFailure, ...]
    settings: Settings
    report: Path | None = None

    @cached_property
    def cases(self) -> dict[str, Case]:
        """Every case that is asked for, by id, in order.

        Raises:
            RequestError: If a family or an expected failure names nothing.
        """
        found = cases(self.subjects, self.families, self.expected, self.settings.ctx)
        return {case.id: case for case in found}


def read_request(option: Any, facts: Callable[[], dict[str, Any]]) -> Request:
    """Read pytest's options.

    Args:
        option: Pytest's namespace of options.
        facts: Gives the answer of ``conformance.machine.build.facts``.

    Raises:
        pytest.UsageError: In one line, for anything wrong (exit code 4).
    """
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
        expected = read_expected(option.conformance_expected_failures, facts)
        request = Request(subjects, families, expected, _settings(option), option.conformance_report)
        _ = request.cases
        if request.report is not None:
            prepare_folder(request.report)
    except RequestError as error:
        raise pytest.UsageError(str(error)) from None
    if getattr(option, "update_snapshots", False) and (getattr(option, "numprocesses", None) or 0) > 1:
        raise pytest.UsageError("--snapshot-update needs one process: leave -n out, or snapshots can be lost")
    return request


def _settings(option: Any) -> Settings:
    if option.conformance_time_limit <= 0:
        raise RequestError(f"--time-limit {option.conformance_time_limit:g}: allowed are positive seconds")
    if option.conformance_seed < 0:
        raise RequestError(f"--seed {option.conformance_seed}: allowed are integers from 0 on")
    return Settings(
        option.conformance_ctx,
        option.conformance_time_limit,
        snapshot_dir=Path(option.conformance_snapshot_dir).absolute(),
        seed=option.conformance_seed,
    )


def read_expected(files: list[str], facts: Callable[[], dict[str, Any]]) -> tuple[ExpectedFailure, ...]:
    """Read the files of expected failures, less what is not for this build of MXNet.

    Raises:
        RequestError: In one line, if a file is wrong.
        pytest.UsageError: If MXNet's version matters and MXNet cannot be used.
    """
    entries = [entry for file in files for entry in read_file(Path(file), date.today())]
    return for_build(entries, facts)
