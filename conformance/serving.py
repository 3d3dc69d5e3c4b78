"""The worker process's side: builds one subject and answers checks; ``conformance/worker.py`` starts it.

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
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from conformance.catalogue import CHECKS
from conformance.check import Answer, NotApplicable, NotExecuted, cause
from conformance.measurement import measuring
from conformance.subject import RequestError, Subject
from conformance.worker import DRAW, PREPARE, RECORD, Result

FATAL = (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)


def serve() -> None:
    """Answer the parent's requests until it closes the connection."""
    faulthandler.enable()
    connection = Connection(int(sys.argv[2]))
    subject, ctx, seed = pickle.loads(connection.recv_bytes())
    bench: Any = None
    with contextlib.suppress(EOFError):
        while True:
            check, variant, fatal = connection.recv()
            try:
                bench = bench or _bench(subject, ctx, seed, connection, fatal)
            except ImportError as error:
                connection.send(("result", Result("refused", str(error))))
                continue
            connection.send(("result", answer(bench, check, variant)))


def _bench(subject: Subject, ctx: str, seed: int, connection: Any, fatal: dict[str, str]) -> Any:
    """Build the workbench, its stages reported to the parent."""
    from conformance.workbench import Workbench  # here, where an ImportError of MXNet's is reported

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

    return Workbench(subject, ctx, stage, number=seed)


def _report_fatal_signals() -> None:
    """Let a crash end the process by its signal: MXNet's own handlers, set on import, may end it otherwise."""
    faulthandler.disable()
    for number in FATAL:
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable()


def _task(name: str) -> Callable[..., Any]:
    """The function that a check's id, or one of the suite's own tasks, stands for."""
    from conformance.drawing import draw  # here, where an ImportError of MXNet's is reported
    from conformance.layerwise import record_layers

    own: dict[str, Callable[..., Any]] = {PREPARE: lambda bench: bench.prepare(), RECORD: record_layers, DRAW: draw}
    return own.get(name) or next(check.function for check in CHECKS if check.id == name)


def answer(bench: Any, name: str, variant: str) -> Result:
    """Run one check or task: its outcome, what it measured, and the memory in use at most until then."""
    with measuring() as notebook:
        result = _answer(bench, name, variant)
    kept, curves = notebook.kept(), notebook.curves
    return replace(result, measurements=kept, compared=notebook.compared, curves=curves, peak=peak_memory())


def peak_memory() -> int:
    """Most memory that this process has had in use, in bytes; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _answer(bench: Any, name: str, variant: str) -> Result:
    """Run one check or task and put its end into an outcome and a text."""
    try:
        bench = bench.resolved
        bench.admit(name)
        payload = _task(name)(bench, *([variant] if variant else []))
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
