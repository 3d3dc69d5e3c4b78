"""A network in an ONNX file, run by ONNX Runtime on the CPU."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conformance.contract.extras import require
from conformance.contract.subject import RequestError
from conformance.graphs.graph import Graph, Node
from conformance.ports.onnx.reader import Reader
from conformance.tensors.comparison import Array

LARGE = 4096
"""Elements from which on a weight is left out where only shapes are inferred."""


class OnnxPort:
    """A model with one input of images, one output of logits, and all its weights in it.

    Args:
        model: ``onnx.ModelProto``; it is changed: every weight gets an initializer of its own.
        side: Height and width of the images where the model leaves them open.
    """

    def __init__(self, model: Any, side: int = 224) -> None:
        """Read its graph.

        Raises:
            NotExecuted: If onnx or ONNX Runtime is not installed.
            RequestError: If it is no such model, in one line.
        """
        self.onnx, self.runtime = require("onnx"), require("onnxruntime")
        self.model = model
        self.engine = f"ONNX Runtime {self.runtime.__version__}"
        own_weights(self.onnx, model)
        self.input, self.output, fixed = self._ends()
        self.batch = fixed[0]
        self.image = (fixed[1] or 3, fixed[2] or side, fixed[3] or side)
        reader = Reader(self._nodes(), self.input, self._small_constants(), self._shapes())
        self.graph: Graph = reader.read(self.output)
        self._transposed = reader.transposed
        self._sessions: dict[tuple[str, ...], Any] = {}

    def _ends(self) -> tuple[str, str, tuple[int, ...]]:
        """Names of input and output, and the input's sizes, 0 where they are open."""
        graph = self.model.graph
        for what, found in (("input", graph.input), ("output", graph.output)):
            if len(found) != 1:
                names = ", ".join(each.name for each in found)
                raise RequestError(f"the ONNX model has {len(found)} {what}s ({names}): allowed is one {what}")
        kind = graph.input[0].type.tensor_type
        if kind.elem_type != self.onnx.TensorProto.FLOAT or len(kind.shape.dim) != 4:
            raise RequestError(f"the ONNX model's input {graph.input[0].name}: allowed are float32 images (N, C, H, W)")
        sizes = tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim)
        return graph.input[0].name, graph.output[0].name, sizes

    def _small_constants(self) -> dict[str, Array]:
        """Initializers by name; of large ones only the shape is right, as nobody reads their values here."""
        return {
            each.name: np.broadcast_to(np.float32(0), tuple(each.dims))
            if math.prod(each.dims) > LARGE
            else self.onnx.numpy_helper.to_array(each)
            for each in self.model.graph.initializer
        }

    def _nodes(self) -> list[tuple[str, str, list[str], list[str], dict[str, Any]]]:
        value = self.onnx.helper.get_attribute_value
        return [
            (
                node.name or node.output[0],
                node.op_type,
                list(node.input),
                list(node.output),
                {each.name: _text(value(each)) for each in node.attribute},
            )
            for node in self.model.graph.node
        ]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every value for one image, inferred on a copy without the large weights."""
        onnx = self.onnx
        light = onnx.GraphProto()
        light.node.extend(self.model.graph.node)
        light.output.extend(self.model.graph.output)
        light.name = "shapes"
        kind = onnx.TensorProto.FLOAT
        light.input.append(onnx.helper.make_tensor_value_info(self.input, kind, (self.batch or 1, *self.image)))
        for each in self.model.graph.initializer:
            if math.prod(each.dims) <= LARGE:
                light.initializer.append(each)
            else:
                light.input.append(onnx.helper.make_tensor_value_info(each.name, each.data_type, list(each.dims)))
        model = onnx.helper.make_model(light, opset_imports=self.model.opset_import)
        del light
        found = onnx.shape_inference.infer_shapes(model).graph
        return {
            each.name: tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim)
            for each in (*found.value_info, *found.output)
        }

    @property
    def weights(self) -> dict[str, Array]:
        """Value of every parameter, in MXNet's layout."""
        array = self.onnx.numpy_helper.to_array
        found = {each.name: array(each) for each in self.model.graph.initializer if each.name in self.graph.parameters}
        return {name: self._turned(name, found[name]) for name in self.graph.parameters}

    def _turned(self, name: str, value: Array) -> Array:
        return value.T if name in self._transposed else value

    def set_weights(self, values: Mapping[str, Array]) -> None:
        """Give it other weights, by name and in MXNet's layout."""
        for each in self.model.graph.initializer:
            if each.name in values:
                value = np.ascontiguousarray(self._turned(each.name, values[each.name]), np.float32)
                each.CopyFrom(self.onnx.numpy_helper.from_array(value, each.name))
        self._sessions.clear()

    def session(self, inner: tuple[str, ...] = ()) -> Any:
        """ONNX Runtime's session, whose outputs are the model's and those of inner nodes."""
        if inner not in self._sessions:
            graph, options = self.model.graph, self.runtime.SessionOptions()
            options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
            options.log_severity_level = 3
            before = len(graph.output)
            empty = self.onnx.helper.make_empty_tensor_value_info
            graph.output.extend(empty(name) for name in inner if name != self.output)
            content = self.model.SerializeToString()
            del graph.output[before:]
            self._sessions.clear()  # one at a time: each holds all weights
            self._sessions[inner] = self.runtime.InferenceSession(content, options, ["CPUExecutionProvider"])
        return self._sessions[inner]

    def layers(self, images: Array, step: int = 1) -> Iterator[tuple[Node, Array]]:
        """Output of every node, in order, or of every ``step``-th from the last on."""
        nodes = self.graph.nodes[::-1][::step][::-1]
        names = tuple(dict.fromkeys(node.output for node in nodes))
        values = dict(zip(names, self._run(self.session(names), names, images), strict=True))
        self._sessions.clear()  # it holds all weights, and whoever compares is about to build the other network
        for node in nodes:
            yield node, values[node.output]

    def logits(self, images: Array) -> Array:
        """Logits (N, classes)."""
        (found,) = self._run(self.session(), [self.output], images)
        return found

    def _run(self, session: Any, names: Sequence[str], images: Array) -> list[Array]:
        """Run in batches of the model's own size, where that is fixed."""
        size = self.batch or len(images)
        starts = range(0, len(images) - size + 1, size)
        parts = [session.run(list(names), {self.input: images[start : start + size]}) for start in starts]
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else tuple(value) if isinstance(value, list) else value


