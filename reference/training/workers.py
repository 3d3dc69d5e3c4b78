"""Workers: processes that train one network together, each on its part of every batch.

They add up gradients, sums and running statistics through MXNet's parameter server (``dist_sync``), and each updates
its own weights, so that in every step all have the same weights, states, statistics and metrics.

>>> with joined("dist_sync") as workers:
...     part = (workers.rank, workers.size)
...     for metrics in fit(net, Examples(images, labels, part=part), workers=workers):
...         print(metrics)
"""

from __future__ import annotations

import os
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from reference.runtime.mxnet_compat import mx
from reference.runtime.parameter_server import TO_JOIN, begin_heartbeat, free, not_joined, time_limit, watched

KINDS = ("device", "dist_sync", "dist_device_sync")
"""Key-value stores: one process, and several that add up gradients on the CPU or on the devices."""

KEY = 100_000
"""Of the sums in the store; the keys below are the parameters', and MXNet computes with keys in 32 bits."""


class Workers:
    """The processes that train together, as one of them sees them.

    Attributes:
        store: MXNet's distributed key-value store; None where the process is alone.
        rank: Number of this worker, from 0.
        size: Number of workers.
    """

    def __init__(self, store: Any = None) -> None:
        """Take a store."""
        self.store = store
        self.rank, self.size = (0, 1) if store is None else (int(store.rank), int(store.num_workers))
        self._lengths: set[int] = set()
        self._meanwhile = ExitStack()

    def total(self, *values: float) -> tuple[float, ...]:
        """Return the sums of the workers' values, in float64; each waits for all others to call it.

        MXNet's server rounds float64 to float32, on some days. So every value is sent as four integers of 16 bits, in
        a row of the worker's own, and the rows are added up here, in the same order on every worker.
        """
        if self.store is None:
            return values
        key, rows = KEY + len(values), np.zeros((self.size, 4 * len(values)), np.float32)
        if len(values) not in self._lengths:
            self._lengths.add(len(values))
            self.store.init(key, mx.nd.array(rows))
        rows[self.rank] = np.array(values, np.float64).view(np.uint16)
        # pushpull may write into what is pushed, so neither array is used again.
        gathered = mx.nd.zeros(rows.shape)
        self.store.pushpull(key, mx.nd.array(rows), out=gathered)
        return tuple(gathered.asnumpy().astype(np.uint16).view(np.float64).sum(axis=0).tolist())

    def require_same(self, what: str, mine: str) -> None:
        """Make sure that all workers have what worker 0 has.

        Raises:
            ValueError: On every worker, if one has another.
        """
        number = zlib.crc32(mine.encode())
        (first,) = self.total(number if self.rank == 0 else 0)
        (others,) = self.total(number != first)
        if others:
            raise ValueError(f"{others:g} of {self.size} workers have {what} other than worker 0's")

    def leave(self) -> None:
        """Part with the other workers in good order, once all have come to this."""
        if self.store is not None:
            mx.nd.waitall()
            self.store._barrier()
            self._meanwhile.close()
            free(self.store)
            self.store = None
            _JOINED.discard(self)


ALONE = Workers()
"""A process that trains alone."""

_JOINED: set[Workers] = set()


@contextmanager
def joined(kind: str, last_words: Callable[[], str] = lambda: "") -> Iterator[Workers]:
    """Be one of the workers of a job; a process alone, where the kind of store is not a distributed one.

    Where the work within fails, the process stays joined: it cannot leave before all others have come as far, which
    they may never do, and must end at once, see `ended_at_once`.

    Args:
        kind: One of `KINDS`.
        last_words: What to say beside the reason when the process is ended since another was lost.

    Raises:
        ValueError: If the environment does not say which job it is.
    """
    if not kind.startswith("dist"):
        yield ALONE
        return
    missing = [name for name in ("NUM_WORKER", "NUM_SERVER", "PS_ROOT_URI", "PS_ROOT_PORT") if not _setting(name)]
    if missing or not _setting("ROLE"):
        names = ", ".join(f"DMLC_{name}" for name in ["ROLE"] * (not _setting("ROLE")) + missing)
        raise ValueError(f"--kvstore {kind}: the environment names no job: {names} not set")
    patience = begin_heartbeat()
    with time_limit(TO_JOIN, not_joined):
        workers = Workers(mx.kv.create(kind))
    workers._meanwhile.enter_context(watched(workers.store, ("scheduler",), patience, last_words))
    _JOINED.add(workers)
    yield workers
    workers.leave()


def _setting(name: str) -> str:
    return os.environ.get(f"DMLC_{name}", "")


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Where a worker fails meanwhile, end the process without MXNet's farewell, in which it would wait for the others.

    They find it silent, and end too.
    """
    try:
        yield
    except BaseException as error:
        if not _JOINED:
            raise
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)
