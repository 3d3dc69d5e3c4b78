"""The devices that MXNet computes on, by name."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from reference.runtime.mxnet_compat import mx


def context(text: str) -> Any:
    """The device that ``cpu``, ``gpu`` or one with a number, ``gpu:1``, names."""
    kind, _, number = text.partition(":")
    return mx.Context(kind, int(number or 0))


def try_gpu(index: int = 0) -> Any:
    """Return GPU ``index`` as a context if this build of MXNet computes on it, else the CPU.

    Raises:
        ValueError: If ``index`` is not an integer of at least 0.
    """
    if isinstance(index, bool) or not isinstance(index, Integral) or index < 0:
        raise ValueError(f"index={index!r}: allowed is an integer of at least 0")
    try:
        # Counted first: MXNet may end the process where it is told to use a GPU that is not there.
        if index < mx.context.num_gpus():
            ctx = mx.gpu(int(index))
            # A build without code for this GPU finds it and fails only when it computes, so compute.
            (mx.nd.zeros((1,), ctx=ctx) + 1).wait_to_read()
            return ctx
    except mx.MXNetError:
        pass
    return mx.cpu()
