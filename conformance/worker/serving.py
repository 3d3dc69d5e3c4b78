"""The worker process's side: builds one subject and does tasks; ``conformance/worker/process.py`` starts it.

Only this side imports MXNet, once it is known where to report that it cannot.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import pickle
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.contract.measurement import measuring
from conformance.contract.outcomes import Answer, NotApplicable, NotExecuted, Result
from conformance.contract.subject import RequestError
from conformance.contract.task import Task

if TYPE_CHECKING:
    from conformance.experiments.network import Network
    from conformance.worker.bench import Bench

FATAL = (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)


def serve() -> None:
    """Answer the parent's requests until it closes the connection."""
    faulthandler.enable()
    connection = Connection(int(sys.argv[2]))
    subject, ctx, seed = pickle.loads(connection.recv_bytes())
    server: Server | None = None
    with contextlib.suppress(EOFError):
        while True:
            task, fatal = connection.recv()
            try:
                server = server or Server(_network(subject, ctx, seed, connection, fatal))
            except ImportError as error:
                connection.send(("result", Result("refused", str(error))))
                continue
            connection.send(("result", server.answer(task)))


def _network(subject: Any, ctx: str, seed: int, connection: Any, fatal: dict[str, str]) -> Network:
    """Take the subject as a network whose stages are reported to the parent."""
    from conformance.experiments.network import Network  # here, where an ImportError of MXNet's is reported

    _report_fatal_signals()
    connection.send(("ready", ""))
    gc.freeze()  # every instance starts with a collection, which need not look at all that was imported

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        if name in fatal:
            raise NotExecuted(f"{name} {fatal[name]}")
        connection.send(("begin", name))
        try:
            yield
        finally:
            connection.send(("end", name))

    return Network(subject, ctx, stage, seed)


def _report_fatal_signals() -> None:
    """Let a crash end the process by its signal: MXNet's own handlers, set on import, may end it otherwise."""
    faulthandler.disable()
    for number in FATAL:
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable()


def peak_memory() -> int:
    """Most memory that this process has had in use, in bytes; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


class Server:
    """Does tasks on one subject, and puts their ends into results.

    Args:
        network: The subject.
        bench: Its bench, where it is at hand.
    """

    def __init__(self, network: Network, bench: Bench | None = None) -> None:
        """Take the subject; its bench is put together by the first task, which says what is wrong with it."""
        self.network, self.bench = network, bench

    def answer(self, task: Task) -> Result:
        """Do one task: its outcome, what it measured, and the memory in use at most until then."""
        with measuring() as notebook:
            result = self._answer(task)
        kept, curves = notebook.kept(), notebook.curves
        return replace(result, measurements=kept, compared=notebook.compared, curves=curves, peak=peak_memory())

    def _answer(self, task: Task) -> Result:
        """Do one task and put its end into an outcome and a text."""
        from conformance.worker.bench import bench_of  # here: it imports MXNet
        from reference.runtime.errors import cause

        try:
            self.bench = self.bench or bench_of(self.network)
            module, _, function = task.function.partition(":")
            payload = self.bench.run(getattr(import_module(module), function), *task.arguments)
        except AssertionError as error:
            return Result("failed", str(error), getattr(error, "place", ""))
        except NotApplicable as reason:
            return Result("not applicable", str(reason))
        except NotExecuted as reason:
            return Result("not executed", str(reason))
        except RequestError as error:
            return Result("refused", str(error))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(traceback.format_exc(), file=sys.stderr, flush=True)
            text = f"{type(error).__name__}: {cause(error)} (raised in {where.name}, line {where.lineno})"
            return Result("failed", text)
        if isinstance(payload, Answer):
            return Result("passed", str(payload))
        return Result("passed", payload=payload if isinstance(payload, str) else None)
