"""MXNet's parameter server, watched: a job one of whose processes dies ends, where MXNet would wait forever.

A job is one process with ``DMLC_ROLE=scheduler``, one or more with ``server``, and the workers, which train. Each shows
the scheduler that it lives, by the heartbeat of ps-lite, the library behind MXNet's distributed stores, and the
scheduler answers. The scheduler ends when one of them is silent for too long, and each of them when the scheduler is.
So a process that is killed, a machine that is switched off and a network that is cut end the whole job.

This module is imported before MXNet is, so it does not import it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

GROUPS = {"scheduler": 1, "server": 2, "worker": 4}
"""What ps-lite calls all processes of a role; source: ``ps/base.h``."""

PATIENCE = "PS_HEARTBEAT_TIMEOUT"
"""Environment variable of ps-lite: seconds of silence after which a process counts as dead."""

INTERVAL = "PS_HEARTBEAT_INTERVAL"
"""Environment variable of ps-lite: seconds between two heartbeats."""

TO_JOIN = 300.0
"""Seconds that a process waits for the others of its job at the beginning."""


def role() -> str:
    """Return the part that this process has in a job; a process that is in none is a worker, as MXNet has it."""
    return os.environ.get("DMLC_ROLE", "worker")


@contextmanager
def role_hidden() -> Iterator[None]:
    """Let MXNet be imported where its import would be a server or scheduler, and not return."""
    hidden = os.environ.pop("DMLC_ROLE", None)
    try:
        yield
    finally:
        if hidden is not None:
            os.environ["DMLC_ROLE"] = hidden


def serve(mxnet: Any) -> NoReturn:
    """Be the server or scheduler that the environment says, until the job ends.

    Raises:
        SystemExit: With code 0 when all workers are done. Where one is lost the process ends at once with code 1.
    """
    try:
        patience = begin_heartbeat()
    except ValueError as error:
        give_up(str(error))
    store = mxnet.kv.create("dist")
    observed = ("worker", "server") if role() == "scheduler" else ("scheduler",)

    def late() -> None:
        if not has_joined(store, observed[0]):
            not_joined()

    with watched(store, observed, patience), time_limit(TO_JOIN, late):
        mxnet.kvstore.kvstore_server.KVStoreServer(store).run()
    raise SystemExit


def begin_heartbeat() -> int:
    """Ask ps-lite for a heartbeat every second, unless the environment has other wishes, and return the patience.

    Raises:
        ValueError: If the environment names no number of seconds, or a heartbeat that does not come in time.
    """
    interval, text = (os.environ.setdefault(name, default) for name, default in ((INTERVAL, "1"), (PATIENCE, "20")))
    if not text.isdecimal() or int(text) < 2:
        raise ValueError(f"{PATIENCE}={text}: allowed is an integer of at least 2 seconds")
    if not interval.isdecimal() or not 1 <= int(interval) < int(text):
        raise ValueError(f"{INTERVAL}={interval}: allowed is an integer from 1 to {int(text) - 1} seconds")
    return int(text)


@contextmanager
def watched(
    store: Any, observed: Sequence[str], patience: int, last_words: Callable[[], str] = lambda: ""
) -> Iterator[None]:
    """Meanwhile, once the job is complete, end this process if one of the observed roles is silent.

    Args:
        store: MXNet's distributed store.
        observed: Roles.
        patience: Seconds of silence.
        last_words: What to say beside the reason.
    """
    done = threading.Event()

    def watch() -> None:
        # MXNet crashes when it is asked before it has begun to join, which it has long done after this time.
        while not done.wait(2) and not has_joined(store, observed[0]):
            pass
        # Until then ps-lite counts from a time before the job was complete.
        done.wait(patience)
        while not done.wait(0.5):
            for each in observed:
                if count := silent(store, each, patience):
                    give_up(f"no sign of {count} {each}{'s' * (count > 1)} for {patience} s{last_words()}")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def silent(store: Any, group: str, patience: int) -> int:
    """Return how many processes of a role this one has had no heartbeat of for `patience` seconds."""
    count = ctypes.c_int()
    _call("MXKVStoreGetNumDeadNode", store.handle, GROUPS[group], ctypes.byref(count), patience)
    return count.value


def has_joined(store: Any, observed: str) -> bool:
    """Whether all processes of the job have found each other: from then on those observed are too silent for -1 s."""
    return silent(store, observed, -1) > 0


@contextmanager
def time_limit(seconds: float, reached: Callable[[], Any]) -> Iterator[None]:
    """Call a function unless what is done meanwhile is done in time."""
    timer = threading.Timer(seconds, reached)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def not_joined() -> NoReturn:
    """End the process because the job is not complete."""
    wanted = ", ".join(f"{os.environ.get(f'DMLC_NUM_{each.upper()}')} {each}s" for each in ("worker", "server"))
    place = ":".join(os.environ.get(f"DMLC_PS_ROOT_{part}", "") for part in ("URI", "PORT"))
    give_up(f"waited {TO_JOIN:g} s for 1 scheduler at {place}, {wanted}")


def give_up(reason: str) -> NoReturn:
    """End the process at once: the main thread may wait in MXNet, where no exception reaches it."""
    print(f"{role()}: {reason}", file=sys.stderr, flush=True)
    os._exit(1)


def free(store: Any) -> None:
    """End a store; its Python object may live on."""
    _call("MXKVStoreFree", store.handle)
    store.handle = ctypes.c_void_p(None)


def _call(name: str, *arguments: Any) -> None:
    """Call a function of MXNet's C interface that has none in Python; the lock of Python is free meanwhile."""
    base = sys.modules["mxnet.base"]
    base.check_call(getattr(base._LIB, name)(*arguments))
