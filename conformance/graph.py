"""The canonical graph: what a network computes, without how it was written.

A :class:`Graph` holds the operators of one network in the order MXNet would run them. Every operator's
attributes are canonical: defaults filled in, text parsed, synonyms unified, attributes that change only
speed left out. :func:`differences` compares two graphs bottom-up, so names and the order of calls do not
matter, and the first difference reported is the first place where the two networks really part.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Shape = tuple[int, ...]
Attributes = dict[str, Any]

#: Operators that compute the same thing under another name -> (canonical name, implied attributes).
SYNONYMS: Mapping[str, tuple[str, Attributes]] = {
    "relu": ("Activation", {"act_type": "relu"}),
    "sigmoid": ("Activation", {"act_type": "sigmoid"}),
    "tanh": ("Activation", {"act_type": "tanh"}),
    "elemwise_add": ("add", {}),
    "_plus": ("add", {}),
    "_Plus": ("add", {}),
    "_add": ("add", {}),
    "broadcast_add": ("add", {}),
    "broadcast_plus": ("add", {}),
    "add_n": ("add", {}),
    "ElementWiseSum": ("add", {}),
    "flatten": ("Flatten", {}),
    "concat": ("Concat", {}),
}
#: Operators that pass values and gradients through unchanged.
IDENTITIES = frozenset({"_copy", "identity", "_np_copy"})
#: Attributes that choose an algorithm, a workspace or a calibration, never the result's definition.
SPEED_ONLY = frozenset(
    {"workspace", "cudnn_tune", "cudnn_off", "cudnn_algo_verbose", "min_calib_range", "max_calib_range", "num_args"}
)
#: Spatial attributes whose empty tuple means this value in every dimension.
SPATIAL_DEFAULTS = {"stride": 1, "dilate": 1, "pad": 0}
WINDOWED = frozenset({"Convolution", "Deconvolution", "Pooling"})


@dataclass(frozen=True)
class Parameter:
    """A parameter as the graph uses it.

    Attributes:
        name: Structural name, e.g. ``features.0.weight``.
        slot: What its first operator calls it: weight, bias, gamma, beta, moving_mean, moving_var, ...
        shape: Its shape, 0 where unknown.
        settings: dtype, initializer, grad_req, lr_mult and wd_mult.
    """

    name: str
    slot: str
    shape: Shape
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """One operator: where it stands, what it is, and what it reads.

    Attributes:
        inputs: ``(node index, output index)`` of each input that is an operator or the images (index -1).
        parameters: Structural names of the parameters it reads, in the operator's order.
        output: Name of its first output in MXNet's own symbol, to fetch its values.
    """

    position: int
    operator: str
    block: str
    attributes: Mapping[str, Any]
    inputs: tuple[tuple[int, int], ...]
    parameters: tuple[str, ...]
    shape: Shape
    output: str

    def __str__(self) -> str:
        """Say position, operator and owning block."""
        return f"node {self.position} {self.operator} in {self.block or 'the network itself'}"


@dataclass(frozen=True)
class Difference:
    """One place where two graphs part, in the words of a failure message."""

    where: Node | None
    text: str

    def __str__(self) -> str:
        """Give the text."""
        return self.text


@dataclass(frozen=True)
class Graph:
    """The operators of one network, in order, and its parameters in order of first use."""

    nodes: tuple[Node, ...]
    parameters: Mapping[str, Parameter]
    head: int

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """A bottom-up hash of every node: equal hashes mean equal computations up to that node."""
        return tuple(_hash_all(self, {}))

    def consumers(self, index: int) -> list[Node]:
        """Nodes that read an output of node ``index``."""
        return [node for node in self.nodes if any(source == index for source, _ in node.inputs)]

    def users(self, parameter: str) -> list[Node]:
        """Nodes that read a parameter."""
        return [node for node in self.nodes if parameter in node.parameters]


def parse_value(text: Any) -> Any:
    """Turn an attribute's text into a Python value: ``'(3, 3)'`` -> ``(3, 3)``, ``'true'`` -> ``True``."""
    if not isinstance(text, str):
        return text
    known = {"true": True, "false": False, "none": None, "": None}
    if text.lower() in known:
        return known[text.lower()]
    try:
        value = ast.literal_eval(text.replace("L", ""))
    except (ValueError, SyntaxError):
        return text
    return tuple(value) if isinstance(value, list) else value


