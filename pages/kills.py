"""The kill matrix, read back from docs/kill-matrix.md: which checks refuse which fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MATRIX = Path(__file__).parents[1] / "docs" / "kill-matrix.md"
SETTINGS = ("claim", "own", "re-recorded")


@dataclass(frozen=True)
class Fault:
    """One fault of the corpus.

    Attributes:
        name: What is wrong, in which small network.
        kind: Of what sort: layer, wiring, execution, loop ...
        refused: Ids of the checks that refuse it, for each of ``SETTINGS``; what ended its process has none.
        tried: Whether it was tried, for each of them.
    """

    name: str
    kind: str
    refused: tuple[frozenset[str], ...]
    tried: tuple[bool, ...]


def read_matrix(path: Path = MATRIX) -> list[Fault]:
    """Read the faults of a kill matrix.

    Args:
        path: What ``nox -s faults`` has written.
    """
    _, worth, rest = re.split(r"^## (?:What each check is worth|Faults)$", path.read_text(encoding="utf-8"), flags=re.M)
    checks = {number: check.strip("`") for number, check, *_ in _rows(worth)}
    return [
        Fault(
            name,
            kind,
            tuple(frozenset(checks[word] for word in cell.split() if word in checks) for cell in cells),
            tuple(bool(cell) for cell in cells),
        )
        for name, kind, _, *cells, _ in _rows(rest.partition("\n## ")[0])
    ]


def _rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of the one table in a text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])
