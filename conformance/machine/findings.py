"""What was found of MXNet, its libraries, the driver and its devices, and what is wrong with it, as values."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from conformance.machine.devices import Device
from conformance.machine.environment import numeric_switches
from conformance.machine.machine_code import MachineCode

REPORT = "report this with what python -m conformance doctor --json prints"


class Problem(NamedTuple):
    """What is wrong, and what to do."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        """Both in one line."""
        return f"{self.problem}: {self.remedy}"

    @classmethod
    def of(cls, refusal: str) -> Problem:
        """Split a line that may end with a remedy; where it names none, a guess from what it speaks of."""
        problem, install, remedy = refusal.partition(": install ")
        if install:
            return cls(problem, f"install {remedy}")
        return cls(refusal, "install numpy>=1.23,<2" if "NumPy" in refusal else f"try another build, or {REPORT}")


@dataclass(frozen=True)
class Findings:
    """What was found; see ``doctor.schema.json`` for the fields of :meth:`report`.

    Attributes:
        ctx: The sort of device asked for, ``cpu`` or ``gpu``.
        folder: MXNet's folder, or an empty text.
        distributions: What brings the module ``mxnet``.
        facts: The answer of ``conformance.machine.build.facts``, empty where MXNet does not load.
        refusal: Why it does not load.
        libraries: The answers of ``conformance.machine.libraries.find``.
        nvrtc: The version of CUDA's runtime compiler, 11080 for 11.8, or 0.
        code: What the build has machine code for; None for a build without CUDA.
        driver: The answer of ``conformance.machine.driver.query``, without the devices.
        devices: The devices the driver shows, each with what the build can run on it.
        wrong: What a first convolution on the device did wrong.
        problems: All that keeps the device asked for from being used, the cause first.
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
    problems: tuple[Problem, ...] = ()

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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
