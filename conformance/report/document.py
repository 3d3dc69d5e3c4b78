"""The report of a run as data: ``report.json``, whose form ``report.schema.json`` describes."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from conformance.checks.catalogue import CHECKS
from conformance.contract.outcomes import Result
from conformance.contract.subject import RequestError, Subject
from conformance.machine.environment import numeric_switches, processor

FORMAT, VERSION = "gluon-conformance report", 1
LOST = ("crashed", "hung")
BAD = (*LOST, "failed")
"""Outcomes that make a run fail, the worst first."""


class UnreadableReport(RequestError):
    """A file that is no report, is damaged or is too new; the text is one line that names it."""


class End(NamedTuple):
    """How a case ended.

    Attributes:
        id: ``subject-family.check`` or ``subject-family.check-variant``.
        subject, family, check, variant: Its parts.
        outcome: ``passed``, ``failed``, ``crashed``, ``hung``, ``not applicable``, ``not executed`` or
            ``expected failure``.
        reason: Why it does not apply, was not executed or must fail.
        line: A failure in one line.
        told: What a check that holds has to tell.
    """

    id: str
    subject: str
    family: str
    check: str
    variant: str
    outcome: str
    reason: str = ""
    line: str = ""
    told: str = ""


@dataclass(frozen=True)
class Setup:
    """What a run was made with.

    Attributes:
        facts: The answer of ``conformance.machine.build.facts``.
        ctx, seed, time_limit: The device, what chose weights and images, and the limit of one check in seconds.
        snapshots: The version of the recorded snapshots.
        subjects: What was tested.
        started: When, in UTC.
    """

    facts: Mapping[str, Any]
    ctx: str
    seed: int
    time_limit: float
    snapshots: str
    subjects: tuple[Subject, ...]
    started: datetime


def details(result: Result, repeat: str) -> dict[str, Any]:
    """What a case's report carries from the process that ran it, made of what JSON and xdist can carry."""
    return {
        "text": result.text,
        "first_diverging_layer": result.place or None,
        "output": result.output,
        "repeat": repeat,
        "peak_memory_bytes": result.peak or None,
        "compared": result.compared,
        "measurements": [_finite(asdict(each)) for each in result.measurements],
        "curves": {name: list(values) for name, values in result.curves.items()},
    }


def _finite(measurement: dict[str, Any]) -> dict[str, Any]:
    """A measurement with None for what is not finite, which JSON cannot say, and its place as JSON says it."""
    for key in ("value", "allowed", "scale"):
        if measurement[key] is not None and not math.isfinite(measurement[key]):
            measurement[key] = None
    return measurement | {"value": measurement["value"], "place": measurement["place"] or None}


def result_of(end: End, seconds: float, carried: Mapping[str, Any], text: str) -> dict[str, Any]:
    """One entry of the report's results.

    Args:
        end: How the case ended.
        seconds: How long it took.
        carried: Its :func:`details`, or nothing where its process never sent any.
        text: What pytest says of it.
    """
    passed = end.outcome in ("passed", "not applicable", "not executed")
    carried = {**details_of_nothing(), **carried}
    return {
        "id": end.id,
        "subject": end.subject,
        "family": end.family,
        "check": end.check,
        "variant": end.variant or None,
        "outcome": end.outcome,
        "reason": end.reason or None,
        "seconds": round(seconds, 3),
        **carried,
        "text": "" if passed else carried["text"] or text,
    }


def details_of_nothing() -> dict[str, Any]:
    """The details of a case whose process never sent any."""
    texts = {"text": "", "first_diverging_layer": None, "output": "", "repeat": None, "peak_memory_bytes": None}
    return {**texts, "compared": 0, "measurements": [], "curves": {}}


def document(
    setup: Setup, results: list[dict[str, Any]], drawings: Mapping[str, Any], not_begun: int, exit_code: int
) -> dict[str, Any]:
    """The whole report.

    Args:
        setup: What the run was made with.
        results: One :func:`result_of` a case.
        drawings: What `conformance.experiments.drawing` drew of each subject.
        not_begun: How many selected cases the run never began.
        exit_code: Of the run.
    """
    ended = datetime.now(timezone.utc)
    return {
        "format": FORMAT,
        "version": VERSION,
        "suite": {"version": version("gluon-conformance"), "snapshots": setup.snapshots},
        "run": {
            "started": setup.started.isoformat(timespec="seconds"),
            "seconds": round((ended - setup.started).total_seconds(), 1),
            "command": ["pytest", *sys.argv[1:]],
            "exit_code": exit_code,
            "seed": setup.seed,
            "time_limit": setup.time_limit,
            "not_begun": not_begun,
        },
        "environment": _environment(setup.facts),
        "build": {key: setup.facts[key] for key in ("mxnet", "folder", "features")},
        "devices": {
            "ctx": setup.ctx,
            "gpus": setup.facts["gpus"],
            "gpu_error": setup.facts["gpu_error"] or None,
        },
        "numeric_switches": numeric_switches(),
        "subjects": [_subject(subject, results, drawings.get(subject.name)) for subject in setup.subjects],
        "checks": [_check(check) for check in CHECKS if any(each["check"] == check.id for each in results)],
        "results": results,
    }


def _environment(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "numpy": facts["numpy"],
    }


def _subject(subject: Subject, results: Iterable[Mapping[str, Any]], drawing: Any) -> dict[str, Any]:
    own = [each for each in results if each["subject"] == subject.name]
    return {
        "name": subject.name,
        "kind": subject.kind,
        "architecture": subject.architecture,
        "build": subject.build if isinstance(subject.build, str) else None,
        "input_shape": list(subject.input_shape) if subject.input_shape else None,
        "seconds": round(sum(each["seconds"] for each in own), 1),
        "peak_memory_bytes": max((each["peak_memory_bytes"] or 0 for each in own), default=0) or None,
        "graph": drawing,
    }


def _check(check: Any) -> dict[str, Any]:
    told = {key: getattr(check, key) for key in ("id", "family", "title", "remedy", "source")}
    return {**told, "variants": list(check.variants)}


def counts(report: Mapping[str, Any]) -> Counter[str]:
    """How many results of a report have each outcome."""
    return Counter(each["outcome"] for each in report["results"])


def by_subject(report: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The results of a report by subject, in its order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in report["results"]:
        found[each["subject"]].append(each)
    return found


def read_report(path: Path) -> dict[str, Any]:
    """Read a report.

    Args:
        path: ``report.json``, or the folder it is in.

    Raises:
        UnreadableReport: If it is none, is damaged, or was written by a newer suite.
    """
    path = path / "report.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableReport(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UnreadableReport(f"{path}: damaged, or no report: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UnreadableReport(f"{path}: no report of --conformance-report")
    if found.get("version") != VERSION:
        raise UnreadableReport(f"{path}: version {found.get('version')!r} of the format; this suite reads {VERSION}")
    try:
        for each in found["results"]:
            _ = [each[key] for key in ("id", "subject", "check", "outcome", "text")], float(each["seconds"])
            _ = [(one["what"], one["value"], one["allowed"], one["scale"]) for one in each["measurements"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableReport(f"{path}: damaged: {type(error).__name__}: {error}") from None
    return found
