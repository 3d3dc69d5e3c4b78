"""Layer by layer: every operator run on two devices, from the same inputs and the same upstream gradient."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.experiments.runs import Runs
from conformance.graphs.evaluation import evaluate
from conformance.graphs.rewriting import without_dropout
from conformance.graphs.symbols import DATA, output_of
from conformance.graphs.tracing import trace
from conformance.tensors.comparison import Array
from conformance.tensors.fill import uniform
from reference.runtime.mxnet_compat import mx

UPSTREAM = 30_000
"""Slots of the fill from which upstream gradients are drawn."""
SEVERAL = frozenset({"SliceChannel", "split", "_split_v2"})
"""Operators whose outputs MXNet numbers in their names."""
TIES = 1e-3
"""What is added to the inputs of a maximum, of their largest magnitude, so that no two are equal: which of several
equal ones gets the gradient is nowhere specified."""


@dataclass(frozen=True)
class Operator:
    """One operator of a network, cut out: a symbol by itself, and the value of each of its inputs.

    Attributes:
        label: ``operator in block``, as a recording names it.
        place: The block that it is in.
        symbol: The operator, its inputs variables.
        values: The inputs, by the variables' names.
    """

    label: str
    place: str
    symbol: Any
    values: Mapping[str, Array]

    def run(self, ctx: Any) -> dict[str, Array]:
        """What it computes on a device: output in both modes, gradient of each input, statistics afterwards."""
        inputs = {name: mx.nd.array(value, ctx=ctx, dtype=value.dtype) for name, value in self.values.items()}
        statistics = self.symbol.list_auxiliary_states()
        trained = {name: array for name, array in inputs.items() if name not in statistics}
        for array in trained.values():
            array.attach_grad()
        run, ordered = mx.nd.CachedOp(self.symbol), [inputs[name] for name in self.symbol.list_inputs()]
        found = {"output in predict mode": run(*ordered).asnumpy()}
        with mx.autograd.record():
            output = run(*ordered)
        found["output in train mode"] = output.asnumpy()
        upstream = mx.nd.array(uniform(output.shape, -1, 1, UPSTREAM), ctx=ctx, dtype=output.dtype)
        output.backward(upstream)
        found |= {f"gradient of {name}": array.grad.asnumpy() for name, array in trained.items()}
        found |= {f"{name} afterwards": inputs[name].asnumpy() for name in statistics}
        return found


def operators(runs: Runs, names: Mapping[int, str]) -> Iterator[Operator]:
    """Every operator of a network, with the inputs that it has in train mode on the network's device, dropout left out.

    Args:
        runs: The subject on the device whose values are the inputs.
        names: What each operator is called, by its position in the graph.
    """
    shape = runs.network.shape(2)
    net = runs.net()
    graph, symbol = trace(net, shape)
    symbol = without_dropout(symbol)
    raw = json.loads(symbol.tojson())
    values = _all_values(net, symbol, runs.network.images(shape))
    known = {node.output: node for node in graph.nodes}
    for old in raw["nodes"]:
        found = known.get(output_of(old["name"], known))
        if old["op"] == "null":
            continue
        sources = [_source(raw["nodes"][source], output) for source, output, *_ in old["inputs"]]
        inputs = dict(zip(_variables(len(sources)), (values[source] for source in sources), strict=True))
        label, place = (names[found.position], found.place) if found else (old["op"], "")
        yield Operator(label, place, _alone(old, raw["attrs"]), _without_ties(old, inputs))


def _all_values(net: Any, symbol: Any, images: Any) -> dict[str, Array]:
    """Every value of a network in train mode, by the symbol's names: parameters, images, outputs of operators."""
    values = {name: p.data().asnumpy() for name, p in net.collect_params().items()}
    values[DATA] = images.asnumpy()
    computed = [name for name in symbol.get_internals().list_outputs() if name not in values]
    with mx.autograd.train_mode():
        outputs = evaluate(symbol, computed, images, net.collect_params())
    return values | {name: output.asnumpy() for name, output in zip(computed, outputs, strict=True)}


def _source(node: Mapping[str, Any], output: int) -> str:
    """The name under which an input's value is kept, as MXNet names outputs."""
    if node["op"] == "null":
        return str(node["name"])
    return f"{node['name']}_output{output if node['op'] in SEVERAL else ''}"


def _variables(number: int) -> list[str]:
    return [f"input {place}" for place in range(number)]


def _alone(node: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
    """The symbol of one operator whose inputs are variables."""
    inputs: list[dict[str, Any]] = [
        {"op": "null", "name": name, "inputs": []} for name in _variables(len(node["inputs"]))
    ]
    own = {**node, "inputs": [[place, 0, 0] for place in range(len(inputs))]}
    places = [*range(len(inputs))]
    whole = {"nodes": [*inputs, own], "arg_nodes": places, "heads": [[len(inputs), 0, 0]], "attrs": attributes}
    return mx.sym.load_json(json.dumps(whole))


def _without_ties(node: Mapping[str, Any], inputs: dict[str, Array]) -> dict[str, Array]:
    """The inputs of a maximum made different from each other, those of any other operator as they are."""
    if node["op"] != "Pooling" or node.get("attrs", {}).get("pool_type", "max") != "max":
        return inputs
    scales = {name: TIES * float(np.abs(value).max() or 1) for name, value in inputs.items()}
    noise = {name: uniform(value.shape, 0, scales[name], UPSTREAM) for name, value in inputs.items()}
    return {name: (value + noise[name]).astype(value.dtype) for name, value in inputs.items()}
