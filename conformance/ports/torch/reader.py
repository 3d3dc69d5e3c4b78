"""From a PyTorch module to its canonical graph, through the operators that ``torch.export`` sees it run.

Modules, functions and methods all end in the same few ATen operators, with every attribute, so ``nn.ReLU``,
``functional.relu`` and ``x.relu()`` are one thing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from conformance.graphs.graph import Attributes, Graph, Node, Parameter, Shape, canonical_attributes
from conformance.graphs.symbols import operator_defaults
from conformance.ports.torch.operators import READERS, Arguments, arguments_of, pair, shape_of

#: What each argument of an operator that is a parameter is called in the canonical graph, in its order.
SLOTS = {
    "BatchNorm": {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"},
    "Convolution": {"weight": "weight", "bias": "bias"},
    "FullyConnected": {"weight": "weight", "bias": "bias"},
}
IDENTITIES = frozenset({"alias", "clone", "contiguous", "detach", "detach_"})
FLATTENS = frozenset({"flatten", "reshape", "view", "_unsafe_view", "squeeze"})


def _owner(node: torch.fx.Node) -> str:
    """Path of the innermost module that ran an operator."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _inputs(node: torch.fx.Node) -> list[torch.fx.Node]:
    """What an operator reads, in order; twice what it reads twice."""
    found: list[torch.fx.Node] = []
    torch.fx.node.map_arg((node.args, node.kwargs), found.append)
    return found


@dataclass
class Reader:
    """Reads an exported program, operator by operator.

    Attributes:
        names: Structural names of the placeholders that are parameters.
        images: The placeholder of the images.
        nodes: What was read so far.
        sources: Those nodes' own operators, whose outputs theirs are.
        slots: Of the parameters, in order of first use.
    """

    names: dict[torch.fx.Node, str]
    images: torch.fx.Node
    nodes: list[Node] = field(default_factory=list)
    sources: list[torch.fx.Node] = field(default_factory=list)
    slots: dict[str, tuple[str, Shape]] = field(default_factory=dict)
    places: dict[torch.fx.Node, int] = field(default_factory=dict)
    flat: dict[torch.fx.Node, torch.fx.Node] = field(default_factory=dict)

    def read(self, node: torch.fx.Node) -> None:
        """Append one operator, or skip it where it passes its input through."""
        name = getattr(node.target, "_opname", str(node.target))
        given = arguments_of(node)
        entering = [source for source in _inputs(node) if source not in self.names]
        whole = shape_of(entering[0]) if entering else ()
        if self._passes(name, given, whole):
            self._alias(node, entering[0])
            return
        if name in FLATTENS and len(shape_of(node)) == 2 and whole[:1] == shape_of(node)[:1]:
            self.flat[node] = self.flat.get(entering[0], entering[0])
            return
        operator, attributes = self._read(name.rstrip("_"), node, given)
        self._append(node, operator, attributes, given, entering)

    @staticmethod
    def _passes(name: str, given: Arguments, whole: Shape) -> bool:
        """Whether an operator passes its input, of a shape, through unchanged."""
        if name == "adaptive_avg_pool2d":
            return pair(given["output_size"]) == whole[2:]
        return name in IDENTITIES or (name.startswith("dropout") and given["p"] == 0)

    def _append(
        self,
        node: torch.fx.Node,
        operator: str,
        attributes: Attributes,
        given: Arguments,
        entering: list[torch.fx.Node],
    ) -> None:
        if operator == "FullyConnected" and attributes["flatten"]:
            entering = [self.flat.get(source, source) for source in entering]
        inputs = tuple((self.place(source), 0) for source in entering)
        slots = SLOTS.get(operator, {})
        given_parameters = [(slots[key], given[key]) for key in slots if given.get(key) is not None]
        given_parameters += [("other", source) for source in _inputs(node) if source in self.names and not slots]
        for slot, source in given_parameters:
            self.slots.setdefault(self.names[source], (slot, shape_of(source)))
        shape = shape_of(node)
        if attributes.get("global_pool") and len(shape) == 2:  # a mean that drops the axes that it is over
            self.flat[node] = node
            shape = (*shape, 1, 1)
        if operator in SLOTS or operator in ("Activation", "Pooling", "Dropout", "Concat"):
            attributes = canonical_attributes(operator, attributes, operator_defaults(operator))
        parameters = tuple(self.names[source] for _, source in given_parameters)
        self.places[node] = len(self.nodes)
        self.nodes.append(
            Node(len(self.nodes), operator, _owner(node), attributes, inputs, parameters, shape, node.name)
        )
        self.sources.append(node)

    def _read(self, name: str, node: torch.fx.Node, given: Arguments) -> tuple[str, Attributes]:
        """Operator and attributes; one that none of the networks has keeps its own name and arguments."""
        if name in READERS:
            return READERS[name](given)
        plain = {key: value for key, value in given.items() if not isinstance(value, torch.fx.Node)}
        return str(node.target), {name: str(value) for name, value in plain.items()}

    def _alias(self, node: torch.fx.Node, source: torch.fx.Node) -> None:
        """Let an operator stand for what it passes through."""
        if source in self.flat:
            self.flat[node] = self.flat[source]
        if source not in self.flat or source in self.places:
            self.places[node] = self.place(source)

    def place(self, source: torch.fx.Node) -> int:
        """Position of what a node reads; a Flatten that something else than a dense layer reads becomes a node."""
        if source is self.images:
            return -1
        if source in self.flat and source not in self.places:
            self._append(source, "Flatten", {}, {}, [self.flat[source]])
        return self.places[source]


def read_graph(exported: Any, state: dict[str, torch.Tensor]) -> tuple[Graph, list[torch.fx.Node]]:
    """Read an exported module.

    Args:
        exported: What ``torch.export.export`` returned.
        state: The module's parameters and buffers by name.

    Returns:
        Its canonical graph, and the operator of each of its nodes.
    """
    signature = exported.graph_signature
    known = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    known |= signature.inputs_to_lifted_tensor_constants
    holders = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    names = {holders[name]: target for name, target in known.items()}
    reader = Reader(names, holders[signature.user_inputs[0]])
    for node in operators(exported):
        reader.read(node)
    (result,) = exported.graph.output_node().args[0]
    parameters = {name: Parameter(name, slot, shape) for name, (slot, shape) in reader.slots.items()}
    for name, value in state.items():
        parameters.setdefault(name, Parameter(name, "unused", tuple(value.shape)))
    return Graph(tuple(reader.nodes), parameters, reader.place(result)), reader.sources


def operators(exported: Any) -> Iterator[torch.fx.Node]:
    """The operators of an exported module in the order in which they run."""
    return (node for node in exported.graph.nodes if node.op == "call_function")
