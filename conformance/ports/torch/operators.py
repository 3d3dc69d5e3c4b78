"""What ATen's operators are in MXNet's words: name and attributes of each operator that the networks use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from conformance.graphs.graph import Attributes, Shape

Arguments = dict[str, Any]


def pair(value: Any) -> tuple[int, ...]:
    """One integer an axis, of an integer or of a list with one or two of them."""
    values = [value] if isinstance(value, int) else list(value)
    return tuple(values * 2 if len(values) == 1 else values)


def shape_of(node: torch.fx.Node) -> Shape:
    """Shape of an operator's output, empty where it has several."""
    value = node.meta.get("val")
    return tuple(int(side) for side in value.shape) if hasattr(value, "shape") else ()


def _convolution(given: Arguments) -> tuple[str, Attributes]:
    kernel, dilate = shape_of(given["weight"])[2:], pair(given["dilation"])
    padding: Any = given["padding"]
    if padding == "valid":
        padding = 0
    elif padding == "same":  # PyTorch allows it with stride 1 only; what is odd it puts behind
        total = [spread * (size - 1) for size, spread in zip(kernel, dilate, strict=True)]
        even = all(number % 2 == 0 for number in total)
        padding = [number // 2 for number in total] if even else [(n // 2, n - n // 2) for n in total]
    attributes = {
        "kernel": kernel,
        "num_filter": shape_of(given["weight"])[0],
        "stride": pair(given["stride"]),
        "pad": pair(padding),
        "dilate": dilate,
        "num_group": given["groups"],
        "no_bias": given["bias"] is None,
    }
    return "Convolution", attributes


def _batch_norm(given: Arguments) -> tuple[str, Attributes]:
    momentum = round(1 - given["momentum"], 12)  # MXNet's is the share of the old value, PyTorch's that of the new
    attributes = {"eps": given["eps"], "momentum": momentum, "fix_gamma": given["weight"] is None}
    # Without running statistics it normalizes by the batch in predict mode too, which MXNet cannot.
    return "BatchNorm" if not given["training"] else "BatchNorm by the batch", attributes


def _pooling(kind: str) -> Callable[[Arguments], tuple[str, Attributes]]:
    def read(given: Arguments) -> tuple[str, Attributes]:
        kernel = pair(given["kernel_size"])
        plain = pair(given.get("dilation", 1)) == (1, 1) and given.get("divisor_override") is None
        attributes = {
            "pool_type": kind,
            "kernel": kernel,
            "stride": pair(given["stride"]) if given["stride"] else kernel,
            "pad": pair(given["padding"]),
            "pooling_convention": "full" if given["ceil_mode"] else "valid",
            "count_include_pad": given.get("count_include_pad"),
        }
        return "Pooling" if plain else f"{kind} pooling, dilated or with its own divisor", attributes

    return read


def _global_pooling(given: Arguments) -> tuple[str, Attributes]:
    return "Pooling", {"pool_type": "avg", "global_pool": True}


def _mean(given: Arguments) -> tuple[str, Attributes]:
    rank = len(shape_of(given["self"]))
    axes = sorted(axis % rank for axis in given["dim"] or ())
    return _global_pooling(given) if (rank, axes) == (4, [2, 3]) else ("mean", {"axis": tuple(axes)})


def _adaptive(given: Arguments) -> tuple[str, Attributes]:
    sides = pair(given["output_size"])
    return _global_pooling(given) if sides == (1, 1) else ("adaptive average pooling", {"output_size": sides})


def _dense(given: Arguments) -> tuple[str, Attributes]:
    attributes = {"num_hidden": shape_of(given["weight"])[0], "no_bias": given["bias"] is None}
    return "FullyConnected", {**attributes, "flatten": len(shape_of(given["input"])) == 2}


def _dropout(given: Arguments) -> tuple[str, Attributes]:
    return "Dropout", {"p": given["p"], "mode": "always" if given["train"] else "training"}


def _concat(given: Arguments) -> tuple[str, Attributes]:
    return "Concat", {"dim": given["dim"] % len(shape_of(given["tensors"][0]))}


def _add(given: Arguments) -> tuple[str, Attributes]:
    return "add" if given["alpha"] == 1 else "add, scaled", {}


#: What reads each ATen operator, by its name without the underscore of the version that works in place.
READERS: dict[str, Callable[[Arguments], tuple[str, Attributes]]] = {
    "conv2d": _convolution,
    "batch_norm": _batch_norm,
    "relu": lambda given: ("Activation", {"act_type": "relu"}),
    "max_pool2d": _pooling("max"),
    "avg_pool2d": _pooling("avg"),
    "adaptive_avg_pool2d": _adaptive,
    "mean": _mean,
    "linear": _dense,
    "dropout": _dropout,
    "cat": _concat,
    "add": _add,
}


def arguments_of(node: torch.fx.Node) -> Arguments:
    """All arguments of an operator by name, its defaults among them; nothing for what is no ATen operator."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {}
    found = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    found.update(zip((argument.name for argument in schema.arguments), node.args, strict=False))
    return {**found, **node.kwargs}
