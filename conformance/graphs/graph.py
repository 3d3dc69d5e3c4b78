"""The canonical graph: what a network computes, without how it was written.

A :class:`Graph` holds the operators of one network in the order MXNet would run them. Every operator's
attributes are canonical: defaults filled in, text parsed, synonyms unified, attributes that change only
speed left out. ``conformance/graphs/matching.py`` compares two graphs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.contract.outcomes import ITSELF

Shape = tuple[int, ...]
Attributes = dict[str, Any]

#: Arithmetic of two arrays: canonical name -> what MXNet calls it for arrays of one shape, and for any. Where both
#: run they compute the same; ``a - b`` is the one in a traced graph and the other imperatively.
ARITHMETIC = {
    "add": ("elemwise_add", "_plus", "_Plus", "_add", "broadcast_add", "broadcast_plus", "add_n", "ElementWiseSum"),
    "subtract": ("elemwise_sub", "_minus", "_Minus", "_sub", "broadcast_sub", "broadcast_minus"),
    "multiply": ("elemwise_mul", "_mul", "_Mul", "broadcast_mul"),
    "divide": ("elemwise_div", "_div", "_Div", "broadcast_div"),
    "power": ("_power", "_Power", "broadcast_power"),
    "maximum": ("_maximum", "_Maximum", "broadcast_maximum"),
    "minimum": ("_minimum", "_Minimum", "broadcast_minimum"),
}
COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})
#: Operators that compute the same thing under another name -> (canonical name, implied attributes).
SYNONYMS: Mapping[str, tuple[str, Attributes]] = {
    **{name: (canonical, {}) for canonical, names in ARITHMETIC.items() for name in names},
    "relu": ("Activation", {"act_type": "relu"}),
    "sigmoid": ("Activation", {"act_type": "sigmoid"}),
    "tanh": ("Activation", {"act_type": "tanh"}),
    "flatten": ("Flatten", {}),
    "concat": ("Concat", {}),
}
#: Operators that pass values and gradients through unchanged.
IDENTITIES = frozenset({"_copy", "identity", "_np_copy"})
#: Attributes that choose an algorithm, a workspace or a calibration, never the result's definition.
SPEED_ONLY = frozenset(
    {
        "workspace",
        "cudnn_tune",
        "cudnn_off",
        "cudnn_algo_verbose",
        "min_calib_range",
        "max_calib_range",
        "num_args",
    }
)
#: Spatial attributes whose empty tuple means this value in every dimension.
SPATIAL_DEFAULTS = {"stride": 1, "dilate": 1, "pad": 0}
WINDOWED = frozenset({"Convolution", "Deconvolution", "Pooling"})


@dataclass(frozen=True)
class Parameter:
    """A parameter as the graph uses it.

    Attributes:
        name: Structural name, e.g. ``features.0.weight``.
        slot: What its first operator calls it: weight, bias, gamma, beta, moving_mean, moving_var, ...
        shape: Its shape, 0 where unknown.
        settings: dtype, initializer, grad_req, lr_mult and wd_mult.
    """

    name: str
    slot: str
    shape: Shape
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_statistic(self) -> bool:
        """Whether it is a running statistic, which training moves without a gradient."""
        return self.slot in ("moving_mean", "moving_var")


@dataclass(frozen=True)
class Node:
    """One operator: where it stands, what it is, and what it reads.

    Attributes:
        inputs: ``(node index, output index)`` of each input that is an operator or the images (index -1).
        parameters: Structural names of the parameters it reads, in the operator's order.
        output: Name of its first output in MXNet's own symbol, to fetch its values.
    """

    position: int
    operator: str
    block: str
    attributes: Mapping[str, Any]
    inputs: tuple[tuple[int, int], ...]
    parameters: tuple[str, ...]
    shape: Shape
    output: str

    @property
    def place(self) -> str:
        """The owning block, in words."""
        return self.block or ITSELF

    def __str__(self) -> str:
        """Say position, operator and owning block."""
        return f"node {self.position} {self.operator} in {self.place}"


@dataclass(frozen=True)
class Graph:
    """The operators of one network, in order, and its parameters in order of first use."""

    nodes: tuple[Node, ...]
    parameters: Mapping[str, Parameter]
    head: int

    def consumers(self, index: int) -> list[Node]:
        """Nodes that read an output of node ``index``."""
        return [node for node in self.nodes if any(source == index for source, _ in node.inputs)]

    def users(self, parameter: str) -> list[Node]:
        """Nodes that read a parameter."""
        return [node for node in self.nodes if parameter in node.parameters]

    @property
    def fixed_gammas(self) -> frozenset[str]:
        """Gammas that their BatchNorm takes for 1, and sets to 1, as it has ``fix_gamma``."""
        norms = (node for node in self.nodes if node.operator == "BatchNorm" and node.attributes.get("fix_gamma"))
        return frozenset(norm.parameters[0] for norm in norms)


def parse_value(text: Any) -> Any:
    """Turn an attribute's text into a Python value: ``'(3, 3)'`` -> ``(3, 3)``, ``'true'`` -> ``True``."""
    if not isinstance(text, str):
        return text
    known = {"true": True, "false": False, "none": None, "": None}
    if text.lower() in known:
        return known[text.lower()]
    try:
        value = ast.literal_eval(text.replace("L", ""))
    except (ValueError, SyntaxError):
        return text
    return tuple(value) if isinstance(value, list) else value


def canonical_attributes(operator: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Attributes:
    """Fill in an operator's defaults, parse every value and drop what cannot change the result."""
    merged = {**defaults, **{key: _as_default(value, defaults.get(key)) for key, value in given.items()}}
    attributes = {key: value for key, value in merged.items() if key not in SPEED_ONLY and not key.startswith("__")}
    if operator in WINDOWED:
        _canonical_window(operator, attributes)
    return dict(sorted(attributes.items()))


def _canonical_window(operator: str, attributes: Attributes) -> None:
    """Give stride, dilation, padding and layout their values in every spatial dimension."""
    kernel = attributes.get("kernel") or (0, 0)
    for key, value in SPATIAL_DEFAULTS.items():
        if key in attributes and not attributes[key]:
            attributes[key] = (value,) * len(kernel)
    layouts = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
    if attributes.get("layout", "") is None:
        attributes["layout"] = layouts.get(len(kernel))
    if operator != "Pooling":
        return
    if attributes.get("global_pool"):
        for key in ("kernel", "stride", "pad", "pooling_convention"):
            attributes.pop(key, None)
    if attributes.get("pool_type") != "lp":
        attributes.pop("p_value", None)
    if attributes.get("pool_type") != "avg" or attributes.get("global_pool"):
        attributes.pop("count_include_pad", None)
    elif attributes.get("count_include_pad") is None:
        attributes["count_include_pad"] = True


def _as_default(text: Any, default: Any) -> Any:
    """Parse a value and read it as its default's type: ``0`` is False for a switch, 0.0 for a rate."""
    value = parse_value(text)
    if isinstance(default, bool | float) and isinstance(value, bool | int):
        return type(default)(value)
    return value
