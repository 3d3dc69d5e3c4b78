"""A PyTorch module as a port: its graph, its layers, its predictions and a training step."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from conformance.contract.subject import RequestError
from conformance.graphs.graph import Graph, Node, Shape
from conformance.ports.port import Step
from conformance.ports.torch.reader import operators, read_graph
from conformance.tensors.comparison import Array
from reference.runtime.errors import cause

IMAGES = (1, 3, 224, 224)
COUNTER = "num_batches_tracked"
"""What PyTorch's BatchNorm counts and none of the networks uses."""
DROPOUTS = frozenset(
    {
        functional.dropout,
        functional.dropout1d,
        functional.dropout2d,
        functional.dropout3d,
        functional.alpha_dropout,
        functional.feature_alpha_dropout,
        torch.dropout,
        torch.dropout_,
    }
)


class WithoutDropout(TorchFunctionMode):
    """While it is active, dropout passes on what it gets, be it a module's or a function's."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of PyTorch, unless it is a dropout."""
        named = kwargs or {}
        if func in DROPOUTS:
            return args[0] if args else named["input"]
        return func(*args, **named)


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().copy()  # type: ignore[no-any-return]


class TorchPort:
    """A PyTorch module that claims to be one of the networks; see :class:`conformance.ports.port.Port`.

    Args:
        module: Takes one batch of images, returns logits. It is put into predict mode.
        shape: Of the images (N, C, H, W) that it is traced with.
        name: What messages call it.

    Raises:
        RequestError: If its parameters are not float32.
    """

    def __init__(self, module: torch.nn.Module, shape: Shape = IMAGES, name: str = "module") -> None:
        """Keep the module; it is traced when its graph is first asked for."""
        self.module = module.cpu().eval()
        self.shape = tuple(shape)
        self.name = name
        self._exported: dict[Shape, Any] = {}
        for path, tensor in self.state().items():
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise RequestError(f"{name}: parameter {path!r}: expected torch.float32, actual {tensor.dtype}")

    @property
    def engine(self) -> str:
        """PyTorch's version."""
        return f"PyTorch {torch.__version__}"

    def _export(self, shape: Shape) -> Any:
        """The module as operators, traced once a shape of the images.

        Raises:
            RequestError: If it cannot be traced, or returns anything but one tensor.
        """
        if shape not in self._exported:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.export warns of what PyTorch itself will change
                try:
                    exported = torch.export.export(self.module, (torch.zeros(shape),))
                except Exception as error:
                    raise RequestError(
                        f"{self.name}: torch.export cannot trace it with images {shape}: {cause(error)}"
                    ) from None
            results = exported.graph.output_node().args[0]
            if len(results) != 1:
                raise RequestError(f"{self.name}: expected one tensor of logits, actual {len(results)} outputs")
            self._exported[shape] = exported
        return self._exported[shape]

    def state(self, module: torch.nn.Module | None = None) -> dict[str, torch.Tensor]:
        """Parameters and buffers by name, without BatchNorm's counters."""
        of = self.module if module is None else module
        found = {**dict(of.named_parameters()), **dict(of.named_buffers())}
        return {name: tensor for name, tensor in found.items() if name.rpartition(".")[2] != COUNTER}

    @cached_property
    def graph(self) -> Graph:
        """Its canonical graph."""
        return read_graph(self._export(self.shape), self.state())[0]

    @property
    def weights(self) -> dict[str, Array]:
        """Every parameter, in the order of the graph."""
        state = self.state()
        return {name: _array(state[name]) for name in self.graph.parameters}

    def set_weights(self, values: Mapping[str, Array]) -> None:
        """Give it other weights.

        Raises:
            RequestError: If a parameter is missing, not known or of another shape.
        """
        state = self.state()
        odd = sorted(state.keys() ^ values.keys())
        if odd:
            raise RequestError(f"{self.name}: parameter {odd[0]!r} is {'missing' if odd[0] in state else 'not known'}")
        with torch.no_grad():
            for name, tensor in state.items():
                value = np.asarray(values[name])
                if value.shape != tuple(tensor.shape):
                    raise RequestError(
                        f"{self.name}: parameter {name!r}: expected {tuple(tensor.shape)}, actual {value.shape}"
                    )
                tensor.copy_(torch.from_numpy(value))

    def layers(self, images: Array) -> Iterator[tuple[Node, Array]]:
        """Output of every node of the graph, in order, in predict mode."""
        exported = self._export(images.shape)
        graph, sources = read_graph(exported, self.state())
        wanted = dict(zip(sources, graph.nodes, strict=True))
        for operator, output in self._run(exported, torch.from_numpy(images)):
            if operator in wanted:
                node = wanted[operator]
                yield node, _array(output).reshape(node.shape)

    def _run(self, exported: Any, images: torch.Tensor) -> Iterator[tuple[torch.fx.Node, torch.Tensor]]:
        """Run an exported module operator by operator, letting go of what no later one reads."""
        signature, state = exported.graph_signature, {**exported.constants, **self.state()}
        known = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        known |= signature.inputs_to_lifted_tensor_constants
        last = {source: node for node in exported.graph.nodes for source in node.all_input_nodes}
        values: dict[torch.fx.Node, Any] = {
            node: images if node.name in signature.user_inputs else state.get(known[node.name])
            for node in exported.graph.nodes
            if node.op == "placeholder"
        }
        for node in operators(exported):
            inputs = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            with torch.no_grad():
                values[node] = node.target(*inputs[0], **inputs[1])
            yield node, values[node]
            for source in node.all_input_nodes:
                if last[source] is node:
                    del values[source]

    def logits(self, images: Array) -> Array:
        """Logits (N, classes) of images (N, C, H, W) in predict mode."""
        with torch.no_grad():
            return _array(self.module(torch.from_numpy(images)))

    def step(self, images: Array, labels: Array) -> Step:
        """Run one forward and backward in train mode, in the images' type, without dropout, on a copy of itself."""
        entering = torch.from_numpy(images).requires_grad_()
        module = copy.deepcopy(self.module).to(entering.dtype).train()
        with WithoutDropout():
            logits = module(entering)
        loss = functional.cross_entropy(logits, torch.from_numpy(labels).long(), reduction="none")
        loss.sum().backward()
        state = self.state(module)
        return Step(
            logits=_array(logits),
            loss=_array(loss),
            images=_array(entering.grad),
            gradients={name: _array(state[name].grad) for name in self.graph.parameters if _learns(state[name])},
            statistics={name: _array(state[name]) for name, p in self.graph.parameters.items() if p.is_statistic},
        )


def _learns(tensor: torch.Tensor) -> bool:
    return bool(tensor.requires_grad) and tensor.grad is not None


def load(spec: str, shape: Shape = IMAGES, **arguments: Any) -> TorchPort:
    """Return the port that a command line names.

    Args:
        spec: ``package.module:attribute`` of what builds the module.
        shape: Of the images (N, C, H, W) that it takes.
        **arguments: What it is called with, such as ``classes=1000``.

    Raises:
        RequestError: If it cannot be imported, called with these arguments, or returns no PyTorch module.
    """
    module, _, attribute = spec.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        built = found(**arguments)
    except Exception as error:
        raise RequestError(f"{spec}: {type(error).__name__}: {cause(error)}") from None
    if not isinstance(built, torch.nn.Module):
        raise RequestError(f"{spec}: expected a torch.nn.Module, actual {type(built).__name__}")
    return TorchPort(built, shape, spec)
