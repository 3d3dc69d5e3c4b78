"""``python -m conformance compare``: the verdict on two folders of recordings, as tables or as JSON."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from conformance.contract.tolerances import RECORDED
from conformance.tensors.recording_diff import Comparison, Verdict, compare_records, first_failure
from conformance.tensors.recording_file import SECTIONS, Unreadable, read_folder

SHOWN = 6
"""Tensors of a subject that are described in full."""
PIPE_WIDTH = 140
"""Columns of a table that is not shown on a terminal."""


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare``."""
    parser.add_argument("expected", type=Path, metavar="A", help="folder of recordings that is taken as right")
    parser.add_argument("actual", type=Path, metavar="B", help="folder of recordings to compare with it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


@dataclass(frozen=True)
class Verdicts:
    """What was found: the subjects that both folders have, and those that only one has, with the other's name."""

    comparisons: tuple[Comparison, ...]
    missing: Mapping[str, str]

    @property
    def agree(self) -> bool:
        """Whether all subjects are there twice and agree."""
        return not self.missing and all(comparison.agrees for comparison in self.comparisons)

    @property
    def conclusion(self) -> str:
        """One line that says it all."""
        if self.agree:
            return f"agree: {', '.join(comparison.expected.subject for comparison in self.comparisons)}"
        parts = [f"{name} (not in {folder})" for name, folder in self.missing.items()]
        for comparison in self.comparisons:
            if comparison.first is not None:
                parts.append(f"{comparison.expected.subject} (first diverging layer: {place(comparison.first)})")
        return f"differ: {', '.join(parts)}"


def place(verdict: Verdict) -> str:
    """The layer of a tensor, or the tensor's name where it belongs to none."""
    return verdict.tensor.layer or verdict.tensor.name


def run_compare(arguments: argparse.Namespace) -> int:
    """Compare two folders and print what was found.

    Returns:
        0 if they agree, 1 if they do not.

    Raises:
        Unreadable: If there is nothing to compare, or a file cannot be read.
    """
    found = compare_folders(arguments.expected, arguments.actual)
    if arguments.json:
        print(json.dumps(as_json(found), indent=1))
    else:
        _print(found)
    return 0 if found.agree else 1


def compare_folders(expected: Path, actual: Path) -> Verdicts:
    """Compare the recordings of two folders, subject by subject.

    Raises:
        Unreadable: If they have no subject in common, or a file cannot be read.
    """
    left, right = read_folder(expected), read_folder(actual)
    common = [name for name in left if name in right]
    if not common:
        raise Unreadable(f"no subject in common: {expected} has {', '.join(left)}; {actual} has {', '.join(right)}")
    missing = {name: str(actual) for name in left if name not in right}
    missing |= {name: str(expected) for name in right if name not in left}
    return Verdicts(tuple(compare_records(left[name], right[name]) for name in common), missing)


def _print(found: Verdicts) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    shown: tuple[Mapping[str, str], ...] = ()
    for comparison in found.comparisons:
        machines = (comparison.expected.machine, comparison.actual.machine)
        if machines != shown:
            console.print(machines_table(*machines))
            shown = machines
        console.print(sections_table(comparison))
        failures = [verdict for verdict in comparison.verdicts if verdict.fails]
        for verdict in failures[:SHOWN]:
            console.print(f"  {verdict.tensor.section}: {verdict.text}", markup=False, highlight=False, soft_wrap=True)
        if len(failures) > SHOWN:
            console.print(f"  and {len(failures) - SHOWN} more", highlight=False)
    console.print(found.conclusion, markup=False, highlight=False, soft_wrap=True)


def machines_table(expected: Mapping[str, str], actual: Mapping[str, str]) -> Table:
    """Where the two were recorded; what is the same stands once."""
    table = Table("what", "A", "B", title="recorded on")
    for what in dict.fromkeys([*expected, *actual]):
        before, after = expected.get(what, "-"), actual.get(what, "-")
        table.add_row(what, before, "the same" if before == after else after)
    return table


def sections_table(comparison: Comparison) -> Table:
    """One subject: how many tensors of each section agree, how well, and the first layer that does not."""
    columns = ("tensors", "bit-identical", "within", "beyond", "missing", "largest difference", "allowed")
    table = Table("section", *columns, "first diverging layer", title=comparison.expected.subject)
    for section, title in SECTIONS.items():
        verdicts = comparison.section(section)
        outcomes = [verdict.outcome for verdict in verdicts]
        counts = (str(outcomes.count(outcome)) for outcome in ("identical", "within", "beyond", "missing"))
        worst = max(verdicts, key=lambda verdict: verdict.share, default=None)
        first = first_failure(verdicts)
        numbers = (f"{worst.difference:.2g}", f"{worst.allowed:.2g}") if worst else ("-", "-")
        table.add_row(title, str(len(verdicts)), *counts, *numbers, place(first) if first else "none")
    return table


def as_json(found: Verdicts) -> dict[str, Any]:
    """All that was found, bit-identical tensors aside, as JSON has it."""
    return {
        "agree": found.agree,
        "conclusion": found.conclusion,
        "missing": dict(found.missing),
        "tolerances": {name: {"bound": t.bound, "provenance": t.provenance} for name, t in RECORDED.items()},
        "subjects": {comparison.expected.subject: _subject(comparison) for comparison in found.comparisons},
    }


def _subject(comparison: Comparison) -> dict[str, Any]:
    first = comparison.first
    return {
        "agree": comparison.agrees,
        "first_diverging_layer": place(first) if first else None,
        "machines": [dict(comparison.expected.machine), dict(comparison.actual.machine)],
        "sections": {section: _section(comparison.section(section)) for section in SECTIONS},
    }


def _section(verdicts: list[Verdict]) -> dict[str, Any]:
    first = first_failure(verdicts)
    return {
        "tensors": len(verdicts),
        "identical": sum(verdict.outcome == "identical" for verdict in verdicts),
        "first_diverging_layer": place(first) if first else None,
        "different": [
            {
                "name": verdict.tensor.name,
                "layer": verdict.tensor.layer,
                "outcome": verdict.outcome,
                # JSON has no infinity, which is the relative difference of a tensor that should be all zeros
                "difference": verdict.difference if math.isfinite(verdict.difference) else None,
                "allowed": verdict.allowed,
                "text": verdict.text,
            }
            for verdict in verdicts
            if verdict.outcome != "identical"
        ],
    }
