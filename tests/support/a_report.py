"""Reports made by hand: as `--conformance-report` writes them, with the results that a test wants."""

from __future__ import annotations

from typing import Any

from conformance.report.document import FORMAT, VERSION, details_of_nothing

CHECK = "numerics.float64"


def node(operator: str, layer: str, *inputs: int) -> dict[str, Any]:
    """Return a node of a graph."""
    return {"operator": operator, "layer": layer, "attributes": "", "shape": [1, 8, 8, 8], "inputs": list(inputs)}


#: A convolution, an activation, another convolution and a shortcut around it.
NODES = [
    node("Convolution", "stem.conv", -1),
    node("Activation", "stem", 0),
    node("Convolution", "body", 1),
    node("add", "the network itself", 2, 0),
]


def measurement(what: str, value: float | None, allowed: float | None, **more: Any) -> dict[str, Any]:
    """Return a measurement of a report."""
    blank = {"origin": "measured", "place": None, "scale": 1.0, "least": False, "count": 1}
    return {"what": what, "value": value, "allowed": allowed, **blank, **more}


def result(subject: str = "mine", check: str = CHECK, outcome: str = "passed", **more: Any) -> dict[str, Any]:
    """Return a result of a report."""
    variant = more.get("variant")
    return {
        **details_of_nothing(),
        "id": "-".join(filter(None, (subject, check, variant))),
        "subject": subject,
        "family": check.partition(".")[0],
        "check": check,
        "variant": None,
        "outcome": outcome,
        "reason": None,
        "seconds": 1.0,
        **more,
    }


def report(*results: dict[str, Any], exit_code: int = 0, graph: Any = None) -> dict[str, Any]:
    """Return a report with these results."""
    names = list(dict.fromkeys(each["subject"] for each in results))
    checks = list(dict.fromkeys(each["check"] for each in results))
    subject = {"kind": "own", "architecture": None, "build": "a:b", "input_shape": [3, 8, 8], "seconds": 1.0}
    check = {"title": "It holds.", "remedy": "Mend it.", "source": "a", "variants": []}
    return {
        "format": FORMAT,
        "version": VERSION,
        "suite": {"version": "0.1.0", "snapshots": "0"},
        "run": {
            "started": "2026-01-01T00:00:00+00:00",
            "seconds": 1.0,
            "command": ["pytest"],
            "exit_code": exit_code,
            "seed": 0,
            "time_limit": 180.0,
            "not_begun": 0,
        },
        "environment": {"python": "3.11", "platform": "Linux", "processor": "a", "cores": 2, "numpy": "1.23.5"},
        "build": {"mxnet": "1.9.1", "folder": "/mxnet", "features": ["MKLDNN"]},
        "devices": {"ctx": "cpu", "gpus": 0, "gpu_error": None},
        "numeric_switches": [],
        "subjects": [{"name": name, **subject, "peak_memory_bytes": 2**28, "graph": graph} for name in names],
        "checks": [{"id": each, "family": each.partition(".")[0], **check} for each in checks],
        "results": list(results),
    }
