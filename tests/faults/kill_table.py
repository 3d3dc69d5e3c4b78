"""The kill matrix in words: what was caught by what, as lines for a terminal and as a Markdown table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from conformance.checks.catalogue import CHECKS
from corpus import EQUIVALENT, Fault

SNAPSHOT = "structure.snapshot"
NAMED_AT_LEAST = 0.95
IDS = [check.id for check in CHECKS if not check.ctx]
ENDS = ("crashed", "hung")


@dataclass(frozen=True)
class Kill:
    """What one fault met in one setting.

    Attributes:
        checks: Id of each check that failed, in the catalogue's order.
        place: The place that the first of them named.
        text: Its message.
    """

    checks: tuple[str, ...] = ()
    place: str = ""
    text: str = ""


@dataclass(frozen=True)
class Row:
    """One fault's end as a claim and as a block of one's own, and the seconds that both took."""

    fault: Fault
    claim: Kill
    own: Kill | None
    seconds: float

    @property
    def rerecorded(self) -> Kill | None:
        """What is left where the snapshot was recorded from the faulty network itself."""
        if self.own is None:
            return None
        return Kill(tuple(check for check in self.own.checks if check != SNAPSHOT))

    @property
    def settings(self) -> tuple[Kill | None, ...]:
        """As a claim, as an own block, and that with its own snapshot."""
        return self.claim, self.own, self.rerecorded

    def names_place(self, kill: Kill | None) -> bool | None:
        """Whether the first failure names the fault's place; None where there is nothing to name."""
        if kill is None or not kill.checks or not self.fault.place or kill.checks[0] in ENDS:
            return None
        return kill.place == self.fault.place

    def __str__(self) -> str:
        """One line, with more where it survives or its place is not named."""
        counts = "/".join("-" if kill is None else str(len(kill.checks)) for kill in self.settings)
        lines = [f"{self.fault.id}: caught by {counts} checks in {self.seconds:.0f} s"]
        if not self.claim.checks:
            lines.append("    SURVIVES as a claim")
        for kill in (self.claim, self.own):
            if kill is not None and self.names_place(kill) is False:
                said = kill.text.partition("\n")[0][:200]
                lines.append(f"    {kill.checks[0]} names {kill.place!r}, not {self.fault.place!r}: {said}")
        return "\n".join(lines)


class Summary(NamedTuple):
    """Survivors and the fraction of places named as claims, and the lines that say it."""

    survivors: int
    named: float
    lines: list[str]


def _fraction(values: Iterable[bool | None]) -> tuple[int, int]:
    told = [value for value in values if value is not None]
    return sum(told), len(told)


def summary(rows: Sequence[Row]) -> Summary:
    """Count faults, survivors and places named."""
    survivors = [row.fault.id for row in rows if not row.claim.checks]
    right, told = _fraction(row.names_place(row.claim) for row in rows)
    own_right, own_told = _fraction(row.names_place(row.own) for row in rows)
    named = right / told if told else 1.0
    kept = sum(bool(row.own and row.own.checks) for row in rows)
    left = sum(bool(row.rerecorded and row.rerecorded.checks) for row in rows)
    whole = sum(row.own is not None for row in rows)
    lines = [
        f"{len(rows)} faults, {len(survivors)} survivors as claims{': ' if survivors else ''}{', '.join(survivors)}",
        f"as own blocks with a snapshot of the right network: {kept} of {whole} caught",
        f"as own blocks with a snapshot of the faulty network: {left} of {whole} caught",
        f"the first failure names the faulty layer: {right} of {told} as claims ({named:.1%}), "
        f"{own_right} of {own_told} as own blocks",
    ]
    return Summary(len(survivors), named, lines)


def _numbers(kill: Kill | None) -> str:
    if kill is None:
        return ""
    return " ".join(str(IDS.index(check) + 1) if check in IDS else check for check in kill.checks) or "–"


def _worth(rows: Sequence[Row]) -> list[str]:
    """A line a check: what it caught in each setting, and what it alone caught."""
    counts: list[Counter[str]] = [Counter(), Counter(), Counter()]
    alone: Counter[str] = Counter()
    for row in rows:
        for count, kill in zip(counts, row.settings, strict=True):
            count.update(kill.checks if kill else ())
        sole = {kill.checks[0] for kill in row.settings if kill is not None and len(kill.checks) == 1}
        alone.update(sole)
    return [
        f"| {place} | `{check}` | {' | '.join(str(count[check]) for count in counts)} | {alone[check]} |"
        for place, check in enumerate(IDS, 1)
    ]


def table(rows: Sequence[Row]) -> str:
    """The whole document."""
    places = {True: "yes", False: "no", None: ""}
    return "\n".join(
        [
            "# Kill matrix",
            "",
            "Which checks refuse which fault. Written by `nox -s faults`, which runs every fault of the corpus in",
            "`tests/faults/corpus*.py` through the whole catalogue: as a *claim* to be the right network; as an *own*",
            "block whose snapshot is the right network's; and *re-recorded*, where the snapshot was taken from the",
            "faulty network itself, so that only what a network must hold by itself can tell. A fault is tried in the",
            "smallest network that has the layer, built from the same classes as the twelve.",
            "",
            *(f"- {line}" for line in summary(rows).lines),
            "",
            "## What each check is worth",
            "",
            "Faults that it refuses in each setting, and faults that it alone refuses in one of them.",
            "",
            "| number | check | claim | own | re-recorded | alone |",
            "| --- | --- | --- | --- | --- | --- |",
            *_worth(rows),
            "",
            "## Faults",
            "",
            "The numbers are those of the checks above; *named* says whether the first failure of the claim names",
            "the place.",
            "",
            "| fault | kind | place | claim | own | re-recorded | named |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| {row.fault.id} | {row.fault.kind} | {row.fault.place} | "
                f"{' | '.join(_numbers(kill) for kill in row.settings)} | {places[row.names_place(row.claim)]} |"
                for row in rows
            ),
            "",
            "## No faults",
            "",
            "Changes that no run can tell from the right network are not in the corpus:",
            "",
            *(f"- {what}: {why}" for what, why in EQUIVALENT),
            "",
        ]
    )
