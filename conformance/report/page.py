"""The report as one page that needs nothing beside it: templates filled with what ``report.json`` has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.report import plots as report_plots
from conformance.report.document import BAD, by_subject, counts
from conformance.report.graph_rows import SOURCES, Row, diverging, excerpt, rows, source

SHOWN = 8
"""Measurements of a check that the page shows: those nearest to their bound. ``report.json`` has more."""
WORTH_A_PLOT = 4
"""Layers from which on a plot shows more than the table."""
SYMBOLS = {"passed": "✓", "not applicable": "–", "not executed": "○", "expected failure": "≈"}


def page(report: Mapping[str, Any]) -> str:
    """The page of a report, in HTML."""
    environment = Environment(
        loader=PackageLoader("conformance.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {each.__name__: each for each in (number, percent, memory, symbol, share)}
    environment.filters["again"] = report_plots.again
    results, checks = by_subject(report), {each["id"]: each for each in report["checks"]}
    bad = sorted((each for each in report["results"] if each["outcome"] in BAD), key=lambda e: BAD.index(e["outcome"]))
    graphs = {each["name"]: rows(each["graph"]) for each in report["subjects"]}
    sources = {each["name"]: source(each["graph"]) for each in report["subjects"]}
    text: str = environment.get_template("report.html").render(
        report=report,
        results=results,
        checks=checks,
        counts=counts(report),
        failures=[(each, excerpt(graphs[each["subject"]], each, sources[each["subject"]])) for each in bad],
        titles={name: SOURCES.get(shown, "") for name, shown in sources.items()},
        origins=_origins(bad),
        families=list(dict.fromkeys(each["family"] for each in report["checks"])),
        graphs=graphs,
        marked={name: _marked(graphs[name], found) for name, found in results.items()},
        nearest={each["id"]: nearest(each) for each in report["results"]},
        plots={each["id"]: _plot(each) for each in report["results"]},
        growth={name: _growth(name, graph) for name, graph in graphs.items()},
        shares=report_plots.shares(_shares(report)),
        reasons=_reasons(report),
        bad=BAD,
    )
    return text


def share(measurement: Mapping[str, Any]) -> float | None:
    """The part of its bound that a measurement uses up; None where it has no bound."""
    value, allowed = measurement["value"], measurement["allowed"]
    if allowed is None:
        return None
    if value is None:
        return math.inf
    if value == allowed == 0:
        return 0.0
    above, below = (allowed, value) if measurement["least"] else (value, allowed)
    return float(above / below) if below else math.inf


def nearest(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The measurements of a result that are nearest to their bound, or beyond it."""
    return sorted(result["measurements"], key=lambda each: -(share(each) or 0.0))[:SHOWN]


def _plot(result: Mapping[str, Any]) -> Any:
    if result["curves"]:
        return report_plots.curve(result["id"], result)
    layers = [each for each in result["measurements"] if each["place"]]
    return report_plots.errors_by_layer(result["id"], layers) if len(layers) >= WORTH_A_PLOT else None


def _growth(name: str, graph: Sequence[Row]) -> Any:
    """How the error grows from layer to layer of a network."""
    points = [{"value": row.error, "allowed": None, "scale": 1.0} for row in graph if row.error is not None]
    return report_plots.errors_by_layer(f"{name}--growth", points) if len(points) >= WORTH_A_PLOT else None


def _shares(report: Mapping[str, Any]) -> dict[str, list[float]]:
    """Check -> the largest share of its bound that each of its results used up, where the bound is not 0."""
    found: dict[str, list[float]] = {}
    for result in report["results"]:
        values = [share(each) for each in result["measurements"] if each["allowed"]]
        largest = max((value for value in values if value and math.isfinite(value)), default=None)
        if largest is not None:
            title = f"{result['check']} {result['variant'] or ''}".strip()
            found.setdefault(title, []).append(largest)
    order = [f"{check['id']} {variant}".strip() for check in report["checks"] for variant in check["variants"] or [""]]
    return {title: found[title] for title in order if title in found}


def _marked(graph: Sequence[Row], results: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Positions of a graph's rows at which a failed check's first diverging layer begins."""
    places = (diverging(graph, each) for each in results if each["outcome"] in BAD)
    return frozenset(place for place in places if place is not None)


def _origins(bad: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Where failures start: subject and first diverging layer, empty where none is known -> results."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in bad:
        found.setdefault((each["subject"], each["first_diverging_layer"] or ""), []).append(each)
    return found


def _reasons(report: Mapping[str, Any]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """What was not executed, or had to fail: outcome and reason -> results."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in report["results"]:
        if each["reason"]:
            found.setdefault((each["outcome"], each["reason"]), []).append(each)
    return found


def number(value: float | None) -> str:
    """A measured number in words: three digits, or that it is not finite."""
    return "not finite" if value is None else f"{value:.3g}"


def percent(value: float | None) -> str:
    """A share in per cent: ``12 %``."""
    if value is None:
        return "no bound"
    return "beyond every bound" if math.isinf(value) else f"{value:.2g} ×" if value > 1 else f"{value * 100:.2g} %"


def memory(value: int | None) -> str:
    """Bytes in MiB."""
    return "unknown" if value is None else f"{value / 2**20:.0f} MiB"


def symbol(outcome: str) -> str:
    """One character for an outcome, beside its name: colour alone tells not everyone."""
    return SYMBOLS.get(outcome, "✗")
