"""GPUs as the preflight finds them, and how the processes of a run share them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.machine.machine_code import MachineCode, dotted

LEAST_FREE = 1 << 30
"""Bytes that must be free on a device: a context with cuDNN and cuBLAS takes about half of them before any network.

Not yet measured on hardware.
"""
A_SUBJECT = 10 << 30
"""Bytes that one subject may take on a device: in the full-size training VGG-19's weights, gradients and Adam's two
moments are 2.3 GB and the layers of 32 images with their gradients 4 to 7 GB, by count. Not yet measured on hardware.
"""


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        number: Its place among those the driver shows.
        name: The driver's name of it.
        capability: Compute capability, (8, 6) for 8.6.
        total: Bytes of memory.
        free: Bytes that are free, None where no context could be made.
        build: What the build has machine code for.
        error: Why the driver gives no context on it.
    """

    number: int
    name: str
    capability: tuple[int, int]
    total: int
    free: int | None
    build: MachineCode
    error: str

    @property
    def code(self) -> str:
        """What the build has for it: ``8.6``, ``PTX 8.0`` or nothing."""
        return self.build.for_device(self.capability)

    @property
    def words(self) -> str:
        """How a message names it."""
        return f"GPU {self.number} ({self.name}, compute capability {dotted(self.capability)})"

    @property
    def _trouble(self) -> tuple[str, str]:
        """What keeps it from being used and what to do, or two empty texts."""
        if not self.code:
            known = [*self.build.binary, *self.build.ptx]
            age = "too new" if known and self.capability > max(known) else "too old" if known else "unusable"
            has = ", ".join(map(dotted, self.build.binary)) or "no device"
            return (
                f"{self.words} is {age} for this MXNet build: it has machine code for {has}, and no PTX that fits",
                "use another device, chosen with CUDA_VISIBLE_DEVICES, or a build of MXNet for this one",
            )
        if self.error:
            return (
                f"{self.words} is busy or out of memory: {self.error}",
                "end what uses it (nvidia-smi shows it), or choose another device with CUDA_VISIBLE_DEVICES",
            )
        if self.free is not None and self.free < LEAST_FREE:
            return (
                f"{self.words} is out of memory: {self.free >> 20} MiB of {self.total >> 20} MiB are free, "
                f"{LEAST_FREE >> 20} are needed",
                "end what uses it (nvidia-smi shows it), or choose another device with CUDA_VISIBLE_DEVICES",
            )
        return "", ""

    @property
    def problem(self) -> str:
        """What keeps it from being used."""
        return self._trouble[0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self._trouble[1]

    @property
    def usable(self) -> bool:
        """Whether the build can run on it."""
        return not self.problem

    @property
    def slots(self) -> int:
        """How many subjects it holds at a time."""
        return max(1, (self.free or 0) // A_SUBJECT)

    def report(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "number": self.number,
            "name": self.name,
            "compute_capability": dotted(self.capability),
            "memory_total": self.total,
            "memory_free": self.free,
            "machine_code": self.code,
            "usable": self.usable,
            "problem": self.problem,
            "remedy": self.remedy,
        }


def devices_of(rows: Iterable[dict[str, Any]], code: MachineCode | None) -> tuple[Device, ...]:
    """What the driver said of its devices, each with what the build has for it."""
    found = []
    for row in rows:
        capability = (row["capability"][0], row["capability"][1])
        rest = row["total"], row["free"], code or MachineCode(), row["error"]
        found.append(Device(row["number"], row["name"], capability, *rest))
    return tuple(found)


def device_of(worker: str, devices: Sequence[Device]) -> Device:
    """The device of one of xdist's processes: number i has device i modulo n of the n usable ones.

    Args:
        worker: xdist's name of the process, ``gw3``; empty where there is only one.
        devices: What the preflight found, at least one of them usable.
    """
    usable = [device for device in devices if device.usable]
    return usable[int(worker.removeprefix("gw") or 0) % len(usable)]
