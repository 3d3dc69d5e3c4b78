"""``python -m conformance diff OLD NEW``: what broke between two reports, was mended, got slower or less exact."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from conformance.contract.subject import RequestError
from conformance.report.document import BAD, read_report

HELD = ("passed", "expected failure")
SLOWER, WORTH_SECONDS = 1.5, 1.0
"""A check got slower where it takes this many times as long, and at least so many seconds longer."""
GREW, VISIBLE = 2.0, 1e-3
"""An error grew where it uses up this many times as much of its tolerance, and at least this part of it."""
PIPE_WIDTH = 140
"""Columns of a table that is not shown on a terminal."""


@dataclass(frozen=True)
class Change:
    """One difference between two reports.

    Attributes:
        sort: broke, mended, slower, error grew, only in one of them, or other end.
        case: Subject, check and variant.
        before: What the old report says.
        after: What the new one says.
        detail: The layer, or how many times.
    """

    sort: str
    case: str
    before: str
    after: str
    detail: str = ""


ONLY = ("only in old", "only in new")
"""Counted, and not listed."""
SORTS = ("broke", "mended", "error grew", "slower", "other end", *ONLY)
"""In the order in which they are shown."""


def add_diff_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``diff``."""
    parser.add_argument("old", type=Path, metavar="OLD", help="report.json, or the folder it is in")
    parser.add_argument("new", type=Path, metavar="NEW", help="the report to compare with it")
    parser.add_argument(
        "--slower",
        type=float,
        default=SLOWER,
        metavar="RATIO",
        help=f"how many times the seconds count as slower, from {WORTH_SECONDS:g} s more on (default: %(default)s)",
    )


def run_diff(arguments: argparse.Namespace) -> int:
    """Compare two reports and print what changed.

    Returns:
        1 if something broke, else 0.

    Raises:
        RequestError: If a file cannot be read, or nothing is in both of them.
    """
    if not arguments.slower > 1:
        raise RequestError(f"--slower {arguments.slower:g}: allowed are ratios above 1")
    old, new = (_by_id(read_report(path)) for path in (arguments.old, arguments.new))
    both = [case for case in old if case in new]
    if not both:
        raise RequestError(f"no check is in both: {arguments.old} has {len(old)}, {arguments.new} has {len(new)}")
    found = sorted(changes(old, new, arguments.slower), key=lambda change: SORTS.index(change.sort))
    shown = [change for change in found if change.sort not in ONLY]
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    if shown:
        table = Table("what", "check", "old", "new", "", title=f"{arguments.old} → {arguments.new}")
        for change in shown:
            table.add_row(change.sort, change.case, change.before, change.after, change.detail)
        console.print(table, markup=False)
    numbers = ((sort, sum(change.sort == sort for change in found)) for sort in SORTS)
    parts = [f"{number} {sort}" for sort, number in numbers if number or sort in SORTS[:4]]
    console.print(f"{len(both)} checks in both: {', '.join(parts)}", markup=False, highlight=False, soft_wrap=True)
    return int(any(change.sort == "broke" for change in found))


def _by_id(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in report["results"]}


def changes(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], slower: float = SLOWER
) -> Iterator[Change]:
    """Every difference between the results of two reports, by id; a check may have more than one."""
    for case in dict.fromkeys([*old, *new]):
        if case not in new:
            yield Change("only in old", case, old[case]["outcome"], "-")
        elif case not in old:
            sort = "broke" if new[case]["outcome"] in BAD else "only in new"
            yield Change(sort, case, "-", new[case]["outcome"], _place(new[case]))
        else:
            yield from _changes(case, old[case], new[case], slower)


def _place(result: Mapping[str, Any]) -> str:
    """Where a failure starts, or the first line of what was found."""
    layer = result.get("first_diverging_layer")
    return f"first diverging layer: {layer}" if layer else str(result["text"]).partition("\n")[0][:80]


def _changes(case: str, old: Mapping[str, Any], new: Mapping[str, Any], slower: float) -> Iterator[Change]:
    """The differences of one check."""
    before, after = old["outcome"], new["outcome"]
    if after in BAD and before not in BAD:
        yield Change("broke", case, before, after, _place(new))
    elif before in BAD and after in HELD:
        yield Change("mended", case, before, after)
    elif before != after:
        yield Change("other end", case, before, after, new.get("reason") or "")
    seconds = old["seconds"], new["seconds"]
    if seconds[1] > slower * seconds[0] and seconds[1] - seconds[0] >= WORTH_SECONDS:
        ratio = f"{seconds[1] / seconds[0]:.1f} times" if seconds[0] else ""
        yield Change("slower", case, f"{seconds[0]:.1f} s", f"{seconds[1]:.1f} s", ratio)
    yield from _grown(case, old, new)


def _grown(case: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """The measurement whose error grew most, if any did."""
    before, after = _errors(old), _errors(new)
    ratios = {
        what: share / before[what] if before[what] else math.inf
        for what, share in after.items()
        if what in before and share >= VISIBLE and share > GREW * before[what]
    }
    if ratios:
        what = max(ratios, key=lambda each: (ratios[each], after[each]))
        told = f"{what}, {ratios[what]:.1f} times" if math.isfinite(ratios[what]) else f"{what}, was none"
        more = f" and {len(ratios) - 1} more" if len(ratios) > 1 else ""
        yield Change("error grew", case, f"{before[what]:.2g} of bound", f"{after[what]:.2g} of bound", told + more)


def _errors(result: Mapping[str, Any]) -> dict[str, float]:
    """The part of its upper bound that each measurement uses up."""
    return {
        each["what"]: each["value"] / each["allowed"]
        for each in result["measurements"]
        if each["allowed"] and each["value"] is not None and not each.get("least")
    }
