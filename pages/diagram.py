"""Diagrams as inline SVG: a network as a funnel of its stages, and one block with its branches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pages.manifests import Operator, Shape
from pages.stages import KINDS, Stage, describe

WIDTH = 430
ROW = 34
BAR = 14
FUNNEL = 120
"""Width in pixels of the bar of the largest image."""
LANE = 14


def network_diagram(name: str, stages: Sequence[Stage], side: int) -> str:
    """Draw a network from top to bottom, a bar a stage, as wide as its output's image is.

    Args:
        name: The network's name.
        stages: Its stages, in order.
        side: Of the input's image, in pixels.
    """
    parts = [_bar(0, FUNNEL, "images", "images", (3, side, side))]
    for row, stage in enumerate(stages, 1):
        parts.append(_arrow(FUNNEL / 2, row))
        parts.append(_bar(row, _width(stage.shape, side), stage.kind, stage.short, stage.shape))
    text = ", then ".join(stage.title for stage in stages)
    return _svg(f"The stages of {name}", text, len(stages) + 1, parts)


def block_diagram(title: str, operators: Sequence[Operator]) -> str:
    """Draw the operators of one block from top to bottom, with what reaches past its neighbour as an arc.

    Args:
        title: What is drawn.
        operators: Of one block, in the order of the graph; what they read from outside is its input.
    """
    rows = {operator.position: row for row, operator in enumerate(operators, 1)}
    first = operators[0].position
    parts = [_bar(0, BAR, "images", "input of the block", ())]
    lane = 0
    for row, operator in enumerate(operators, 1):
        parts.append(_bar(row, BAR, KINDS.get(operator.name, "other"), describe(operator), operator.shape))
        for source in (rows.get(position, 0) if position >= first else 0 for position in operator.inputs):
            if source == row - 1:
                parts.append(_arrow(FUNNEL / 2, row))
            else:
                lane += 1
                parts.append(_arc(source, row, lane))
    text = ", ".join(describe(operator) for operator in operators)
    return _svg(title, text, len(operators) + 1, parts)


def _width(shape: Shape, side: int) -> float:
    """As the logarithm of the image's side; a vector is as narrow as one pixel."""
    return 8 + (FUNNEL - 8) * math.log(shape[1] if len(shape) > 1 else 1) / math.log(side)


def _bar(row: int, width: float, kind: str, title: str, shape: Shape) -> str:
    top = row * ROW + (ROW - BAR) / 2
    size = "×".join(map(str, shape))
    return (
        f'<rect class="{kind}" x="{(FUNNEL - width) / 2:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3"/>'
        f'<text x="{FUNNEL + 12}" y="{top + 12}">{escape(title)}</text>'
        f'<text class="shape" x="{WIDTH}" y="{top + 12}" text-anchor="end">{size}</text>'
    )


def _arrow(x: float, row: int) -> str:
    """An arrow from the row above to this one."""
    top, bottom = row * ROW - (ROW - BAR) / 2, row * ROW + (ROW - BAR) / 2
    return f'<path class="edge" d="M{x},{top} V{bottom - 4}"/>{_tip(x, bottom)}'


def _arc(source: int, target: int, lane: int) -> str:
    """An arrow that leaves one row and enters another further down, on the left of what is between."""
    edge, left = (FUNNEL - BAR) / 2, max(4, (FUNNEL - BAR) / 2 - 10 - lane * LANE)
    top, bottom = source * ROW + ROW / 2, target * ROW + ROW / 2
    return (
        f'<path class="edge" d="M{edge},{top} H{left + 8} Q{left},{top} {left},{top + 8} V{bottom - 8} '
        f'Q{left},{bottom} {left + 8},{bottom} H{edge - 4}"/>'
        f'<path class="arrow" d="M{edge - 6},{bottom - 4} L{edge},{bottom} L{edge - 6},{bottom + 4} Z"/>'
    )


def _tip(x: float, y: float) -> str:
    return f'<path class="arrow" d="M{x - 4},{y - 6} L{x},{y} L{x + 4},{y - 6} Z"/>'


def _svg(title: str, text: str, rows: int, parts: Sequence[str]) -> str:
    return (
        f'<div class="diagram"><svg viewBox="0 0 {WIDTH} {rows * ROW}" role="img" aria-label="{escape(title)}: '
        f'{escape(text)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg></div>'
    )
