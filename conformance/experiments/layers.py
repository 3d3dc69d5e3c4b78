"""What is recorded of a network: every layer's output and gradients, and three training steps, without dropout.

Dropout's masks never agree between two builds, and float32 gradients of deep networks with BatchNorm are rounding
noise of some percent. So dropout's rate is set to 0 in the network's symbol, and all but prediction is in float64.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from conformance.experiments import variants
from conformance.experiments.runs import Prepared, Runs
from conformance.graphs.graph import Graph, Node
from conformance.graphs.rewriting import layer_names, tapped, without_dropout
from conformance.graphs.symbols import DATA
from conformance.graphs.tracing import internal_shapes, parameters_of, trace
from conformance.tensors.comparison import Array
from conformance.tensors.fingerprint import Fingerprint
from conformance.tensors.label import Label
from conformance.tensors.recording import read
from conformance.tensors.recording_file import SECTIONS, Tensor
from reference.runtime.mxnet_compat import mx

LEARNING_RATE = 1e-7
"""So small that steps hardly amplify rounding: at 1e-3, that of ResNet-152 grows to 1e-4 in three steps."""


def gradients_passed_back(runs: Runs, images: Any) -> Iterator[tuple[Node, int, Array]]:
    """What every operator passes back to each of its inputs in train mode, from the output to the images."""
    net = runs.net()
    graph, symbol = trace(net, images.shape)
    symbol, taps = tapped(without_dropout(symbol), graph)
    shapes = internal_shapes(symbol, images.shape)
    zeros = [mx.nd.zeros(shapes[name], dtype=runs.network.dtype, ctx=runs.network.ctx) for name in taps]
    for array in zeros:
        array.attach_grad()
    inputs = [mx.sym.var(name, dtype=runs.network.dtype) for name in (DATA, *taps)]
    whole = mx.gluon.SymbolBlock(symbol, inputs, params=net.collect_params())
    mx.random.seed(1)
    with mx.autograd.record():
        loss = runs.loss(whole(images, *zeros))
    loss.backward()
    for (node, number), array in reversed(list(zip(taps.values(), zeros, strict=True))):
        yield node, number, read(array.grad)


def trainable(runs: Runs) -> Prepared:
    """A new instance without dropout, ready to be trained."""
    net = runs.net()
    symbol = without_dropout(trace(net, runs.network.shape(2, train=True))[1])
    block = mx.gluon.SymbolBlock(symbol, mx.sym.var(DATA, dtype=runs.network.dtype), params=net.collect_params())
    found = parameters_of(net)
    return Prepared(block, {name: found[name] for name in runs.graph.parameters}, "imported")


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

    def note(self, label: Label, array: Any) -> None:
        """Add a tensor of the training steps: the first step's gradients belong to backward."""
        known = label.kind in ("parameter", "gradient")
        layer = self.users.get(label.name, "unused parameter") if known else ""
        backward = label.step == 1 and label.kind in ("gradient", "input gradient")
        section = "backward" if backward else "first step" if label.step == 1 else "later steps"
        group = f"step {label.step}/{layer}" if label.kind == "parameter" else f"/{layer}"
        self.add(section, label.words if backward else str(label), layer, read(array), group if layer else "")

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


def record_layers(recordable: Runs, whole: str = "") -> str:
    """Run a subject and record all it computes.

    Args:
        recordable: Runs of the subject, in float32.
        whole: File for the full tensors, in NumPy's npz format, where they are wanted.

    Returns:
        The lines of the recording's file, as JSON.
    """
    with zipfile.ZipFile(whole, "w") if whole else contextlib.nullcontext() as archive:
        recording = LayerRecording(graph=recordable.graph, archive=archive)
        record_forward(recordable, recording)
        record_backward(recordable.in_float64, recording)
    return json.dumps([tensor.row() for tensor in recording.in_order()])


def record_forward(runs: Runs, recording: LayerRecording) -> None:
    """Every layer's output in predict mode, and in float64 in train mode."""
    network, layers = runs.network, recording.layers
    with network.stage("predicting layer by layer"):
        for node, array in runs.node_outputs(network.shape(), change=without_dropout):
            recording.add("predict", layers[node.position], layers[node.position], array)
    shape = network.shape(2, train=True)
    with network.stage("running forward in float64"):
        for node, array in runs.in_float64.node_outputs(shape, train=True, change=without_dropout):
            recording.add("forward", layers[node.position], layers[node.position], array)


def record_backward(wide: Runs, recording: LayerRecording) -> None:
    """What every layer passes back, and three training steps in float64."""
    network = wide.network
    with network.stage("running backward in float64"):
        for node, number, array in gradients_passed_back(wide, network.images(network.shape(2, train=True), 1)):
            layer = recording.layers[node.position]
            recording.add("backward", f"{layer}: gradient of input {number}", layer, array)
    record_steps(wide, recording)


def record_steps(wide: Runs, recording: LayerRecording, *, static_alloc: bool = False) -> None:
    """Three training steps, as a graph with statically planned memory where that is asked for."""
    ready = trainable(wide)
    if static_alloc:
        ready.net.hybridize(static_alloc=True)
    with wide.network.stage("training in float64"):
        wide.run_steps(ready, recording, learning_rate=LEARNING_RATE)
    if static_alloc:
        variants.prove("static_alloc", ready.net)
