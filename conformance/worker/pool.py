"""The workers of a pytest process, one subject's after the other's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from conformance.contract.outcomes import Result
from conformance.contract.subject import Subject
from conformance.contract.switches import Switches
from conformance.machine.preflight import place, preflight
from conformance.worker.process import Settings, Worker
from conformance.worker.turn import Turn


@dataclass
class Pool:
    """The workers of a pytest process: one at a time, as one subject's checks follow each other."""

    settings: Settings = field(default_factory=Settings)
    current: Worker | None = None
    last: Result | None = None  # what became of the case that was run last, for whoever reports it
    turn: Turn | None = None
    memory: dict[str, dict[str, str]] = field(default_factory=dict)

    def worker(self, subject: Subject, switches: Switches = ()) -> Worker:
        """The subject's worker, with environment variables of its own; the worker before it is ended.

        On a GPU it is this process's device, once there is a place on it.

        Raises:
            Unusable: If there is no usable GPU.
        """
        if self.current is None or (self.current.subject, self.current.switches) != (subject, switches):
            self.close()
            fatal = self.memory.setdefault(" ".join((subject.name, *(f"{k}={v}" for k, v in switches))), {})
            settings = replace(self.settings, ctx=place(self.settings.ctx))
            if self.settings.ctx == "gpu":
                number = int(settings.ctx.partition(":")[2])
                (device,) = (device for device in preflight("gpu").devices if device.number == number)
                self.turn = Turn(number, device.slots)
            self.current = Worker(subject, settings, switches, fatal_stages=fatal)
        return self.current

    def close(self) -> None:
        """End the current worker."""
        if self.current is not None:
            self.current.close()
            self.current = None
        if self.turn is not None:
            self.turn.end()
            self.turn = None


POOL = Pool()
