"""What a check is: one property, one function, with an id, a title, a remedy and a source."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conformance.contract.specification import REPRESENTATIVES
from conformance.contract.subject import Kind, Subject
from conformance.contract.switches import Switches
from conformance.contract.task import Task

EVERY: frozenset[Kind] = frozenset({"reference", "claim", "own"})
NETWORKS: frozenset[Kind] = frozenset({"reference", "claim"})
CLAIMS: frozenset[Kind] = frozenset({"claim"})


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
        function: ``check_<property>(part, ..., variant)``; its parameters name the parts that it needs of the subject's
            bench (`conformance.worker.bench`), and last the variant where it has any; raises AssertionError.
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

    def task(self, variant: str) -> Task:
        """What the subject's process is to do."""
        name = f"{self.function.__module__}:{self.function.__name__}"
        return Task(name, (variant,) if variant else (), " ".join(filter(None, (self.id, variant))))

    @property
    def title(self) -> str:
        """What holds: the first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def remedy(self) -> str:
        """Why it matters and what to do when it fails: the rest of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[2].strip()
