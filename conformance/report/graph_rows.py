"""A network's graph as rows to be drawn: operators in order, the connections that skip rows, errors and marks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

AROUND = 4
"""Rows before and after the first diverging one in an excerpt."""
SMALLEST = 1e-9
"""Errors, as parts of a layer's size, are drawn on a logarithmic scale from here to 1."""
NODE = re.compile(r"node (?P<position>\d+) (?P<operator>\S+) in ")
SOURCES = {"reference": "error from reference", "fused": "error when fused"}
"""What errors are of -> the title of their column."""
LANES = 4
"""Lanes beside the rows in which skipping connections run."""


@dataclass(frozen=True)
class Row:
    """One operator of a drawing.

    Attributes:
        position: Its place in the network's order.
        error: Its relative error where it is known.
        follows: Whether it reads from the row before.
        arcs: Skipping connections that end here: distance in rows, and the lane it runs in.
    """

    position: int
    operator: str
    layer: str
    attributes: str
    shape: str
    error: float | None
    follows: bool
    arcs: tuple[tuple[int, int], ...]

    @property
    def bar(self) -> int:
        """Length of the error's bar, 0 to 100."""
        if not self.error:
            return 0
        return round(100 * min(1.0, max(0.02, 1 - math.log10(self.error) / math.log10(SMALLEST))))


def diverging(graph: Sequence[Row], result: Mapping[str, Any]) -> int | None:
    """Position of the first row that diverges: the operator that the failure names, or its layer's first one."""
    layer = result["first_diverging_layer"]
    for match in NODE.finditer(result["text"]):
        position = int(match["position"])
        if position < len(graph) and (graph[position].operator, graph[position].layer) == (match["operator"], layer):
            return position
    return next((row.position for row in graph if layer and f"{row.layer}.".startswith(f"{layer}.")), None)


def source(drawing: Mapping[str, Any] | None) -> str:
    """Which errors of a drawing are shown: those from the reference, else those of the fused graph, if any."""
    return next((each for each in SOURCES if drawing and drawing[each]), "")


def rows(drawing: Mapping[str, Any] | None) -> list[Row]:
    """The rows of a subject's graph in the report; none where it could not be drawn."""
    if drawing is None:
        return []
    errors = drawing.get(source(drawing), {})
    found = []
    for position, node in enumerate(drawing["nodes"]):
        distances = sorted({position - source for source in node["inputs"] if 0 <= source < position - 1})
        arcs = tuple((distance, distance % LANES) for distance in distances)
        shape = "×".join(map(str, node["shape"]))
        error = errors.get(str(position))
        told = (node["operator"], node["layer"], node["attributes"], shape)
        found.append(Row(position, *told, error, position - 1 in node["inputs"], arcs))
    return found


def excerpt(graph: Sequence[Row], result: Mapping[str, Any], shown: str) -> list[Row]:
    """The rows around the first that diverges; none where it is not in the graph.

    Args:
        graph: All rows.
        result: A failure.
        shown: The :func:`source` of the rows' errors: those of the fused graph are for failures of it alone.
    """
    place = diverging(graph, result)
    if shown == "fused" and result["variant"] != "fused":
        graph = [replace(row, error=None) for row in graph]
    return [] if place is None else list(graph[max(0, place - AROUND) : place + AROUND + 1])
