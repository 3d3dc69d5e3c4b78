"""What checks measure: every number beside its bound, also where it holds, so that a report can show both.

A check compares as it always does; :func:`conformance.tensors.comparison.compare` and the few checks that bound
something else than a tensor note what they saw. Whoever runs the check opens a notebook around it. Without one,
nothing is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

SHOWN = 20
"""Measurements that name no layer which are kept of a check: those nearest to their bound."""


@dataclass(frozen=True)
class Measurement:
    """One number beside what is allowed.

    Attributes:
        what: The tensor or quantity.
        value: The largest difference, or the quantity itself.
        allowed: The bound; 0 means bit for bit, None that there is none and the number is for looking at.
        origin: Where the bound comes from.
        place: The layer, as its block's structural path; empty where no layer can be named.
        scale: Largest magnitude of the expected tensor.
        least: Whether the bound is a lower one.
        count: How many tensors it speaks for.
    """

    what: str
    value: float
    allowed: float | None
    origin: str = ""
    place: str = ""
    scale: float = 1.0
    least: bool = False
    count: int = 1

    @property
    def share(self) -> float:
        """The part of the bound that is used up: 1 is all of it; infinite where nothing is allowed and something is."""
        if self.allowed is None or self.value == self.allowed == 0:
            return 0.0
        above, below = (self.allowed, self.value) if self.least else (self.value, self.allowed)
        return above / below if below else math.inf


@dataclass
class Notebook:
    """The measurements of one check, and its curves: values by name, one an epoch."""

    measurements: list[Measurement] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        """How many tensors and quantities were compared with a bound."""
        return sum(each.count for each in self.measurements if each.allowed is not None)

    def kept(self) -> tuple[Measurement, ...]:
        """All measurements that name a layer, and of the others those nearest to their bound, in their order."""
        others = sorted((each for each in self.measurements if not each.place), key=lambda each: -each.share)
        kept = {id(each) for each in others[:SHOWN]}
        return tuple(each for each in self.measurements if each.place or id(each) in kept)


_OPEN: ContextVar[Notebook | None] = ContextVar("notebook", default=None)


@contextmanager
def measuring() -> Iterator[Notebook]:
    """Open a notebook for what is measured inside."""
    notebook = Notebook()
    before = _OPEN.set(notebook)
    try:
        yield notebook
    finally:
        _OPEN.reset(before)


def note(measurement: Measurement) -> None:
    """Write a measurement down, if a notebook is open."""
    notebook = _OPEN.get()
    if notebook is not None:
        notebook.measurements.append(measurement)


def note_exact(what: str, total: int, different: int) -> None:
    """Write down that tensors were compared bit for bit by their checksums.

    Args:
        what: What they are.
        total: How many.
        different: How many of them differ.
    """
    note(Measurement(f"{what} that differ, of {total}", different, 0.0, "bit for bit", count=total))


def note_curve(name: str, values: Sequence[float]) -> None:
    """Write a curve down, if a notebook is open: one value an epoch."""
    notebook = _OPEN.get()
    if notebook is not None:
        notebook.curves[name] = list(values)
