"""The worker process: every subject is built and run in a process of its own, which may crash or hang.

The pytest process never imports MXNet. It sends a worker one check at a time and waits for the result within
the time limit. A worker that dies or hangs fails that one check by name; the next check gets a new worker.
Work that several checks share (a stage) is not tried again once it has killed a worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Literal

import cloudpickle

from conformance.contract.outcomes import Result
from conformance.contract.subject import Subject
from conformance.contract.switches import REPEATABLE, Switches
from conformance.contract.task import Task

PREPARE = Task("conformance.worker.bench:prepare", name="prepare")
DRAW = Task("conformance.worker.bench:drawn", name="draw")
START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from conformance.worker.serving import serve; serve()"
LOG_TAIL = 4000
START_LIMIT = 120.0
"""Seconds until a new process must have imported MXNet; the time limit of a check counts from then."""
SPARING = {
    "MXNET_CPU_TEMP_COPY": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 23),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""How a process keeps less memory: one scratch space instead of four, and no freed array of over 8 MB.

MXNet's scratch spaces grow to the largest array ever asked for and stay. Huge pages, where glibc 2.35 and later ask for
them, make up for the time that getting memory again and again takes.
"""


@dataclass(frozen=True)
class Settings:
    """How workers run: device, seconds a check may take, threads of each worker (0: share the cores).

    ``snapshot_dir`` is where snapshots of the user's own subjects are, ``seed`` chooses weights, images and masks.
    """

    ctx: str = "cpu"
    time_limit: float = 180.0
    threads: int = 0
    snapshot_dir: Path = Path("snapshots")
    seed: int = 0


def share_of_cores() -> int:
    """Cores of this process divided among the pytest workers of the run."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@dataclass
class Worker:
    """The parent's side of a subject's worker process."""

    subject: Subject
    settings: Settings
    switches: Switches = ()
    process: subprocess.Popen[bytes] | None = None
    fatal_stages: dict[str, str] = field(default_factory=dict)
    ready: bool = False

    def _start(self) -> None:
        """Start the process and hand it the subject."""
        self.connection, theirs = Pipe()
        self.ready = False
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the worker
        self.folder = tempfile.TemporaryDirectory(prefix="conformance-")  # removed even where the process is killed
        threads = str(self.settings.threads or share_of_cores())
        defaults = {**SPARING, "OMP_NUM_THREADS": threads, "MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0"}
        repeatable = dict(REPEATABLE) if self.settings.ctx.startswith("gpu") else {}
        switches = {**defaults, **repeatable, **os.environ, **dict(self.switches)}
        environment = {**switches, "TMPDIR": self.folder.name}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps([os.getcwd(), *sys.path]), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=environment,
        )
        theirs.close()
        self.connection.send_bytes(cloudpickle.dumps((self.subject, self.settings.ctx, self.settings.seed)))

    def run(self, task: Task) -> Result:
        """Do one task within the time limit, whatever the subject does to its process."""
        if self.process is None or self.process.poll() is not None:
            self.close()
            self._start()
        stages: list[str] = []
        deadline = time.monotonic() + (0 if self.ready else START_LIMIT) + self.settings.time_limit
        try:
            self.connection.send((task, self.fatal_stages))
            while self.connection.poll(max(0.0, deadline - time.monotonic())):
                kind, value = self.connection.recv()
                if kind == "ready":
                    self.ready, deadline = True, time.monotonic() + self.settings.time_limit
                    continue
                if kind == "result":
                    result: Result = value
                    return replace(result, output=self._output())
                stages.append(value) if kind == "begin" else stages.pop()
        except (EOFError, ConnectionError):
            return self._lost("crashed", task.name, stages)
        return self._lost("hung", task.name, stages)

    def _lost(self, outcome: Literal["crashed", "hung"], what: str, stages: list[str]) -> Result:
        """Describe the end of a process, and remember the stage that ended it."""
        assert self.process is not None
        if outcome == "hung":
            self.process.kill()
        code = self.process.wait()
        how = f"gave no answer within {self.settings.time_limit:g} s (--time-limit) and was stopped"
        if outcome == "crashed":
            name = signal.Signals(-code).name if -code in signal.valid_signals() else f"exit code {code}"
            how = f"ended the worker process with {name}"
        for stage in stages[-1:]:
            self.fatal_stages[stage] = f"{outcome} in {what}"
        during = f" while {stages[-1]}" if stages else ""
        output = self._output()
        self.close()
        return Result(outcome, f"{self.subject.name} {how}{during}", output=output)

    def _output(self) -> str:
        """What the process printed since last asked."""
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        self.log.seek(0)
        self.log.truncate()
        return text[-LOG_TAIL:]

    def close(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.connection.close()
            self.log.close()
            self.folder.cleanup()
            self.process = None
