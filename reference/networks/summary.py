"""What a network is made of: layers, shapes, parameters and multiply-adds, without allocating its weights.

What a block computes without a layer, such as the sum with a shortcut, has no entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from math import prod
from typing import Any

from reference.networks.classifier import ImageClassifier
from reference.runtime.mxnet_compat import mx

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerSummary:
    """One layer.

    Attributes:
        name: Structural name, such as ``features.4.0.body.0``.
        type: Class of the layer, such as ``Conv2D``.
        output_shape: Of the layer's output, N first.
        parameters: Number of parameters, running statistics included.
        multiply_adds: Of the whole batch, without biases; 0 but for convolutions and dense layers.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class NetworkSummary:
    """A network at one input shape.

    Attributes:
        layers: In the order of the network's blocks.
        parameter_shapes: Structural name of every parameter and running statistic, with its shape.
        parameters: Number of parameters, running statistics included.
        trainable: Number of parameters that have a gradient.
        multiply_adds: Of the whole batch, in convolutions and dense layers, without biases.
    """

    layers: tuple[LayerSummary, ...]
    parameter_shapes: dict[str, Shape]
    parameters: int
    trainable: int
    multiply_adds: int


def summarize(net: ImageClassifier, input_shape: Shape) -> NetworkSummary:
    """Summarize a network by symbolic shape inference; it need not be initialized and is not changed.

    Args:
        net: The network.
        input_shape: (N, C, H, W) of a batch of images.

    Returns:
        Its layers and totals.

    Raises:
        ValueError: If the network cannot take images of that shape.
    """
    net.check_input(input_shape)
    nodes, arrays = _infer_shapes(net, input_shape)
    layers = tuple(_layer_summaries(net, nodes, arrays))
    parameters = net._collect_params_with_prefix()
    sizes = {name: prod(arrays[parameter.name]) for name, parameter in parameters.items()}
    return NetworkSummary(
        layers=layers,
        parameter_shapes={name: arrays[parameter.name] for name, parameter in parameters.items()},
        parameters=sum(sizes.values()),
        trainable=sum(sizes[name] for name, p in parameters.items() if p.grad_req != "null"),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )


def _infer_shapes(net: ImageClassifier, input_shape: Shape) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the output shape of every node and the shape of every array, by name."""
    internals = net(mx.sym.var("data")).get_internals()
    # Weights that have their shape keep it: Gluon's symbol of a parameter may be older than the shape.
    known = {name: parameter.shape for name, parameter in net.collect_params().items() if all(parameter.shape)}
    try:
        # Where it fails, MXNet prints the shape of every array.
        with redirect_stdout(StringIO()):
            array_shapes, output_shapes, statistic_shapes = internals.infer_shape(data=input_shape, **known)
    except mx.MXNetError as error:
        reason = str(error).splitlines()[-1]
        raise ValueError(f"input_shape={input_shape}: the network cannot take it: {reason}") from error
    nodes = dict(zip(internals.list_outputs(), output_shapes, strict=True))
    arrays = dict(zip(internals.list_arguments(), array_shapes, strict=True))
    arrays |= zip(internals.list_auxiliary_states(), statistic_shapes, strict=True)
    return nodes, arrays


def _layer_summaries(net: ImageClassifier, nodes: dict[str, Shape], arrays: dict[str, Shape]) -> Iterator[LayerSummary]:
    for name, block in _walk(net, ""):
        # Gluon calls the node of a layer "fwd", after the layer's prefix; a block of layers has no such node.
        output_shape = nodes.get(f"{block.prefix}fwd_output")
        if output_shape is None:
            continue
        weight = block._reg_params.get("weight")
        yield LayerSummary(
            name=name,
            type=type(block).__name__,
            output_shape=output_shape,
            parameters=sum(prod(arrays[parameter.name]) for parameter in block._reg_params.values()),
            # Each output element of a convolution or dense layer is one product with a row of its weight.
            multiply_adds=prod(output_shape) * prod(arrays[weight.name][1:]) if weight is not None else 0,
        )


def _walk(block: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every block below ``block``, parents first, with its structural name."""
    for key, child in block._children.items():
        child_name = f"{name}.{key}" if name else key
        yield child_name, child
        yield from _walk(child, child_name)
