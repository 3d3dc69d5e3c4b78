"""Reading MXNet's symbols: their JSON, and the operators' defaults as this build states them."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Container, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from conformance.graphs.graph import (
    ARITHMETIC,
    IDENTITIES,
    SYNONYMS,
    Attributes,
    Graph,
    Node,
    Parameter,
    canonical_attributes,
    parse_value,
)
from reference.runtime.mxnet_compat import mx

BLOCK = "__block__"
ENDS = ("_output", "_output0")
"""What MXNet adds to an operator's name to call its first output."""
DATA = "data"
#: Operators whose second and later array inputs are parameters, and what the operator calls them.
SLOTS = {
    "BatchNorm": ("gamma", "beta", "moving_mean", "moving_var"),
    "LayerNorm": ("gamma", "beta"),
    "InstanceNorm": ("gamma", "beta"),
    "GroupNorm": ("gamma", "beta"),
    "LeakyReLU": ("gamma",),
}


def output_of(operator: str, known: Container[str]) -> str:
    """What an operator's first output is called among known names; empty where it is not among them."""
    return next((f"{operator}{end}" for end in ENDS if f"{operator}{end}" in known), "")


@cache
def operator_defaults(operator: str) -> Attributes:
    """Defaults of an operator's attributes, as this MXNet build states them."""
    base = mx.base
    handle = ctypes.c_void_p()
    base.check_call(base._LIB.NNGetOpHandle(operator.encode(), ctypes.byref(handle)))
    text = [ctypes.c_char_p() for _ in range(4)]
    arrays = [ctypes.POINTER(ctypes.c_char_p)() for _ in range(3)]
    number = ctypes.c_uint32()
    base.check_call(
        base._LIB.MXSymbolGetAtomicSymbolInfo(
            handle,
            ctypes.byref(text[0]),
            ctypes.byref(text[1]),
            ctypes.byref(number),
            *(ctypes.byref(array) for array in arrays),
            ctypes.byref(text[2]),
            ctypes.byref(text[3]),
        )
    )
    described = {arrays[0][i].decode(): arrays[1][i].decode() for i in range(number.value)}
    return {name: _typed_default(kind) for name, kind in described.items() if "default=" in kind}


def _typed_default(description: str) -> Any:
    """Read ``"boolean, optional, default=0"``: an attribute's values are later read as its default's type."""
    value = parse_value(description.partition("default=")[2].strip("'"))
    if description.startswith("boolean"):
        return None if value is None else bool(value)
    return float(value) if description.startswith(("float", "double")) and isinstance(value, int) else value


def parameter_settings(parameter: Any) -> dict[str, Any]:
    """What a parameter is set to: dtype, initializer, grad_req, lr_mult, wd_mult."""
    init = parameter.init
    return {
        "dtype": np.dtype(parameter.dtype).name,
        "init": "default" if init is None else init if isinstance(init, str) else init.dumps(),
        "grad_req": parameter.grad_req,
        "lr_mult": parameter.lr_mult,
        "wd_mult": parameter.wd_mult,
    }


