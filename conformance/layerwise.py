"""What is recorded of a network: every layer's output and gradients, and three training steps, without dropout.

Dropout's masks never agree between two builds, and float32 gradients of deep networks with BatchNorm are rounding
noise of some percent. So dropout's rate is set to 0 in the network's symbol, and all but prediction is in float64.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import variants
from conformance.comparison import Array
from conformance.fingerprint import Fingerprint
from conformance.graph import Graph, Node
from conformance.record_file import SECTIONS, Tensor
from conformance.recording import read
from conformance.rounding import GRADIENT
from conformance.runner import Prepared, Runner
from conformance.symbols import DATA
from conformance.tracing import internal_shapes, structural_names, trace
from reference.mxnet_compat import mx

if TYPE_CHECKING:
    from conformance.workbench import Workbench

INPUT_GRADIENT = "step 1: input gradient"
LEARNING_RATE = 1e-7
"""So small that steps hardly amplify rounding: at 1e-3, that of ResNet-152 grows to 1e-4 in three steps."""


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
        names[node.position] = f"{operator} in {node.block or 'the network itself'}"
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
        owner = known.get(f"{old['name']}_output") or known.get(f"{old['name']}_output0")
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


def gradients_passed_back(runner: Runner, images: Any) -> Iterator[tuple[Node, int, Array]]:
    """What every operator passes back to each of its inputs in train mode, from the output to the images."""
    net = runner.net()
    graph, symbol = trace(net, images.shape)
    symbol, taps = tapped(without_dropout(symbol), graph)
    shapes = internal_shapes(symbol, images.shape)
    zeros = [mx.nd.zeros(shapes[name], dtype=runner.dtype, ctx=runner.ctx) for name in taps]
    for array in zeros:
        array.attach_grad()
    inputs = [mx.sym.var(name, dtype=runner.dtype) for name in (DATA, *taps)]
    whole = mx.gluon.SymbolBlock(symbol, inputs, params=net.collect_params())
    mx.random.seed(1)
    with mx.autograd.record():
        loss = runner.loss(whole(images, *zeros))
    loss.backward()
    for (node, number), array in reversed(list(zip(taps.values(), zeros, strict=True))):
        yield node, number, read(array.grad)


def trainable(runner: Runner) -> Prepared:
    """A new instance without dropout, ready to be trained."""
    net = runner.net()
    symbol = without_dropout(trace(net, runner.shape(2, train=True))[1])
    block = mx.gluon.SymbolBlock(symbol, mx.sym.var(DATA, dtype=runner.dtype), params=net.collect_params())
    names = structural_names(net)
    found = {names[full]: parameter for full, parameter in net.collect_params().items()}
    return Prepared(block, {name: found[name] for name in runner.graph.parameters}, "imported")


@dataclass
class LayerRecording:
    """Tensors as fingerprints by section and layer, in full in ``archive`` where there is one."""

    graph: Graph
    archive: zipfile.ZipFile | None
    rows: list[Tensor] = field(default_factory=list)
    scales: dict[str, float] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the layers."""
        self.layers = layer_names(self.graph)
        self.places = {name: place for place, name in self.layers.items()}
        uses = [(name, node) for node in reversed(self.graph.nodes) for name in node.parameters]
        self.users = {name: self.layers[node.position] for name, node in uses}

    def note(self, name: str, array: Any) -> None:
        """Add a tensor of the training steps: the first step's gradients belong to backward."""
        head, _, parameter = name.removeprefix(GRADIENT).rpartition(": ")
        layer = self.users.get(parameter, "unused parameter" if parameter in self.graph.parameters else "")
        backward = name.startswith(GRADIENT) or name == INPUT_GRADIENT
        label = name.removeprefix("step 1: ") if backward else name
        section = "backward" if backward else "first step" if name.startswith("step 1") else "later steps"
        self.add(section, label, layer, read(array), f"{head}/{layer}" if layer else "")

    def add(self, section: str, name: str, layer: str, array: Array, group: str = "") -> None:
        """Add a tensor; tensors of one group share their scale, the largest magnitude among them."""
        tensor = Tensor(section, name, layer, Fingerprint.of(array), 0.0)
        self.rows.append(tensor)
        self.groups[tensor.key] = group = f"{section}/{group}" if group else tensor.key
        self.scales[group] = max(self.scales.get(group, 0.0), tensor.fingerprint.summary.largest)
        if self.archive is not None:
            with self.archive.open(f"{tensor.key}.npy", "w", force_zip64=True) as member:
                np.save(member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)

    def in_order(self) -> tuple[Tensor, ...]:
        """All tensors in the order in which a fault is looked for; gradients from the output to the images."""
        order = list(SECTIONS)

        def place(tensor: Tensor) -> tuple[int, int]:
            backward = -self.places.get(tensor.layer, -1) if tensor.section == "backward" else 0
            return order.index(tensor.section), backward

        rows = (replace(row, scale=self.scales[self.groups[row.key]]) for row in self.rows)
        return tuple(sorted(rows, key=place))


def record_layers(bench: Workbench, whole: str = "") -> str:
    """Run a subject and record all it computes.

    Args:
        bench: The subject's workbench, in float32.
        whole: File for the full tensors, in NumPy's npz format, where they are wanted.

    Returns:
        The lines of the recording's file, as JSON.
    """
    with zipfile.ZipFile(whole, "w") if whole else contextlib.nullcontext() as archive:
        recording = LayerRecording(graph=bench.graph, archive=archive)
        record_forward(bench, recording)
        record_backward(bench.in_float64, recording)
    return json.dumps([tensor.row() for tensor in recording.in_order()])


def record_forward(bench: Workbench, recording: LayerRecording) -> None:
    """Every layer's output in predict mode, and in float64 in train mode."""
    with bench.stage("predicting layer by layer"):
        for node, array in bench.node_outputs(bench.shape(), change=without_dropout):
            recording.add("predict", recording.layers[node.position], recording.layers[node.position], array)
    wide = bench.in_float64
    with bench.stage("running forward in float64"):
        for node, array in wide.node_outputs(wide.shape(2, train=True), train=True, change=without_dropout):
            recording.add("forward", recording.layers[node.position], recording.layers[node.position], array)


def record_backward(wide: Workbench, recording: LayerRecording) -> None:
    """What every layer passes back, and three training steps in float64."""
    with wide.stage("running backward in float64"):
        for node, number, array in gradients_passed_back(wide, wide.images(wide.shape(2, train=True), 1)):
            layer = recording.layers[node.position]
            recording.add("backward", f"{layer}: gradient of input {number}", layer, array)
    record_steps(wide, recording)


def record_steps(wide: Workbench, recording: LayerRecording, *, static_alloc: bool = False) -> None:
    """Three training steps, as a graph with statically planned memory where that is asked for."""
    ready = trainable(wide)
    if static_alloc:
        ready.net.hybridize(static_alloc=True)
    with wide.stage("training in float64"):
        wide.run_steps(ready, recording, learning_rate=LEARNING_RATE)
    if static_alloc:
        variants.prove("static_alloc", ready.net)
