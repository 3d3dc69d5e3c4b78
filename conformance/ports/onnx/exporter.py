"""From Gluon to ONNX by MXNet's own exporter, with what that gets wrong put right.

What MXNet 1.9.1's ``mx.onnx.export_model`` does with the networks' operators, and what is done about it here:

- It stamps the file with the newest operator set of the installed library (23 of onnx 1.18), although its converters
  are written for set 13: stamped 13 here, and checked against 13.
- It names every weight a graph input as well, so that an engine must not take it as constant: only the images stay.
- A dynamic batch leaves the output without any size: (N, classes) is written here.
- It writes a BatchNorm's gamma where ``fix_gamma`` makes MXNet take 1: ones are exported here.
- An average pooling whose windows may stand over the edge (``pooling_convention='full'``) comes out as one that divides
  by another number of pixels: refused here by name. None of the networks has one.
- Convolutions and poolings get no name: every node is named by its output here.
- It turns every weight into a Python list, 5 GB of them for a VGG: here it is told that large weights are inputs, and
  their values are put in afterwards.
- Dropout becomes Identity, as predict mode has it, and is left so.
- It reads ``onnx.mapping``, which later versions of onnx have no more.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from conformance.contract.extras import require
from conformance.contract.subject import RequestError
from conformance.graphs.graph import parse_value
from conformance.graphs.tracing import trace
from reference.runtime.mxnet_compat import mx

OPSET, IR_VERSION = 13, 8
"""The newest operator set that MXNet's converters are written for, and the file format of its time."""
LARGE = 1 << 14
"""Elements of a weight from which on the exporter does not see it."""


def network_to_onnx(net: Any, shape: tuple[int, ...]) -> Any:
    """Export a HybridBlock that has weights, as :func:`to_onnx` does.

    Args:
        net: The network.
        shape: Of one batch of images (N, C, H, W); N may be any number when the model is run.
    """
    _, symbol = trace(net, shape)
    return to_onnx(symbol, {name: each.data() for name, each in net.collect_params().items()}, shape)


def to_onnx(symbol: Any, parameters: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    """Export a network.

    Args:
        symbol: Its symbol, whose input is called ``data``.
        parameters: MXNet's arrays by the symbol's names.
        shape: Of one batch of images (N, C, H, W); N may be any number when the model is run.

    Returns:
        ``onnx.ModelProto``, checked by onnx before its large weights were put in, of which that would make copies.

    Raises:
        NotExecuted: If onnx is not installed.
        RequestError: If the exporter is known to export an operator wrongly; the message names it.
        NotImplementedError, AttributeError: MXNet's, if it cannot export an operator.
    """
    onnx = require("onnx")
    nodes = json.loads(symbol.tojson())["nodes"]
    _refuse_wrong_operators(nodes)
    values = {**parameters, **_fixed_gammas(nodes, parameters)}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of onnx.mapping
        path = str(Path(folder) / "network.onnx")
        large = {name: value for name, value in values.items() if value.size > LARGE}
        inputs = {name: large[name].shape for name in symbol.list_inputs() if name in large}
        order = [name for name in symbol.list_inputs() if name in large or name not in values]
        mx.onnx.export_model(
            symbol,
            {name: value for name, value in values.items() if name not in large},
            [inputs.get(name, shape) for name in order],
            np.float32,
            path,
            dynamic=True,
            dynamic_input_shapes=[inputs.get(name, (None, *shape[1:])) for name in order],
        )
        model = onnx.load(path)
    _put_right(onnx, model, large)
    onnx.checker.check_model(model, full_check=True)
    del model.graph.input[1:]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(each.asnumpy(), name) for name, each in large.items())
    return model


def _refuse_wrong_operators(nodes: Sequence[Mapping[str, Any]]) -> None:
    for node in nodes:
        given = node.get("attrs", {})
        full = given.get("pooling_convention") == "full" and given.get("pool_type") == "avg"
        if node["op"] == "Pooling" and full and not parse_value(given.get("global_pool", "False")):
            raise RequestError(f"{node['name']}: MXNet's exporter gets average pooling with ceil_mode=True wrong")


def _fixed_gammas(nodes: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Ones for every gamma that MXNet does not read; not reading it is its operator's default."""
    norms = [node for node in nodes if node["op"] == "BatchNorm"]
    fixed = [node for node in norms if parse_value(node.get("attrs", {}).get("fix_gamma", "True"))]
    names = [nodes[node["inputs"][1][0]]["name"] for node in fixed]
    return {name: mx.nd.ones_like(parameters[name]) for name in names}


def _put_right(onnx: Any, model: Any, large: Mapping[str, Any]) -> None:
    """Change in place what the exporter gets wrong; the images become the first input, large weights follow."""
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    model.ir_version = IR_VERSION
    weights = {each.name for each in model.graph.initializer} | large.keys()
    (images,) = (each for each in model.graph.input if each.name not in weights)
    (output,) = model.graph.output
    images.type.tensor_type.shape.dim[0].dim_param = "N"
    inputs = [images, *(each for each in model.graph.input if each.name in large)]
    kept = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in inputs]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for node in model.graph.node:
        node.name = node.name or node.output[0]
    known = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
    output.type.CopyFrom(known.type)
    output.type.tensor_type.shape.dim[0].dim_param = "N"
