"""What a report draws of a network: its graph, and how the error grows from layer to layer.

Of a claim it is the error from the reference, of every subject that of its fused graph from the plain one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from conformance.contract.outcomes import NotApplicable
from conformance.experiments import variants
from conformance.experiments.claim import GluonClaim
from conformance.experiments.runs import Runs
from conformance.graphs.evaluation import evaluate
from conformance.graphs.graph import Graph, Node
from conformance.graphs.matching import pair_nodes
from conformance.graphs.symbols import ENDS, output_of
from conformance.graphs.tracing import trace
from conformance.tensors.comparison import Array, largest_difference
from conformance.tensors.recording import read
from reference.runtime.mxnet_compat import mx

#: Attributes that tell an operator from its like, in a drawing.
TELLING = ("kernel", "stride", "num_filter", "num_hidden", "pool_type", "act_type", "p")


def draw(runs: Runs, claim: GluonClaim | None = None) -> str:
    """The nodes of a network's graph in order, and the errors at each, as JSON.

    The error of a layer is its largest difference from the plain graph, as a part of the layer's largest magnitude.

    Args:
        runs: Of the network.
        claim: The same beside what it claims to be, where it claims something.
    """
    stage = runs.network.stage
    with stage("tracing the network to draw it"):
        nodes = [_row(node) for node in runs.graph.nodes]
    with stage("comparing the network with its reference layer by layer"):
        pairs = reference_outputs(claim) if claim is not None else iter(())
        reference = {str(node.position): _error(*pair) for node, *pair in pairs}
    try:
        with stage("running the fused graph layer by layer"):
            fused = {str(node.position): _error(*pair) for node, *pair in fused_outputs(runs)}
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


def reference_outputs(claim: GluonClaim) -> Iterator[tuple[Node, Array, Array]]:
    """Each operator of a claim in predict mode: what it is, the reference's output, its own; also after they part.

    Nothing where its operators are others, or with a user's own weights, which fit the reference only where the two
    are equal.
    """
    network = claim.claimed.network
    if network.subject.weights is not None:
        return
    pairs, shape = _twins(claim.expected, claim.graph), network.shape(1, train=True)
    if not pairs:
        return
    actual = {node.position: array for node, array in claim.claimed.node_outputs(shape)}
    for node, expected in claim.reference.node_outputs(shape):
        yield claim.graph.nodes[pairs[node.position]], expected, actual.pop(pairs[node.position])


def last_fused(symbol: Any, graph: Graph) -> dict[str, Node]:
    """Output of each operator of a fused symbol -> the last operator of the plain graph that it stands for."""
    known = {node.output.removesuffix(end): node for node in graph.nodes for end in ENDS if node.output.endswith(end)}
    outputs = symbol.get_internals().list_outputs()
    found: dict[str, Node] = {}
    for raw in json.loads(symbol.tojson())["nodes"]:
        inside = [inner["name"] for part in raw.get("subgraphs", ()) for inner in part["nodes"]] or [raw["name"]]
        nodes = [known[name] for name in inside if name in known]
        output = output_of(raw["name"], outputs)
        if nodes and output:
            found[output] = max(nodes, key=lambda node: node.position)
    return found


def fused_outputs(runs: Runs) -> Iterator[tuple[Node, Array, Array]]:
    """Each operator of the fused graph in predict mode: what it stands for, the plain output, its own.

    Raises:
        NotApplicable, AttributeError: If this build or version of MXNet cannot fuse.
    """
    network = runs.network
    variants.require_fusion(network.ctx)
    shape = network.shape(1, train=True)
    net, images = runs.net(train=False), network.images(shape)
    graph, symbol = trace(net, shape)
    fused = symbol.optimize_for(variants.FUSED_BACKEND)
    last = last_fused(fused, graph)
    outputs = evaluate(fused, [*last], images, net.collect_params())
    actual = {node.position: read(output) for node, output in zip(last.values(), outputs, strict=True)}
    for node, expected in runs.node_outputs(shape, only=sorted(actual)):
        yield node, expected, actual[node.position]
