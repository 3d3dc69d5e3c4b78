"""Values inside a symbol: what its operators compute, fetched by running them as one block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.graphs.symbols import DATA
from reference.runtime.mxnet_compat import mx


def evaluate(symbol: Any, names: Sequence[str], images: Any, parameters: Any) -> list[Any]:
    """Run a symbol on images and return some of its values, as MXNet's arrays, in the caller's mode.

    Args:
        symbol: Its input is called ``data``.
        names: Of the outputs of its operators.
        images: MXNet's array.
        parameters: Gluon's ParameterDict of the network that the symbol was traced from.
    """
    internals = symbol.get_internals()
    group = mx.sym.Group([internals[name] for name in names])
    whole = mx.gluon.SymbolBlock(group, mx.sym.var(DATA, dtype=images.dtype), params=parameters)
    outputs = whole(images)
    return list(outputs) if len(names) > 1 else [outputs]
