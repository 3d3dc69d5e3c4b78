"""Plots of a report as SVG for inside a page: their text and axes take the page's colours."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Readable on the light page and on the dark one: at least 3:1 beside either.
ACTUAL, BOUND = "#3b82c4", "#d1495b"
#: Points up to which each of them is marked on a line.
DOTTED = 40
#: Names of the parts of a figure to which others refer.
NAMED = re.compile(r'(?<=id=")[mp][0-9a-f]{10}|(?<=#)[mp][0-9a-f]{10}')
#: Names that Matplotlib gives to the other parts, the same in every figure of the page.
PART = re.compile(r' id="[A-Za-z.0-9]+_\d+"')


def _figure(width: float, height: float, left: float = 0.7) -> tuple[Figure, Any]:
    """A figure in inches, with one pair of axes this far from the left, and nothing behind it."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(left / width, 0.45 / height, 1 - 0.1 / width, 1 - 0.1 / height)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an element of a page.

    Args:
        figure: The figure.
        name: Unique in the page.
        description: What a reader who does not see it is told.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}):
        figure.savefig(file, format="svg", metadata={key: None for key in ("Creator", "Date", "Format", "Type")})
    text = PART.sub("", file.getvalue()[file.getvalue().index("<svg") :])
    head = f'<svg role="img" aria-label="{escape(description)}" '
    return Markup(text.replace("<svg ", head, 1))  # Matplotlib escapes the texts that it draws


def again(svg: Markup, where: str) -> Markup:
    """The same figure for another place of the page, where its parts need other names."""
    return Markup(NAMED.sub(rf"\g<0>-{where}", svg))


def errors_by_layer(name: str, points: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Each layer's error and bound in the network's order, relative to the layer's size; None where all is zero.

    Args:
        name: Unique in the page.
        points: Measurements that name a layer: value, allowed and scale.
    """
    errors = [_relative(point["value"], point["scale"]) for point in points]
    if not any(errors):
        return None
    figure, axes = _figure(7.2, 2.2)
    style = ".-" if len(errors) <= DOTTED else "-"
    axes.plot([error or None for error in errors], style, color=ACTUAL, markersize=4, linewidth=1, label="error")
    bounds = [_relative(point["allowed"], point["scale"]) or None for point in points]
    if any(bounds):
        axes.plot(bounds, color=BOUND, linestyle="--", linewidth=1, label="bound")
        over = [e if e and b and e > b else None for e, b in zip(errors, bounds, strict=True)]
        axes.plot(over, "x", color=BOUND, markersize=7)
    axes.set(yscale="log", xlabel="layers, from the images to the logits", ylabel="error / size")
    axes.minorticks_off()
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    axes.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))
    axes.legend(frameon=False, ncols=2, loc="lower right")
    worst = max(error or 0 for error in errors)
    zero = sum(error == 0 for error in errors)
    told = f"Error of {len(errors)} layers in order, the largest {worst:.2g} of the layer's size, {zero} of them zero."
    return _svg(figure, name, told)


def _relative(value: float | None, scale: float | None) -> float | None:
    return value / scale if value is not None and scale else None


def curve(name: str, result: Mapping[str, Any]) -> Markup:
    """How a network learned: train accuracy an epoch, the final accuracy, and its bound.

    Args:
        name: Unique in the page.
        result: An entry of the report with curves.
    """
    figure, axes = _figure(3.6, 2.2)
    told = []
    for title, values in result["curves"].items():
        axes.plot(range(1, len(values) + 1), values, ".-", color=ACTUAL, linewidth=1, label=title)
        told.append(f"{title}: {', '.join(f'{value:.2f}' for value in values)}")
    epochs = max(len(values) for values in result["curves"].values())
    for final in result["measurements"]:
        relation = "at least" if final["least"] else "at most"
        axes.plot([epochs], [final["value"]], "D", color=ACTUAL, label=final["what"])
        axes.axhline(final["allowed"], color=BOUND, linestyle="--", linewidth=1, label=f"{relation} {final['allowed']}")
        told.append(f"{final['what']} in the end {final['value']:.3f}, expected {relation} {final['allowed']}")
    axes.set(ylim=(0, 1.02), xlabel="epoch", ylabel="accuracy")
    axes.legend(frameon=False, fontsize=7)
    return _svg(figure, name, "; ".join(told))


def shares(rows: Mapping[str, Iterable[float]]) -> Markup | None:
    """How near every check came to its bound: a row a check, a dot a subject; None where nothing was measured.

    Args:
        rows: Check -> the part of the bound used up, of each subject; more than 1 does not hold.
    """
    dots = [(place, share) for place, values in enumerate(rows.values()) for share in values if share]
    if not dots:
        return None
    figure, axes = _figure(7.2, 0.8 + 0.24 * len(rows), left=3.4)
    axes.plot([share for _, share in dots], [place for place, _ in dots], "o", color=ACTUAL, markersize=4, alpha=0.8)
    axes.axvline(1.0, color=BOUND, linestyle="--", linewidth=1)
    axes.set(xscale="log", xlabel="error / tolerance (dashed: the tolerance)")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    worst = max(dots, key=lambda dot: dot[1])
    nearest = f"The nearest to its tolerance is {list(rows)[worst[0]]}, with {worst[1]:.2g} of it."
    told = f"{nearest} The tables have all numbers."
    return _svg(figure, "shares", told)