def canonical_attributes(operator: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Attributes:
    """Fill in an operator's defaults, parse every value and drop what cannot change the result."""
    merged = {**defaults, **{key: _as_default(value, defaults.get(key)) for key, value in given.items()}}
    attributes = {key: value for key, value in merged.items() if key not in SPEED_ONLY and not key.startswith("__")}
    if operator in WINDOWED:
        _canonical_window(operator, attributes)
    return dict(sorted(attributes.items()))


def _canonical_window(operator: str, attributes: Attributes) -> None:
    """Give stride, dilation, padding and layout their values in every spatial dimension."""
    kernel = attributes.get("kernel") or (0, 0)
    for key, value in SPATIAL_DEFAULTS.items():
        if key in attributes and not attributes[key]:
            attributes[key] = (value,) * len(kernel)
    layouts = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
    if attributes.get("layout", "") is None:
        attributes["layout"] = layouts.get(len(kernel))
    if operator != "Pooling":
        return
    if attributes.get("global_pool"):
        for key in ("kernel", "stride", "pad", "pooling_convention"):
            attributes.pop(key, None)
    if attributes.get("pool_type") != "lp":
        attributes.pop("p_value", None)
    if attributes.get("pool_type") != "avg" or attributes.get("global_pool"):
        attributes.pop("count_include_pad", None)
    elif attributes.get("count_include_pad") is None:
        attributes["count_include_pad"] = True


def _as_default(text: Any, default: Any) -> Any:
    """Parse a value and read it as its default's type: ``0`` is False for a switch, 0.0 for a rate."""
    value = parse_value(text)
    if isinstance(default, bool | float) and isinstance(value, bool | int):
        return type(default)(value)
    return value


def _flattened(graph: Graph, node: Node, keys: Mapping[int, str]) -> list[str]:
    """Inputs of a concat with nested concats along the same axis opened up."""
    result = []
    for source, output in node.inputs:
        inner = graph.nodes[source] if source >= 0 else None
        if inner is not None and inner.operator == "Concat" and inner.attributes == node.attributes:
            result += _flattened(graph, inner, keys)
        else:
            result.append(f"{keys[source]}.{output}")
    return result


def _hash_node(graph: Graph, node: Node, keys: Mapping[int, str]) -> str:
    """Hash a node from its operator, attributes, parameter slots and the hashes of its inputs."""
    if node.operator == "Concat":
        inputs = _flattened(graph, node, keys)
    else:
        inputs = [f"{keys[source]}.{output}" for source, output in node.inputs]
    if node.operator == "add":
        inputs.sort()
    slots = [graph.parameters[name].slot for name in node.parameters if name in graph.parameters]
    text = repr((node.operator, sorted(node.attributes.items()), inputs, slots))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _hash_all(graph: Graph, forced: Mapping[int, str]) -> list[str]:
    """Hash every node in order; ``forced`` replaces the hash of nodes already reported as different."""
    keys = {-1: "images"}
    for index, node in enumerate(graph.nodes):
        keys[index] = forced.get(index) or _hash_node(graph, node, keys)
    return [keys[index] for index in range(len(graph.nodes))]


def _sources(graph: Graph, node: Node, keys: Sequence[str]) -> list[str]:
    """Hashes of a node's inputs, order aside."""
    return sorted("images" if source < 0 else keys[source] for source, _ in node.inputs)


def _unmatched(keys: Sequence[str], others: Sequence[str]) -> list[int]:
    """Indices of ``keys`` that have no partner of the same hash among ``others``, in order."""
    available = Counter(others)
    result = []
    for index, key in enumerate(keys):
        if available[key]:
            available[key] -= 1
        else:
            result.append(index)
    return result


def _counterpart(node: Node, expected: Graph, actual: Graph, left: Sequence[str], right: Sequence[str],
                 candidates: Iterable[int]) -> int | None:
    """The actual node that stands where ``node`` should: same inputs, and the same operator if there is one."""
    wanted = _sources(expected, node, left)
    ranked = []
    for index in candidates:
        other = actual.nodes[index]
        same_inputs = _sources(actual, other, right) == wanted
        same_operator = other.operator == node.operator
        overlap = bool(set(_sources(actual, other, right)) & set(wanted))
        if same_inputs or (overlap and same_operator) or overlap:
            ranked.append((-(4 * same_inputs + 2 * same_operator + overlap), index))
    return min(ranked)[1] if ranked else None


def differences(expected: Graph, actual: Graph, limit: int = 8) -> list[Difference]:
    """Compare two graphs and list up to ``limit`` places where they part, in graph order.

    Each place found is then taken as equal, so that what only follows from it is not reported again.
    """
    found: list[Difference] = []
    forced: dict[int, str] = {}
    tolerated: dict[int, str] = {}
    while len(found) < limit:
        left, right = _hash_all(expected, tolerated), _hash_all(actual, forced)
        missing, extra = _unmatched(left, right), _unmatched(right, left)
        if not missing and not extra:
            break
        node = expected.nodes[missing[0]] if missing else None
        twin = _counterpart(node, expected, actual, left, right, extra) if node else None
        found.append(_describe(node, actual.nodes[twin] if twin is not None else None, actual, extra))
        if node is None or twin is None:
            break
        forced[twin] = tolerated[missing[0]] = f"reported {len(found)}"
    return found + _wiring(expected, actual, found)


def _describe(node: Node | None, twin: Node | None, actual: Graph, extra: Sequence[int]) -> Difference:
    """Put one difference into words."""
    if node is None:
        first = actual.nodes[extra[0]]
        return Difference(first, f"{first}: not in the reference {dict(first.attributes)}")
    if twin is None:
        seen = f"; first unexpected: {actual.nodes[extra[0]]}" if extra else ""
        return Difference(actual.nodes[extra[0]] if extra else node, f"{node}: missing{seen}")
    if node.operator != twin.operator:
        return Difference(twin, f"{twin}: expected {node.operator} {dict(node.attributes)} ({node.block}), "
                                f"actual {twin.operator} {dict(twin.attributes)}")
    keys = sorted(set(node.attributes) | set(twin.attributes))
    changed = [f"{key} expected {node.attributes.get(key)!r}, actual {twin.attributes.get(key)!r}"
               for key in keys if node.attributes.get(key) != twin.attributes.get(key)]
    text = "; ".join(changed) or "its inputs or their order differ from the reference's"
    return Difference(twin, f"{twin}: {text} (reference: {node.block})")


def pair_nodes(expected: Graph, actual: Graph) -> dict[int, int]:
    """Match nodes of equal hash: index in ``expected`` -> index in ``actual``, each used once."""
    waiting: dict[str, list[int]] = {}
    for index, key in enumerate(actual.hashes):
        waiting.setdefault(key, []).append(index)
    return {index: waiting[key].pop(0) for index, key in enumerate(expected.hashes) if waiting.get(key)}


def pair_parameters(expected: Graph, actual: Graph) -> dict[str, str]:
    """Match parameters through matching nodes: name in ``expected`` -> name in ``actual``."""
    pairs: dict[str, str] = {}
    for index, other in pair_nodes(expected, actual).items():
        pairs.update(zip(expected.nodes[index].parameters, actual.nodes[other].parameters, strict=False))
    return pairs


def _wiring(expected: Graph, actual: Graph, found: Sequence[Difference]) -> list[Difference]:
    """Differences that hashes do not show: the head, shared or unused parameters."""
    if found:
        return []
    result = []
    nodes = pair_nodes(expected, actual)
    if nodes.get(expected.head) != actual.head:
        result.append(Difference(actual.nodes[actual.head], f"{actual.nodes[actual.head]}: is returned; "
                                                            f"expected {expected.nodes[expected.head]}"))
    used: dict[str, str] = {}
    for index, other in nodes.items():
        for name, twin in zip(expected.nodes[index].parameters, actual.nodes[other].parameters, strict=True):
            if used.setdefault(twin, name) != name:
                node = actual.nodes[other]
                result.append(Difference(node, f"{node}: reads {twin!r}, which the reference keeps apart"))
    unused = sorted(set(actual.parameters) - set(used))
    result += [Difference(None, f"parameter {name!r} is not in the reference") for name in unused]
    return result
