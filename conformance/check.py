"""What a check is: one property, one function, with an id, a title, a remedy and a source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from conformance.devices import Switches
from conformance.specification import REPRESENTATIVES
from conformance.subject import Kind, Subject

EVERY: frozenset[Kind] = frozenset({"reference", "claim", "own"})
NETWORKS: frozenset[Kind] = frozenset({"reference", "claim"})
CLAIMS: frozenset[Kind] = frozenset({"claim"})


class NotApplicable(Exception):
    """The check does not apply to this subject, device or build; the text is the reason."""


class NotExecuted(Exception):
    """The check could not be tried, as something it needs has crashed or hung before."""


class Answer(str):
    """What a check that holds has to tell: a run shows it at its end."""


class Vacuous(AssertionError):
    """The check did not do what its name says, so it proved nothing."""


def always(subject: Subject) -> str:
    """Apply to every subject."""
    return ""


def one_of_a_family(subject: Subject) -> str:
    """Of the references only the smallest of each family: the others are made of the same operators."""
    if subject.kind == "reference" and subject.architecture not in REPRESENTATIVES:
        return f"the smallest network of each family stands for it: {', '.join(REPRESENTATIVES)}"
    return ""


def unless_representative(subject: Subject) -> str:
    """Apply to own blocks and to the smallest network of each family: the others train slowly and alike."""
    if subject.architecture is None or subject.architecture in REPRESENTATIVES:
        return ""
    return f"trained is only the smallest network of each family: {', '.join(REPRESENTATIVES)}"


def no_switches(variant: str) -> Switches:
    """Run in the environment of the run."""
    return ()


@dataclass(frozen=True)
class Check:
    """A property that a subject must have.

    Attributes:
        function: ``check_<property>(bench)`` or ``check_<property>(bench, variant)``; raises AssertionError.
        source: URL or section that states the property.
        variants: The variants of execution it is run in, or none.
        kinds: The kinds of subject it is run on.
        unless: Gives the reason why it does not apply to a subject, or an empty text.
        ctx: The only sort of device it is run on, ``gpu``; empty where it is run on any.
        switches: Gives the environment variables of the process that a variant is run in.
    """

    function: Callable[..., Any]
    source: str
    variants: tuple[str, ...] = ()
    kinds: frozenset[Kind] = EVERY
    unless: Callable[[Subject], str] = always
    ctx: str = ""
    switches: Callable[[str], Switches] = no_switches

    @property
    def family(self) -> str:
        """The file it stands in."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def id(self) -> str:
        """``family.property``."""
        return f"{self.family}.{self.function.__name__.removeprefix('check_')}"

    @property
    def title(self) -> str:
        """What holds: the first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def remedy(self) -> str:
        """Why it matters and what to do when it fails: the rest of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[2].strip()


def cause(error: Exception) -> str:
    """The line of an error that says what happened; MXNet puts a listing of C++ frames before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return next((line for line in lines if "Error:" in line or "failed:" in line), lines[0])


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
