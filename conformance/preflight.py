"""The preflight: what this machine has for the catalogue, and all that keeps it from being used, with remedies."""

from __future__ import annotations

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from conformance.devices import Device, device_of, devices_of
from conformance.doctor import Unusable, ask, numeric_switches
from conformance.libraries import distributions, mxnet_folder, mxnet_library
from conformance.machine_code import MachineCode, machine_code
from conformance.remedies import Problem, problems_of

DRIVER_LIMIT = 30.0
"""Seconds a driver may take to answer; the first context on a device takes some."""


@dataclass(frozen=True)
class Findings:
    """What was found; see ``doctor.schema.json`` for the fields of :meth:`report`.

    Attributes:
        ctx: The sort of device asked for, ``cpu`` or ``gpu``.
        folder: MXNet's folder, or an empty text.
        distributions: What brings the module ``mxnet``.
        facts: The answer of ``conformance.describe.facts``, empty where MXNet does not load.
        refusal: Why it does not load.
        libraries: The answers of ``conformance.libraries.find``.
        nvrtc: The version of CUDA's runtime compiler, 11080 for 11.8, or 0.
        code: What the build has machine code for; None for a build without CUDA.
        driver: The answer of ``conformance.driver.query``, without the devices.
        devices: The devices the driver shows, each with what the build can run on it.
        wrong: What a first convolution on the device did wrong.
    """

    ctx: str
    folder: str = ""
    distributions: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""
    libraries: list[dict[str, str]] = field(default_factory=list)
    nvrtc: int = 0
    code: MachineCode | None = None
    driver: dict[str, Any] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    wrong: str = ""

    @property
    def problems(self) -> list[Problem]:
        """All that keeps the device asked for from being used, the cause first."""
        return list(problems_of(self))

    @property
    def with_cuda(self) -> bool:
        """Whether the build is one for GPUs."""
        return self.code is not None or "CUDA" in self.facts.get("features", ())

    def report(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "suite": _version("gluon-conformance"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "numpy": self.facts.get("numpy") or _version("numpy"),
            "mxnet": {
                "version": self.facts.get("mxnet", ""),
                "folder": self.folder,
                "distributions": self.distributions,
                "features": self.facts.get("features", []),
                "error": self.refusal,
            },
            "libraries": self.libraries,
            "machine_code": None if self.code is None else asdict(self.code),
            "driver": {**self.driver, "nvrtc": self.nvrtc},
            "devices": [device.report() for device in self.devices],
            "switches": numeric_switches(),
            "ctx": self.ctx,
            "problems": [problem._asdict() for problem in self.problems],
            "usable": not self.problems,
        }


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
    return _tried(Findings(ctx, **found, driver=driver, devices=devices))


def ask_driver() -> dict[str, Any]:
    """The answer of ``conformance.driver.query``; a driver that crashes or hangs is one with an error."""
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
    if found.problems:
        return found
    device = next((device.number for device in found.devices if device.usable), 0)
    try:
        wrong = ask("try_device", f"{found.ctx}:{device}" if found.ctx == "gpu" else found.ctx)
    except Unusable as error:
        wrong = str(error)
    return replace(found, wrong=wrong)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


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
