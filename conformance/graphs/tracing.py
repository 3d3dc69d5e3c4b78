"""From a HybridBlock to its graph: tracing, owning blocks, shapes, operator defaults."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conformance.graphs.graph import Graph
from conformance.graphs.symbols import BLOCK, DATA, Builder
from reference.runtime.mxnet_compat import mx


def blocks(net: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every block of a network with its structural path, parents first."""
    yield path, net
    for name, child in net._children.items():
        yield from blocks(child, f"{path}.{name}".lstrip("."))


@contextmanager
def _custom_operators(owners: dict[str, str]) -> Iterator[None]:
    """Note the owner of every operator that is written in Python, which no mark may reach.

    MXNet gives all attributes of such an operator, marks too, to its Python class, and where that does not know one
    the process ends.
    """
    custom, current = mx.sym.Custom, mx.AttrScope._current

    def unmarked(*arguments: Any, **settings: Any) -> Any:
        scope, current.value = current.value, mx.AttrScope()
        try:
            output = custom(*arguments, **settings)
        finally:
            current.value = scope
        owners[output.name] = scope.get({}).get(BLOCK, "")
        return output

    mx.sym.Custom = unmarked
    try:
        yield
    finally:
        mx.sym.Custom = custom


@contextmanager
def _owned_operators(net: Any) -> Iterator[dict[str, str]]:
    """Mark every operator created while a block runs with that block's structural path.

    Yields:
        Owners of the operators that cannot be marked, by name.
    """
    scopes: list[Any] = []
    owners: dict[str, str] = {}

    def enter(path: str) -> Any:
        def hook(*_: Any) -> None:
            scopes.append(mx.AttrScope(**{BLOCK: path or "."}))
            scopes[-1].__enter__()

        return hook

    def leave(*_: Any) -> None:
        scopes.pop().__exit__(None, None, None)

    seen: dict[int, str] = {}
    handles = []
    for path, block in blocks(net):
        if seen.setdefault(id(block), path) == path:
            handles += [block.register_forward_pre_hook(enter(path)), block.register_forward_hook(leave)]
    try:
        with _custom_operators(owners):
            yield owners
    finally:
        while scopes:
            leave()
        for handle in handles:
            handle.detach()


def symbol_of(net: Any) -> tuple[Any, dict[str, str]]:
    """Trace a network into MXNet's symbol, and the owners of its operators that are written in Python.

    Raises:
        TypeError: If it does not return one output.
    """
    with _owned_operators(net) as owners, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = net(mx.sym.var(DATA))
    if not isinstance(output, mx.sym.Symbol) or len(output.list_outputs()) != 1:
        raise TypeError(f"expected a block with one output, actual {type(output).__name__}")
    return output, owners


def with_unique_names(symbol: Any) -> Any:
    """The same symbol, each operator named once: a layer that is called twice gives two operators one name."""
    raw = json.loads(symbol.tojson())
    seen: set[str] = set()
    doubled = []
    for number, node in enumerate(raw["nodes"]):
        if node["op"] != "null" and node["name"] in seen:
            node["name"] += f"_call{number}"
            doubled.append(number)
        seen.add(node["name"])
    return mx.sym.load_json(json.dumps(raw)) if doubled else symbol


def internal_shapes(symbol: Any, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shape of every value in a symbol for one input shape ``(N, ...)``.

    Raises:
        ValueError: If MXNet cannot infer the shapes for this input.
    """
    internals = symbol.get_internals()
    try:
        _, outputs, _ = internals.infer_shape(**{DATA: shape})
    except mx.MXNetError as error:
        raise ValueError(f"no shapes for an input of {shape}: {str(error).strip().splitlines()[-1]}") from None
    if outputs is None:
        raise ValueError(f"no shapes for an input of {shape}")
    return dict(zip(internals.list_outputs(), outputs, strict=True))


def structural_names(net: Any) -> dict[str, str]:
    """Gluon's full parameter names -> structural names (a shared parameter keeps its first)."""
    names: dict[str, str] = {}
    for structural, parameter in net._collect_params_with_prefix().items():
        names.setdefault(parameter.name, structural)
    for full in net.collect_params():
        names.setdefault(full, full)
    return names


def parameters_of(net: Any) -> dict[str, Any]:
    """A network's parameters by structural name."""
    names = structural_names(net)
    return {names[full]: parameter for full, parameter in net.collect_params().items()}


def trace(net: Any, shape: tuple[int, ...]) -> tuple[Graph, Any]:
    """Trace a network with an input of ``shape`` (N, ...); returns its graph and MXNet's symbol."""
    found, owners = symbol_of(net)
    symbol = with_unique_names(found)
    builder = Builder(symbol, internal_shapes(symbol, shape), structural_names(net), owners)
    return builder.build(parameters_of(net)), symbol


def recorded_graph(output: Any) -> Graph:
    """The graph that autograd recorded for an imperative output: what really ran, parameters unnamed."""
    symbol = mx.autograd.get_symbol(output)
    return Builder(symbol, {}, None).build({})