class Builder:
    """Reads a symbol's JSON into a :class:`~conformance.graphs.graph.Graph`."""

    def __init__(
        self,
        symbol: Any,
        shapes: Mapping[str, tuple[int, ...]],
        names: Mapping[str, str] | None,
        owners: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to read ``symbol``; ``names`` maps its variables to structural parameter names.

        ``owners`` gives the blocks of operators that carry no mark.

        Without names, as in what autograd recorded, a variable in an operator's first place is the images.
        """
        self.raw = json.loads(symbol.tojson())
        self.shapes = shapes
        self.names = names
        self.owners = owners or {}
        self.index: dict[int, int] = {}
        self.nodes: list[Node] = []
        self.slots: dict[str, str] = {}

    def build(self, parameters: Mapping[str, Any]) -> Graph:
        """Read all nodes; ``parameters`` maps structural names to Gluon's parameters."""
        for number, raw in enumerate(self.raw["nodes"]):
            if raw["op"] != "null":
                self._add(number, raw)
        order = [name for name in self.slots if name in parameters]
        order += [name for name in parameters if name not in self.slots]
        known = {name: self._parameter(name, parameters[name]) for name in order}
        known |= {name: Parameter(name, slot, ()) for name, slot in self.slots.items() if name not in known}
        head = self.index.get(self.raw["heads"][0][0], -1)
        return without_unread_flattens(Graph(tuple(self.nodes), known, head))

    def _parameter(self, name: str, parameter: Any) -> Parameter:
        shape = self.shapes.get(parameter.name) or tuple(parameter.shape or ())
        return Parameter(name, self.slots.get(name, "unused"), shape, parameter_settings(parameter))

    def _add(self, number: int, raw: Mapping[str, Any]) -> None:
        """Append one operator, or skip it where it passes its input through."""
        given = raw.get("attrs") or {}
        operator, implied = SYNONYMS.get(raw["op"], (raw["op"], {}))
        defaults = {} if operator in ARITHMETIC else operator_defaults(operator)
        attributes = canonical_attributes(operator, {**given, **implied}, defaults)
        if operator == "Reshape" and attributes.get("shape") == (0, -1):
            operator, attributes = "Flatten", {}
        sources, names = self._split(operator, raw, attributes)
        if self._is_identity(operator, attributes, sources):
            self.index[number] = sources[0][0]
            return
        if operator == "FullyConnected":
            sources = [self._unflattened(sources[0], attributes), *sources[1:]]
        self.index[number] = len(self.nodes)
        output = output_of(raw["name"], self.shapes) or raw["name"] + ENDS[0]
        if operator == "FullyConnected" and len(self.shapes.get(output, ())) == 2:
            attributes["flatten"] = True  # what enters has two axes too: there is nothing to flatten
        block = given.get(BLOCK, self.owners.get(raw["name"], "")).strip(".")
        self.nodes.append(
            Node(
                len(self.nodes),
                operator,
                block,
                attributes,
                tuple(sources),
                tuple(names),
                tuple(self.shapes.get(output, ())),
                output,
            )
        )

    @staticmethod
    def _is_identity(operator: str, attributes: Mapping[str, Any], sources: list[tuple[int, int]]) -> bool:
        unused_dropout = operator == "Dropout" and attributes.get("p") == 0
        return bool(sources) and (operator in IDENTITIES or unused_dropout)

    def _unflattened(self, source: tuple[int, int], attributes: Attributes) -> tuple[int, int]:
        """A dense layer flattens by itself: an explicit Flatten before it adds nothing."""
        node = self.nodes[source[0]] if source[0] >= 0 else None
        if node is not None and node.operator == "Flatten":
            attributes["flatten"] = True
            return node.inputs[0]
        return source

    def _split(
        self, operator: str, raw: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> tuple[list[tuple[int, int]], list[str]]:
        """Tell a node's inputs that are operators or images from those that are parameters."""
        slots = SLOTS.get(operator, ("weight", "bias"))
        sources: list[tuple[int, int]] = []
        names: list[str] = []
        for place, (source, output, *_) in enumerate(raw["inputs"]):
            variable = self.raw["nodes"][source]
            if variable["op"] != "null":
                sources.append((self.index[source], output if self.index[source] >= 0 else 0))
            elif variable["name"] == DATA if self.names is not None else place == 0:
                sources.append((-1, 0))
            else:
                name = (self.names or {}).get(variable["name"], variable["name"])
                names.append(name)
                slot = slots[place - 1] if 1 <= place <= len(slots) else f"input{place}"
                self.slots.setdefault(name, slot)
        return sources, names


def without_unread_flattens(graph: Graph) -> Graph:
    """The graph less its Flattens that only dense layers read: those flatten by themselves."""
    read = {source for node in graph.nodes for source, _ in node.inputs} | {graph.head}
    kept = [node for node in graph.nodes if node.operator != "Flatten" or node.position in read]
    places = {node.position: place for place, node in enumerate(kept)} | {-1: -1}
    nodes = tuple(
        replace(node, position=place, inputs=tuple((places[source], output) for source, output in node.inputs))
        for place, node in enumerate(kept)
    )
    return Graph(nodes, graph.parameters, places[graph.head])
