"""The options that the plugin adds to pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.checks.catalogue import FAMILIES
from conformance.contract.subject import Subject
from conformance.worker.process import Settings

Show = Callable[[Subject, Settings], str]


def _nothing(subject: Subject, settings: Settings) -> str:
    return ""


def _subject(subject: Subject, settings: Settings) -> str:
    return f"{subject.name}={subject.build}" if isinstance(subject.build, str) else subject.name


@dataclass(frozen=True)
class Option:
    """One option of the plugin.

    Attributes:
        settings: What pytest is told of it.
        show: Gives the value that asks for a subject and for settings again; empty where none is needed.
    """

    settings: Mapping[str, Any]
    show: Show


def option(show: Show = _nothing, **settings: Any) -> Option:
    """Describe an option."""
    return Option(settings, show)


OPTIONS: dict[str, Option] = {
    "--subject": option(
        action="append",
        default=[],
        dest="conformance_subjects",
        metavar="NAME[=MODULE:ATTRIBUTE|=FILE.onnx]",
        help=(
            "what to test: a reference network, a claim to be one (a HybridBlock, PyTorch module or ONNX file), or "
            "(with --input-shape) your own block; repeatable; default: the 12 reference networks"
        ),
        show=_subject,
    ),
    "--reference": option(
        dest="conformance_reference",
        metavar="MODULE:ATTRIBUTE",
        help="what your own block claims to be: it is compared with what this builds, operator by operator",
        show=lambda subject, _: subject.reference if isinstance(subject.reference, str) else "",
    ),
    "--trainer": option(
        dest="conformance_trainer",
        metavar="MODULE:ATTRIBUTE",
        help="a training loop of your own, which the family training then watches",
        show=lambda subject, _: subject.trainer if isinstance(subject.trainer, str) else "",
    ),
    "--input-shape": option(
        dest="conformance_input_shape",
        metavar="C,H,W",
        help="shape of one input of your own block",
        show=lambda subject, _: "" if subject.specification else ",".join(map(str, subject.input_shape or ())),
    ),
    "--weights": option(
        dest="conformance_weights",
        metavar="FILE.params",
        help="trained weights of the subject, used by the numeric checks",
        show=lambda subject, _: str(subject.weights or ""),
    ),
    "--images": option(
        dest="conformance_images",
        metavar="DIR",
        help="image files on which a claim's predictions are compared; default: packaged images of Fashion-MNIST",
        show=lambda subject, _: str(subject.images or ""),
    ),
    "--seed": option(
        dest="conformance_seed",
        type=int,
        default=0,
        metavar="N",
        help="which weights, images and dropout masks the numeric checks use (default: %(default)s)",
        show=lambda _, settings: str(settings.seed or ""),
    ),
    "--ctx": option(
        dest="conformance_ctx",
        default="cpu",
        choices=("cpu", "gpu"),
        help="the device",
        show=lambda _, settings: settings.ctx if settings.ctx != "cpu" else "",
    ),
    "--family": option(
        dest="conformance_families",
        default="",
        metavar="A,B",
        help=f"families to run: {', '.join(FAMILIES)}",
    ),
    "--snapshot-dir": option(
        dest="conformance_snapshot_dir",
        default="snapshots",
        metavar="DIR",
        help="where snapshots of your own blocks are (default: ./snapshots)",
    ),
    "--expected-failures": option(
        action="append",
        default=[],
        dest="conformance_expected_failures",
        metavar="FILE",
        help="TOML file of checks that must fail, each with its reason and a link; repeatable",
    ),
    "--conformance-report": option(
        dest="conformance_report",
        type=Path,
        metavar="DIR",
        help="write a report into this folder: index.html to look at, report.json for machines",
    ),
    "--time-limit": option(
        dest="conformance_time_limit",
        type=float,
        default=Settings.time_limit,
        metavar="SECONDS",
        help="seconds one check may take before it counts as hung (default: %(default)s)",
    ),
}
"""Flag -> what it is, in the order in which a command shows them."""


def shown(subject: Subject, settings: Settings) -> str:
    """The options that ask for a subject and for settings again."""
    values = ((flag, each.show(subject, settings)) for flag, each in OPTIONS.items())
    return " ".join(f"{flag} {value}" for flag, value in values if value)


def add_options(parser: pytest.Parser) -> None:
    """Add the catalogue's options to pytest's parser."""
    group = parser.getgroup("conformance", "conformance of MXNet Gluon networks")
    for flag, each in OPTIONS.items():
        group.addoption(flag, **each.settings)
