"""From an ONNX model to the canonical graph: its operators in MXNet's words, as predict mode has them.

Sources: https://github.com/onnx/onnx/blob/v1.18.0/docs/Operators.md, and MXNet's documentation of its operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.graphs.graph import Attributes, Graph, Node, Parameter, canonical_attributes
from conformance.graphs.symbols import SLOTS, operator_defaults, without_unread_flattens
from conformance.tensors.comparison import Array

Shape = tuple[int, ...]
Converted = tuple[str, Attributes]
SAME_PADDING = frozenset({"SAME_UPPER", "SAME_LOWER"})
SIMPLE: dict[str, Converted] = {
    "Relu": ("Activation", {"act_type": "relu"}),
    "Sigmoid": ("Activation", {"act_type": "sigmoid"}),
    "Tanh": ("Activation", {"act_type": "tanh"}),
    "GlobalAveragePool": ("Pooling", {"pool_type": "avg", "global_pool": True}),
    "GlobalMaxPool": ("Pooling", {"pool_type": "max", "global_pool": True}),
    "Add": ("add", {}),
    "Sub": ("subtract", {}),
    "Mul": ("multiply", {}),
    "Div": ("divide", {}),
    "Sum": ("add", {}),
}
#: What only arranges a tensor's values anew; where the result is (N, all others) it is MXNet's Flatten.
ARRANGING = frozenset({"Flatten", "Reshape", "Squeeze"})
#: What passes its first input through in predict mode.
PASSING = frozenset({"Identity", "Dropout"})


def rounded(value: float) -> float:
    """A float32 attribute as the decimal number that was meant: 9.99999975e-06 is 1e-05."""
    return float(str(np.float32(value)))


def explicit_pads(given: Mapping[str, Any], kernel: Shape, stride: Shape, dilate: Shape) -> Any:
    """Padding as MXNet writes it: one number a dimension, both ends' where they differ, or the name of a rule.

    The rule 'same' is a padding of its own where the stride is above 1: it depends on the image's size.
    """
    pads = tuple(given.get("pads") or (0,) * 2 * len(kernel))
    rule = given.get("auto_pad", "NOTSET")
    if rule in SAME_PADDING:
        sums = [(k - 1) * d for k, d in zip(kernel, dilate, strict=True)]
        if set(stride) != {1} or any(total % 2 for total in sums):
            return rule
        pads = tuple(total // 2 for total in sums) * 2
    begin, end = pads[: len(kernel)], pads[len(kernel) :]
    return begin if begin == end else pads


class Reader:
    """Reads the nodes of one model, in which every weight is an initializer that one node reads.

    Args:
        nodes: As ``(name, operator, inputs, outputs, attributes)``.
        images: Name of the model's input.
        constants: Initializers by name.
        shapes: Shape of every value by name.
    """

    def __init__(
        self,
        nodes: Sequence[tuple[str, str, list[str], list[str], Attributes]],
        images: str,
        constants: Mapping[str, Array],
        shapes: Mapping[str, Shape],
    ) -> None:
        """Prepare to read."""
        self.raw, self.constants, self.shapes = nodes, constants, shapes
        self.sources: dict[str, int] = {images: -1}
        self.padded: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.nodes: list[Node] = []
        self.parameters: dict[str, Parameter] = {}
        self.transposed: set[str] = set()

    def read(self, output: str) -> Graph:
        """Read all nodes; ``output`` is the value that the model returns."""
        for name, operator, inputs, outputs, attributes in self.raw:
            special: Callable[..., bool] | None = getattr(self, f"on_{operator.lower()}", None)
            if operator in PASSING and inputs[0] in self.sources:
                self.sources[outputs[0]] = self.sources[inputs[0]]
            elif special is None or not special(name, inputs, outputs, attributes):
                self._add(name, *self._converted(operator, inputs, outputs[0], attributes), inputs, outputs[0])
        return without_unread_flattens(Graph(tuple(self.nodes), self.parameters, self.sources[output]))

    def _converted(self, operator: str, inputs: list[str], output: str, given: Attributes) -> Converted:
        """An operator in MXNet's words; what has no word there keeps its own."""
        if operator in SIMPLE:
            return SIMPLE[operator]
        if operator == "Concat":
            return "Concat", {"dim": given["axis"]}
        if operator == "BatchNormalization":
            plain = {"fix_gamma": False, "eps": rounded(given.get("epsilon", 1e-5))}
            plain["momentum"] = rounded(given.get("momentum", 0.9))
            return "BatchNorm", plain | ({"training_mode": 1} if given.get("training_mode") else {})
        before, after = self.shapes.get(inputs[0], ()), self.shapes.get(output, ())
        if operator in ARRANGING and before and after == (before[0], math.prod(before[1:])):
            return "Flatten", {}
        return f"onnx.{operator}", {key: given[key] for key in sorted(given)}

    def on_conv(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """A convolution."""
        weight = self.constants[inputs[1]].shape
        kernel = tuple(given.get("kernel_shape") or weight[2:])
        attributes = self._window(inputs, kernel, given)
        attributes |= {"num_filter": weight[0], "num_group": given.get("group", 1), "no_bias": len(inputs) < 3}
        self._add(name, "Convolution", attributes, inputs, outputs[0])
        return True

    def _window(self, inputs: list[str], kernel: Shape, given: Attributes) -> Attributes:
        """Kernel, stride, dilation and padding, with that of a Pad before it."""
        ones = (1,) * len(kernel)
        stride, dilate = tuple(given.get("strides") or ones), tuple(given.get("dilations") or ones)
        pad = explicit_pads(given, kernel, stride, dilate)
        if inputs[0] in self.padded:
            inputs[0], extra = self.padded[inputs[0]]
            both = (*pad, *pad) if len(pad) == len(kernel) else pad
            added = tuple(one + other for one, other in zip(both, extra, strict=True))
            pad = added[: len(kernel)] if added[: len(kernel)] == added[len(kernel) :] else added
        return {"kernel": kernel, "stride": stride, "pad": pad} | ({"dilate": dilate} if dilate != ones else {})

    def on_pad(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """Zeros around the images belong to the convolution that reads them."""
        pads = tuple(int(each) for each in self.constants[inputs[1]]) if len(inputs) > 1 else ()
        value = float(self.constants[inputs[2]]) if len(inputs) > 2 and inputs[2] else 0.0
        half = len(pads) // 2
        if half < 3 or value or given.get("mode", "constant") != "constant" or any((*pads[:2], *pads[half : half + 2])):
            return False
        if any(op != "Conv" for _, op, read, _, _ in self.raw if outputs[0] in read):
            return False
        self.padded[outputs[0]] = (inputs[0], (*pads[2:half], *pads[half + 2 :]))
        return True

    def on_maxpool(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """Pool by the largest value."""
        return self._pooling(name, inputs, outputs, given, "max")

    def on_averagepool(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """Pool by the mean."""
        return self._pooling(name, inputs, outputs, given, "avg")

    def _pooling(self, name: str, inputs: list[str], outputs: list[str], given: Attributes, kind: str) -> bool:
        """A pooling; one over windows of a single pixel passes its input through."""
        kernel = tuple(given["kernel_shape"])
        attributes = self._window(inputs, kernel, given)
        if set((*kernel, *attributes["stride"])) == {1} and not any(attributes["pad"]):
            self.sources[outputs[0]] = self.sources[inputs[0]]
            return True
        convention = "full" if given.get("ceil_mode") else "valid"
        attributes |= {"pool_type": kind, "pooling_convention": convention, "global_pool": False}
        if kind == "avg" and any(attributes["pad"]):
            attributes["count_include_pad"] = bool(given.get("count_include_pad"))
        self._add(name, "Pooling", attributes, inputs, outputs[0])
        return True

    def on_reducemean(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """The mean over height and width is a global pooling."""
        axes = given.get("axes") or (self.constants[inputs[1]] if len(inputs) > 1 else ())
        rank = len(self.shapes.get(inputs[0], ()))
        if rank != 4 or sorted(int(axis) % rank for axis in axes) != [2, 3]:
            return False
        self._add(name, *SIMPLE["GlobalAveragePool"], inputs, outputs[0])
        return True

    def on_gemm(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """A dense layer, where its second factor is a weight."""
        if (
            inputs[1] not in self.constants
            or given.get("transA")
            or {given.get("alpha", 1), given.get("beta", 1)} != {1}
        ):
            return False
        self._dense(name, inputs, outputs[0], transposed=not given.get("transB"))
        return True

    def on_matmul(self, name: str, inputs: list[str], outputs: list[str], given: Attributes) -> bool:
        """A dense layer without bias, where what enters has two axes."""
        if inputs[1] not in self.constants or len(self.shapes.get(inputs[0], ())) != 2:
            return False
        self._dense(name, inputs, outputs[0], transposed=True)
        return True

    def _dense(self, name: str, inputs: list[str], output: str, *, transposed: bool) -> None:
        """A dense layer, which flattens by itself; MXNet's weight is (units, inputs)."""
        if transposed:
            self.transposed.add(inputs[1])
        source = self.sources[inputs[0]]
        if source >= 0 and self.nodes[source].operator == "Flatten":
            source = self.nodes[source].inputs[0][0]
        units = self.constants[inputs[1]].shape[1 if transposed else 0]
        attributes = {"num_hidden": units, "no_bias": len(inputs) < 3, "flatten": True}
        self._add(name, "FullyConnected", attributes, inputs, output, source)

    def _add_bias(self, inputs: list[str], output: str) -> bool:
        """Give a dense layer without bias the constant that is added to it."""
        constants = [each for each in inputs if each in self.constants]
        sources = [self.sources[each] for each in inputs if each in self.sources]
        node = self.nodes[sources[0]] if len(constants) == len(sources) == 1 and sources[0] >= 0 else None
        if node is None or node.operator != "FullyConnected" or not node.attributes["no_bias"]:
            return False
        attributes, names = {**node.attributes, "no_bias": False}, (*node.parameters, constants[0])
        self.nodes[node.position] = Node(
            node.position, node.operator, node.block, attributes, node.inputs, names, node.shape, output
        )
        self._know(constants[0], "bias")
        self.sources[output] = node.position
        return True

    def _add(
        self,
        name: str,
        operator: str,
        given: Attributes,
        inputs: list[str],
        output: str,
        source: int | None = None,
    ) -> None:
        """Append one operator; its inputs that are constants are its parameters."""
        if operator == "add" and self._add_bias(inputs, output):
            return
        known = not operator.startswith("onnx.") and operator not in {"add", "subtract", "multiply", "divide"}
        attributes = canonical_attributes(operator, given, operator_defaults(operator) if known else {})
        names = [each for each in inputs if each in self.constants]
        slots = SLOTS.get(operator, ("weight", "bias"))
        for place, each in enumerate(names):
            self._know(each, slots[place] if place < len(slots) else f"input{place + 1}")
        read = [self.sources[each] for each in inputs if each in self.sources]
        read = read if source is None else [source]
        sources = tuple((each, 0) for each in read)
        place, shape = len(self.nodes), self.shapes.get(output, ())
        self.nodes.append(Node(place, operator, name, attributes, sources, tuple(names), shape, output))
        self.sources[output] = place

    def _know(self, name: str, slot: str) -> None:
        """Note a parameter; running statistics are not trained."""
        shape = self.constants[name].shape
        shape = shape[::-1] if name in self.transposed else shape
        settings = {"grad_req": "null" if slot.startswith("moving_") else "write"}
        self.parameters[name] = Parameter(name, slot, shape, settings)
