"""The preflight: what this machine has for the catalogue, and all that keeps it from being used, with remedies."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from conformance.machine.asking import Unusable, ask
from conformance.machine.devices import device_of, devices_of
from conformance.machine.findings import Findings
from conformance.machine.libraries import distributions, mxnet_folder, mxnet_library
from conformance.machine.machine_code import MachineCode, machine_code
from conformance.machine.remedies import problems_of

DRIVER_LIMIT = 30.0
"""Seconds a driver may take to answer; the first context on a device takes some."""


def examine(ctx: str) -> Findings:
    """Look at MXNet, its libraries, the driver and its devices; nothing that crashes or hangs ends the caller.

    Args:
        ctx: ``cpu`` or ``gpu``: what is to be used, and so what counts as a problem.
    """
    library = mxnet_library()
    with ThreadPoolExecutor() as pool:  # each waits for a process of its own
        questions = [pool.submit(_ask_mxnet), pool.submit(_ask_library, library), pool.submit(ask_driver)]
        mxnet, needs, driver = (question.result() for question in questions)
    code = needs.pop("code", None)
    found = {"folder": str(mxnet_folder() or ""), "distributions": distributions(), "code": code, **needs, **mxnet}
    devices = devices_of(driver.pop("devices"), code)
    looked_at = _tried(Findings(ctx, **found, driver=driver, devices=devices))
    return replace(looked_at, problems=tuple(problems_of(looked_at)))


def ask_driver() -> dict[str, Any]:
    """The answer of ``conformance.machine.driver.query``; a driver that crashes or hangs is one with an error."""
    try:
        answer: dict[str, Any] = ask("query", of="driver", time_limit=DRIVER_LIMIT, who="the NVIDIA driver")
    except Unusable as error:
        answer = _no_driver(str(error))
    return answer


def _no_driver(error: str) -> dict[str, Any]:
    return {"found": bool(error), "version": 0, "error": error, "devices": []}


def _ask_library(library: Path | None) -> dict[str, Any]:
    """What MXNet's library needs, and what it has machine code for."""
    if library is None:
        return {}
    try:
        answer: dict[str, Any] = ask("find", str(library), of="libraries")
        code = machine_code(library)
    except (Unusable, OSError, ValueError) as error:
        return {"refusal": str(error)}
    return {**answer, "code": code if code != MachineCode() else None}


def _ask_mxnet() -> dict[str, Any]:
    """MXNet's own facts, or why it does not load."""
    try:
        facts = ask("facts")
    except Unusable as error:
        return {"refusal": str(error)}
    return {"facts": facts, "folder": facts["folder"], "refusal": ""}


def _tried(found: Findings) -> Findings:
    """Compute something on the device, where nothing is known to be wrong."""
    if any(problems_of(found)):
        return found
    device = next((device.number for device in found.devices if device.usable), 0)
    try:
        wrong = ask("try_device", f"{found.ctx}:{device}" if found.ctx == "gpu" else found.ctx)
    except Unusable as error:
        wrong = str(error)
    return replace(found, wrong=wrong)


@cache
def preflight(ctx: str) -> Findings:
    """Examine once in this process."""
    return examine(ctx)


def place(ctx: str) -> str:
    """The device on which this process is to run: for ``gpu`` a numbered one, ``gpu:1``, else what was asked for.

    Raises:
        Unusable: If there is none.
    """
    if ctx != "gpu":
        return ctx
    require_device(ctx)
    return f"gpu:{device_of(os.environ.get('PYTEST_XDIST_WORKER', ''), preflight(ctx).devices).number}"


def require_device(ctx: str) -> None:
    """Refuse a device that is not there or does not compute.

    Raises:
        Unusable: In one line that names the first reason and its remedy.
    """
    problems = preflight(ctx).problems
    if problems:
        raise Unusable(str(problems[0]))
