"""The page of a report: complete, escaped, small; its graph marks the layer that diverges."""

from __future__ import annotations

import math
from typing import Any

import pytest

from a_report import NODES, measurement, node, report, result
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import Subject
from conformance.report.graph_rows import diverging, excerpt, rows
from conformance.report.page import SHOWN, nearest, number, page, percent, share
from conformance.session.cases import cases

GRAPH = {"nodes": NODES, "reference": {}, "fused": {"1": 1e-6, "3": 0.0}}
LIMIT = 3_000_000
"""Bytes that the page of a run of the 12 networks may have."""


def failed(text: str, layer: str | None) -> dict[str, Any]:
    """Return a failure with a text and a layer."""
    return result(outcome="failed", text=text, first_diverging_layer=layer)


@pytest.mark.parametrize(
    ("text", "layer", "position"),
    [
        ("node 3 add in the network itself: it differs", "the network itself", 3),
        ("node 1 add in the network itself: a node of another graph", "the network itself", 3),
        ("body.weight: differs", "body", 2),
        ("stem.conv.weight: differs", "stem", 0),
        ("differs", None, None),
        ("differs", "absent", None),
    ],
)
def test_first_diverging_operator_is_found(text: str, layer: str | None, position: int | None) -> None:
    """By its number where the failure gives one that fits, or else the first of its layer."""
    graph = rows(GRAPH)
    assert position == diverging(graph, failed(text, layer))
    around = excerpt(graph, failed(text, layer), "fused")
    assert bool(around) == (position is not None)
    assert all(row.error is None for row in around)


def test_rows_have_errors_and_skipping_connections() -> None:
    """A claim's errors come before those of the fused graph, and a bar is longer where the error is."""
    own, claim = rows(GRAPH), rows(GRAPH | {"reference": {"0": 1e-3, "1": None}})
    assert [None, 1e-6, None, 0.0] == [row.error for row in own]
    assert [1e-3, None, None, None] == [row.error for row in claim]
    assert claim[0].bar > own[1].bar > own[3].bar == 0
    assert [(), (), (), ((3, 3),)] == [row.arcs for row in own]
    assert [] == rows(None)
    assert 1e-3 == excerpt(claim, failed("stem.conv", "stem.conv"), "reference")[0].error


def test_numbers_nearest_to_their_bound_come_first() -> None:
    """What is not finite is beyond every bound; a lower bound counts the other way round."""
    beyond, lower = measurement("nan", None, 1.0), measurement("accuracy", 0.8, 0.4, least=True)
    free, exact = measurement("free", 1.0, None), measurement("exact", 0.0, 0.0)
    many = [measurement(str(place), place, 100.0) for place in range(SHOWN)]
    assert ["nan", "accuracy"] == [
        each["what"] for each in nearest(result(measurements=[free, exact, *many, lower, beyond]))[:2]
    ]
    assert (math.inf, 0.5, None, 0.0) == tuple(share(each) for each in (beyond, lower, free, exact))
    assert math.inf == share(measurement("x", 1.0, 0.0))
    assert "no bound" == percent(None)
    assert ("beyond every bound", "2 ×", "12 %") == tuple(percent(each) for each in (math.inf, 2.0, 0.12))
    assert ("not finite", "0.123") == (number(None), number(0.12345))


def test_what_a_subject_says_is_escaped() -> None:
    """Text, names and reasons cannot become part of the page."""
    text = page(report(result(outcome="failed", text="<script>alert(1)</script>", output="<b>", repeat="&x")))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("outcome", "code", "says"),
    [
        ("passed", 0, "all 1 checks that were executed hold"),
        ("failed", 1, "1 of 1 checks does not hold"),
        ("not executed", 1, "the run did not do all that was asked (exit code 1)"),
    ],
)
def test_verdict_is_said_first(outcome: str, code: int, says: str) -> None:
    """In words, before all else."""
    text = page(report(result(outcome=outcome, reason=None if code == 0 else "a reason"), exit_code=code))
    assert says in text.partition("<main")[0]


def test_convergence_shows_curve_bound_and_control() -> None:
    """Each curve is drawn with its final accuracy and the bound it is held to, and told in words."""
    learns, control = (
        result(
            check=f"convergence.{name}",
            curves={"train accuracy while training": [0.1, 0.5]},
            measurements=[measurement("accuracy", 0.7, 0.4, least=least)],
        )
        for name, least in (("learns", True), ("negative_control", False))
    )
    text = page(report(learns, control))
    assert (
        'aria-label="train accuracy while training: 0.10, 0.50; accuracy in the end 0.700, expected at least 0.4"'
        in text
    )
    assert 2 == text.count("<figure>")


def test_page_of_the_12_networks_is_small_enough() -> None:
    """Their 456 results with as many numbers as the page shows, two plots a network and 3,600 operators are."""
    subjects = [Subject(name) for name in SPECIFICATIONS]
    numbers = [measurement(f"node {i} Convolution in x", 1e-6, 1e-5, origin="seen " * 15) for i in range(SHOWN)]
    layers = [each | {"place": "features"} for each in numbers] * 50
    results = [
        result(
            case.subject.name,
            case.check.id,
            variant=case.variant or None,
            measurements=layers if case.check.id == "behaviour.running_statistics" else numbers,
        )
        for case in cases(subjects)
    ]
    nodes = [*NODES, *(node("Concat", "features.7.3", place + 3, place) for place in range(296))]
    written = report(
        *results, graph={"nodes": nodes, "reference": {}, "fused": {str(place): 1e-6 for place in range(300)}}
    )
    assert 456 == len(results)
    assert 1_000_000 < len(page(written).encode()) < LIMIT
