"""How the preflight's findings are shown: a table for people, JSON for programs (``doctor.schema.json``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.machine.findings import Findings
from conformance.machine.machine_code import dotted
from conformance.machine.preflight import examine

PIPE_WIDTH = 120
"""Columns of a table that is not shown on a terminal, whose width nobody knows."""


def run_doctor(ctx: str, *, as_json: bool) -> str:
    """Examine the machine, print what was found, and return the first problem, or an empty text."""
    found = examine(ctx)
    if as_json:
        print(json.dumps(found.report(), indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table(found))
    sys.stdout.flush()
    return "".join(map(str, found.problems[:1]))


def table(found: Findings) -> Table:
    """What was found, a row each; every problem and its remedy last."""
    drawn = Table("what", "found", show_header=False)
    for what, words in _rows(found.report(), found):
        drawn.add_row(what, Text(words))
    for problem, remedy in found.problems:
        drawn.add_row(Text("problem", "red"), Text(problem))
        drawn.add_row(Text("remedy", "green"), Text(remedy))
    return drawn


def _rows(report: dict[str, Any], found: Findings) -> Iterator[tuple[str, str]]:
    mxnet, driver = report["mxnet"], report["driver"]
    yield "suite", f"gluon-conformance {report['suite']}"
    yield "Python", f"{report['python']}, {report['platform']}"
    yield "NumPy", report["numpy"] or "missing"
    brought = f" ({', '.join(mxnet['distributions'])})" if mxnet["distributions"] else ""
    yield "MXNet", f"{mxnet['version'] or 'does not load'} from {mxnet['folder'] or 'nowhere'}{brought}"
    yield "features", " ".join(mxnet["features"]) or "unknown"
    missing = [row for row in report["libraries"] if row["error"]]
    yield "libraries", f"{len(report['libraries']) - len(missing)} found, {len(missing)} missing"
    yield from (("", f"missing: {row['name']}, from {row['brought_by'] or 'an unknown place'}") for row in missing)
    if found.code is not None:
        ptx = ", ".join(map(dotted, found.code.ptx)) or "no PTX"
        yield "machine code", f"for compute capability {', '.join(map(dotted, found.code.binary))}; {ptx}"
    if driver["found"]:
        version = f"{driver['version'] // 1000}.{driver['version'] % 1000 // 10}"
        yield "NVIDIA driver", f"knows CUDA {version}" if driver["version"] else "does not work"
    else:
        yield "NVIDIA driver", "none"
    yield "devices", "cpu" + "".join(f", gpu({device.number})" for device in found.devices)
    for device in found.devices:
        free = "unknown" if device.free is None else f"{device.free >> 20:,} MiB"
        runs = f"runs the code for {device.code}" if device.code else "this build has no code for it"
        yield "", f"{device.words}: {free} free of {device.total >> 20:,} MiB; {runs}"
    yield "numeric switches", " ".join(report["switches"]) or "none set"
