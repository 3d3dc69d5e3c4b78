"""How a check ends: holds, fails with problems that know their place, or says nothing; and the result as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from conformance.contract.measurement import Measurement

Outcome = Literal["passed", "failed", "not applicable", "not executed", "refused", "crashed", "hung"]
SHOWN = 8
"""Problems of one sort that a failure lists: the rest only follows."""


class NotApplicable(Exception):
    """The check does not apply to this subject, device or build; the text is the reason."""


class NotExecuted(Exception):
    """The check could not be tried, as something it needs has crashed or hung before."""


class Answer(str):
    """What a check that holds has to tell: a run shows it at its end."""


class Vacuous(AssertionError):
    """The check did not do what its name says, so it proved nothing."""


class Problem(str):
    """One mismatch in words.

    Attributes:
        place: The layer it is in, as its block's structural path; empty where no layer can be named.
    """

    place: str

    def __new__(cls, text: str, place: str = "") -> Problem:
        """Put a mismatch into words."""
        problem = super().__new__(cls, text)
        problem.place = place
        return problem


#: The place of what a network does itself, outside of all blocks that it is made of.
ITSELF = "the network itself"


def owner(parameter: str) -> str:
    """The block that a parameter belongs to, by its structural name."""
    return parameter.rpartition(".")[0] or ITSELF


class Refused(AssertionError):
    """A check's failure: all its problems, and the first layer that diverges, where one can be named."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Join the problems; the first that knows its place gives the place."""
        lines = list(problems)
        self.place = next((line.place for line in lines if isinstance(line, Problem) and line.place), "")
        super().__init__("\n".join(lines))


def refuse(problems: Iterable[str]) -> None:
    """Fail with all problems of a check at once.

    Raises:
        Refused: If there is any problem.
    """
    lines = list(problems)
    if lines:
        raise Refused(lines)


@dataclass(frozen=True)
class Result:
    """What became of one check.

    Attributes:
        outcome: How it ended.
        text: Its message.
        place: The first layer that diverges, where one can be named.
        payload: A manifest where one was asked for.
        output: What the worker printed.
        measurements: What was measured beside its bound: all that names a layer, the rest in part.
        compared: How many tensors and quantities were compared.
        curves: Values by name, one an epoch.
        peak: Most memory that the worker process had in use until then, in bytes; 0 where it is not known.
    """

    outcome: Outcome
    text: str = ""
    place: str = ""
    payload: str | None = None
    output: str = ""
    measurements: tuple[Measurement, ...] = ()
    compared: int = 0
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    peak: int = 0
