"""What a report draws of a network: its graph, and how the error grows from layer to layer.

Of a claim it is the error from the reference, of every subject that of its fused graph from the plain one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from conformance import variants
from conformance.check import NotApplicable
from conformance.comparison import Array, largest_difference
from conformance.graph import Graph, Node
from conformance.matching import pair_nodes
from conformance.recording import read
from conformance.tracing import trace
from reference.mxnet_compat import mx

if TYPE_CHECKING:
    from conformance.workbench import Workbench

#: Attributes that tell an operator from its like, in a drawing.
TELLING = ("kernel", "stride", "num_filter", "num_hidden", "pool_type", "act_type", "p")

#: What MXNet adds to an operator's name to call its first output.
ENDS = ("_output", "_output0")


def draw(bench: Workbench) -> str:
    """The nodes of the network's graph in order, and the errors at each, as JSON.

    The error of a layer is its largest difference from the plain graph, as a part of the layer's largest magnitude.
    """
    with bench.stage("tracing the network to draw it"):
        nodes = [_row(node) for node in bench.graph.nodes]
    with bench.stage("comparing the network with its reference layer by layer"):
        reference = {str(node.position): _error(*pair) for node, *pair in reference_outputs(bench)}
    try:
        with bench.stage("running the fused graph layer by layer"):
            fused = {str(node.position): _error(*pair) for node, *pair in fused_outputs(bench)}
    except (NotApplicable, AttributeError, mx.MXNetError):  # whether fusion is right is for a check to say
        fused = {}
    return json.dumps({"nodes": nodes, "reference": reference, "fused": fused})


def _row(node: Node) -> dict[str, Any]:
    told = (f"{key}={node.attributes[key]}" for key in TELLING if node.attributes.get(key) not in (None, (), 0))
    return {
        "operator": node.operator,
        "layer": node.place,
        "attributes": " ".join(told).replace(", ", ","),
        "shape": list(node.shape),
        "inputs": [source for source, _ in node.inputs],
    }


def _error(expected: Array, actual: Array) -> float | None:
    """The largest difference relative to the expected tensor's size; None where there is no such number."""
    if expected.shape != actual.shape:
        return None
    size, (gap, _) = float(abs(expected).max(initial=0)), largest_difference(expected, actual)
    return gap / size if 0 < size < float("inf") and gap < float("inf") else None


def _twins(expected: Graph, actual: Graph) -> dict[int, int]:
    """Positions of the nodes of two graphs that have the same place: matched, or the same operators in one order."""
    pairs = pair_nodes(expected, actual)
    if len(pairs) == len(expected.nodes):
        return pairs
    same = [[(node.operator, len(node.parameters)) for node in graph.nodes] for graph in (expected, actual)]
    return {place: place for place in range(len(expected.nodes))} if same[0] == same[1] else {}


def reference_outputs(bench: Workbench) -> Iterator[tuple[Node, Array, Array]]:
    """Each operator of a claim in predict mode: what it is, the reference's output, its own; also after they part.

    Nothing where there is no reference, where its operators are others, or with a user's own weights, which fit the
    reference only where the two are equal.
    """
    if bench.subject.kind != "claim" or bench.subject.weights is not None:
        return
    pairs, shape = _twins(bench.reference.graph, bench.graph), bench.shape(1, train=True)
    if not pairs:
        return
    actual = {node.position: array for node, array in bench.node_outputs(shape)}
    for node, expected in bench.reference.node_outputs(shape):
        yield bench.graph.nodes[pairs[node.position]], expected, actual.pop(pairs[node.position])


def last_fused(symbol: Any, graph: Graph) -> dict[str, Node]:
    """Output of each operator of a fused symbol -> the last operator of the plain graph that it stands for."""
    known = {node.output.removesuffix(end): node for node in graph.nodes for end in ENDS if node.output.endswith(end)}
    outputs = symbol.get_internals().list_outputs()
    found: dict[str, Node] = {}
    for raw in json.loads(symbol.tojson())["nodes"]:
        inside = [inner["name"] for part in raw.get("subgraphs", ()) for inner in part["nodes"]] or [raw["name"]]
        nodes = [known[name] for name in inside if name in known]
        names = (f"{raw['name']}{end}" for end in ENDS)
        output = next((name for name in names if name in outputs), "")
        if nodes and output:
            found[output] = max(nodes, key=lambda node: node.position)
    return found


def fused_outputs(bench: Workbench) -> Iterator[tuple[Node, Array, Array]]:
    """Each operator of the fused graph in predict mode: what it stands for, the plain output, its own.

    Raises:
        NotApplicable, AttributeError: If this build or version of MXNet cannot fuse.
    """
    variants.require_fusion(bench.ctx)
    shape = bench.shape(1, train=True)
    net, images = bench.net(train=False), bench.images(shape)
    graph, symbol = trace(net, shape)
    fused = symbol.optimize_for(variants.FUSED_BACKEND)
    last = last_fused(fused, graph)
    internals = fused.get_internals()
    group = mx.sym.Group([internals[output] for output in last])
    outputs = mx.gluon.SymbolBlock(group, mx.sym.var("data", dtype=bench.dtype), params=net.collect_params())(images)
    arrays = outputs if len(last) > 1 else [outputs]
    actual = {node.position: read(output) for node, output in zip(last.values(), arrays, strict=True)}
    for node, expected in bench.node_outputs(shape, only=sorted(actual)):
        yield node, expected, actual[node.position]