def own_weights(onnx: Any, model: Any) -> None:
    """Make every weight an initializer that one node reads, and no input of the model.

    Some exporters keep equal weights once, or behind an Identity; to be given other values, each needs its own.
    """
    graph = model.graph
    known = {each.name: each for each in graph.initializer}
    kept = []
    for node in graph.node:
        value = next((each.t for each in node.attribute if each.name == "value"), None)
        source = (
            known.get(node.input[0]) if node.op_type == "Identity" else value if node.op_type == "Constant" else None
        )
        if source is None:
            kept.append(node)
        else:
            known[node.output[0]] = _copy(onnx, source, node.output[0])
    used: dict[str, Any] = {}
    for node in kept:
        for place, name in enumerate(node.input):
            if name in known:
                own = name if name not in used else f"{name} of {node.output[0]}"
                used[own] = _copy(onnx, known[name], own)
                node.input[place] = own
    outer = [each for each in graph.input if each.name not in known]
    for field, values in ((graph.node, kept), (graph.input, outer)):
        copies = [type(each).FromString(each.SerializeToString()) for each in values]
        del field[:]
        field.extend(copies)
    # Those that stay are left where they are: they may be half a gigabyte.
    there = {each.name for each in graph.initializer}
    graph.initializer.extend(each for name, each in used.items() if name not in there)
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]


def _copy(onnx: Any, tensor: Any, name: str) -> Any:
    if tensor.name == name:
        return tensor
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy


def read_onnx(path: Path) -> Any:
    """Read a file.

    Returns:
        ``onnx.ModelProto``, checked.

    Raises:
        NotExecuted: If onnx is not installed.
        RequestError: If it cannot be read or is no ONNX model that the checker accepts, in one line.
    """
    onnx = require("onnx")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:
        text = (str(error).strip().splitlines() or ["no message"])[0]
        raise RequestError(f"{path}: no readable ONNX model: {type(error).__name__}: {text}") from None
    return model
