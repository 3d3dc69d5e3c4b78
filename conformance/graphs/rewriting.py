"""Networks rewritten as symbols: without dropout, with every input open to a gradient; and what layers are called."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from conformance.graphs.graph import Graph, Node
from conformance.graphs.symbols import DATA, output_of
from reference.runtime.mxnet_compat import mx


def without_dropout(symbol: Any) -> Any:
    """The same symbol with every Dropout's rate 0: it then passes on what it gets, in every mode."""
    raw = json.loads(symbol.tojson())
    for node in raw["nodes"]:
        if node["op"] == "Dropout":
            node["attrs"] = {**node.get("attrs", {}), "p": "0"}
    return mx.sym.load_json(json.dumps(raw))


def layer_names(graph: Graph) -> dict[int, str]:
    """``operator in block`` by position, numbered where a block has several of one operator.

    Positions are no part of a name: one more operator somewhere does not rename those behind it.
    """
    seen: Counter[tuple[str, str]] = Counter()
    names = {}
    for node in graph.nodes:
        seen[node.operator, node.block] += 1
        number = seen[node.operator, node.block]
        operator = node.operator if number == 1 else f"{node.operator} {number}"
        names[node.position] = f"{operator} in {node.place}"
    return names


def tapped(symbol: Any, graph: Graph) -> tuple[Any, dict[str, tuple[Node, int]]]:
    """Add a variable to every input of every operator that is no parameter.

    With zeros in them nothing changes, and the gradient of each is what that operator alone passes back: a wrong
    one is seen at the layer that computed it.

    Returns:
        The new symbol, and the variables' names with the node each belongs to and the number of its input.
    """
    raw = json.loads(symbol.tojson())
    known = {node.output: node for node in graph.nodes}
    nodes: list[dict[str, Any]] = []
    places: list[int] = []
    taps: dict[str, tuple[Node, int]] = {}
    for old in raw["nodes"]:
        owner = known.get(output_of(old["name"], known))
        inputs = []
        for number, (source, output, *_) in enumerate(old["inputs"]):
            read_from = raw["nodes"][source]
            inputs.append([places[source], output, 0])
            if owner is not None and (read_from["op"] != "null" or read_from["name"] == DATA):
                name = f"tap {len(taps)}"
                nodes.append({"op": "null", "name": name, "inputs": []})
                sum_of = [inputs[-1], [len(nodes) - 1, 0, 0]]
                nodes.append({"op": "elemwise_add", "name": f"{name} added", "inputs": sum_of})
                inputs[-1] = [len(nodes) - 1, 0, 0]
                taps[name] = owner, number
        places.append(len(nodes))
        nodes.append({**old, "inputs": inputs})
    heads = [[places[source], *rest] for source, *rest in raw["heads"]]
    variables = [place for place, node in enumerate(nodes) if node["op"] == "null"]
    new = {"nodes": nodes, "arg_nodes": variables, "heads": heads, "attrs": raw["attrs"]}
    return mx.sym.load_json(json.dumps(new)), taps
