"""The corpus of faults: each a single thing that is wrong in a small network, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from conformance import Subject
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import Build
from flaws import Patch
from small_networks import claim, own, patched_build

#: What stands for a fault that is in no one layer: nothing needs to be named.
NOWHERE = ""
ITSELF = "the network itself"


@dataclass(frozen=True)
class Fault:
    """A single fault.

    Attributes:
        kind: What it is a fault of: layer, wiring, size, parameters, head, execution, files, training, loop.
        what: What is wrong, in a few words.
        network: The small network it is in, or one of the twelve where it must learn.
        place: Path of the first layer in graph order that is wrong, of the reference's where one is missing.
        build: What builds the network with the fault.
        families: The families that it is run through; all where empty.
    """

    kind: str
    what: str
    network: str
    place: str
    build: Build | None
    families: tuple[str, ...] = ()

    @property
    def bare(self) -> Fault:
        """The same without what builds it, which other processes need not read."""
        return replace(self, build=None)

    @property
    def id(self) -> str:
        """Network and fault."""
        return f"{self.network}: {self.what}"

    @property
    def claim(self) -> Subject:
        """The faulty network as a claim to be the right one."""
        if self.network in SPECIFICATIONS:
            return Subject(self.network, build=self.build)
        return claim(self.network, self.build)

    @property
    def own(self) -> Subject:
        """The faulty network as a block of one's own."""
        return own(self.network, self.build)


def faults(kind: str, rows: Iterable[tuple[str, str, str, Patch]]) -> tuple[Fault, ...]:
    """Read rows of a table: what, network, place, patch."""
    return tuple(
        Fault(kind, what, network, place, patched_build(network, patch)) for what, network, place, patch in rows
    )


def built(kind: str, rows: Iterable[tuple[str, str, str, Callable[..., Any]]]) -> tuple[Fault, ...]:
    """Read rows of a table whose faults are other arguments of a network: what, network, place, build."""
    return tuple(Fault(kind, *row) for row in rows)


#: Changes that are no faults, as nothing can tell them from the right network by any run: what, and why.
EQUIVALENT = (
    (
        "relu and max pooling exchanged",
        "relu never decreases, so the largest of rectified values is the rectified largest",
    ),
    (
        "a transition's average pooling before its 1x1 convolution",
        "both are linear, and the convolution treats every position alike: the same sums in another order",
    ),
    ("`count_include_pad` of a pooling without padding", "there is no padding to be counted"),
    ("a relu called twice", "the second one changes nothing, as what enters is not negative"),
)
