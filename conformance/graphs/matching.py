"""Are two networks the same? Graphs compared bottom-up, whatever their names and the order of calls.

Every node is hashed from its operator, its attributes and the hashes of its inputs, so equal hashes mean equal
computations. The first difference reported is the first place where the two networks really part.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from types import MappingProxyType

from conformance.contract.outcomes import Problem, owner
from conformance.graphs.graph import COMMUTATIVE, Graph, Node


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
    if node.operator in COMMUTATIVE:
        inputs.sort()
    slots = [graph.parameters[name].slot for name in node.parameters if name in graph.parameters]
    text = repr((node.operator, sorted(node.attributes.items()), inputs, slots))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def hashes(graph: Graph, forced: Mapping[int, str] = MappingProxyType({})) -> list[str]:
    """Hash every node in order: equal hashes mean equal computations, down to the images.

    ``forced`` replaces the hash of nodes already reported as different.
    """
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


def _counterpart(
    node: Node,
    expected: Graph,
    actual: Graph,
    left: Sequence[str],
    right: Sequence[str],
    candidates: Iterable[int],
) -> int | None:
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


def differences(expected: Graph, actual: Graph, limit: int = 8) -> list[Problem]:
    """Compare two graphs and list up to ``limit`` places where they part, in graph order.

    Each place found is then taken as equal, so that what only follows from it is not reported again.
    """
    found: list[Problem] = []
    forced: dict[int, str] = {}
    tolerated: dict[int, str] = {}
    while len(found) < limit:
        left, right = hashes(expected, tolerated), hashes(actual, forced)
        missing, extra = _unmatched(left, right), _unmatched(right, left)
        if not missing and not extra:
            break
        node = expected.nodes[missing[0]] if missing else None
        odd = _left_out_or_put_in(expected, actual, missing, extra)
        if odd is not None:
            found.append(odd)
            break
        twin = _counterpart(node, expected, actual, left, right, extra) if node else None
        found.append(_describe(node, actual.nodes[twin] if twin is not None else None, actual, extra))
        if node is None or twin is None:
            break
        forced[twin] = tolerated[missing[0]] = f"reported {len(found)}"
    return found + _wiring(expected, actual, found)


def _signature(node: Node) -> str:
    """What a node is by itself, whatever it reads."""
    return repr((node.operator, sorted(node.attributes.items())))


def _left_out_or_put_in(expected: Graph, actual: Graph, missing: Sequence[int], extra: Sequence[int]) -> Problem | None:
    """Say so where the first difference is a layer left out or put in, and not one that was changed.

    Both networks' unmatched nodes are aligned in order by what each is by itself.
    """
    left, right = [expected.nodes[i] for i in missing], [actual.nodes[i] for i in extra]
    match = SequenceMatcher(None, [*map(_signature, left)], [*map(_signature, right)], autojunk=False)
    for kind, start, end, begin, stop in match.get_opcodes():
        if kind == "delete":
            more = f" and {end - start - 1} more" if end - start > 1 else ""
            return Problem(f"{left[start]}{more}: missing {dict(left[start].attributes)}", left[start].place)
        if kind == "insert":
            more = f" and {stop - begin - 1} more" if stop - begin > 1 else ""
            return Problem(
                f"{right[begin]}{more}: not in the reference {dict(right[begin].attributes)}", right[begin].place
            )
        if kind == "replace":
            return None
    return None


def _describe(node: Node | None, twin: Node | None, actual: Graph, extra: Sequence[int]) -> Problem:
    """Put one difference into words."""
    if node is None:
        first = actual.nodes[extra[0]]
        return Problem(f"{first}: not in the reference {dict(first.attributes)}", first.place)
    if twin is None:
        seen = f"; first unexpected: {actual.nodes[extra[0]]}" if extra else ""
        return Problem(f"{node}: missing{seen}", node.place)
    if node.operator != twin.operator:
        return Problem(
            f"{twin}: expected {node.operator} {dict(node.attributes)} ({node.place}), "
            f"actual {twin.operator} {dict(twin.attributes)}",
            twin.place,
        )
    keys = sorted(set(node.attributes) | set(twin.attributes))
    changed = [
        f"{key} expected {node.attributes.get(key)!r}, actual {twin.attributes.get(key)!r}"
        for key in keys
        if node.attributes.get(key) != twin.attributes.get(key)
    ]
    text = "; ".join(changed) or "its inputs or their order differ from the reference's"
    return Problem(f"{twin}: {text} (reference: {node.place})", twin.place)


def pair_nodes(expected: Graph, actual: Graph) -> dict[int, int]:
    """Match nodes of equal hash: index in ``expected`` -> index in ``actual``, each used once."""
    waiting: dict[str, list[int]] = {}
    for index, key in enumerate(hashes(actual)):
        waiting.setdefault(key, []).append(index)
    return {index: waiting[key].pop(0) for index, key in enumerate(hashes(expected)) if waiting.get(key)}


def pair_parameters(expected: Graph, actual: Graph) -> dict[str, str]:
    """Match parameters through matching nodes: name in ``expected`` -> name in ``actual``."""
    pairs: dict[str, str] = {}
    for index, other in pair_nodes(expected, actual).items():
        pairs.update(zip(expected.nodes[index].parameters, actual.nodes[other].parameters, strict=False))
    return pairs


def _wiring(expected: Graph, actual: Graph, found: Sequence[Problem]) -> list[Problem]:
    """Differences that hashes do not show: the head, shared or unused parameters."""
    if found:
        return []
    result = []
    nodes = pair_nodes(expected, actual)
    if nodes.get(expected.head) != actual.head:
        head = actual.nodes[actual.head]
        result.append(Problem(f"{head}: is returned; expected {expected.nodes[expected.head]}", head.place))
    used: dict[str, str] = {}
    for index, other in nodes.items():
        for name, twin in zip(expected.nodes[index].parameters, actual.nodes[other].parameters, strict=True):
            if used.setdefault(twin, name) != name:
                node = actual.nodes[other]
                result.append(Problem(f"{node}: reads {twin!r}, which the reference keeps apart", node.place))
    unused = sorted(set(actual.parameters) - set(used))
    result += [Problem(f"parameter {name!r} is not in the reference", owner(name)) for name in unused]
    return result
