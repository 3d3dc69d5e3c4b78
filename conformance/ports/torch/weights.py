"""Weights that come to PyTorch or leave it: published ones in torchvision's layout, and those of a Gluon network.

Nothing is downloaded, and torchvision is not needed: only the layout that it documents. Its networks are not all those
of the specification:

- AlexNet and VGG compute the same. In train mode, torchvision's AlexNet drops before its dense layers, ours after them.
- ResNet has its stride on the 3x3 convolution of a block; ours has it on the first 1x1 convolution, as the paper. The
  weights fit both and do not say which they were trained for, so ``stride_on`` must. Only a network with ``"1x1"`` is
  the specification's.
- DenseNet puts a layer's new features behind its input, ours puts them before it: channels are reordered.
- ResNet and DenseNet have no convolution biases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from conformance.contract.subject import RequestError
from conformance.graphs.graph import Graph, Shape
from conformance.graphs.matching import differences, pair_parameters
from conformance.graphs.tracing import parameters_of, trace
from conformance.ports.torch.networks import AlexNet, DenseNet, build
from conformance.ports.torch.port import COUNTER, TorchPort
from reference.runtime.mxnet_compat import mx

State = Mapping[str, torch.Tensor]
#: torchvision's names of AlexNet's dense layers -> ours.
ALEXNET_LAYERS = {"classifier.1": "classifier.0", "classifier.4": "classifier.3", "classifier.6": "classifier.6"}
#: Published DenseNets have `norm.1` where torchvision's code has `norm1`.
OLD_SPELLING = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def from_torchvision(name: str, state: State, *, stride_on: str | None = None) -> nn.Module:
    """Return a network with weights in torchvision's layout; their last dense layer says how many classes there are.

    Args:
        name: One of the 12 networks.
        state: A state dict, as ``torch.load`` returns it.
        stride_on: Of a ResNet, which must say it: ``"3x3"`` where torchvision trained the weights, else ``"1x1"``.

    Raises:
        ValueError: In one line that names the entry, if one is missing, unexpected or of another shape; or if there
            is no network of that name, or ``stride_on`` is missing, or given for another network than a ResNet.
    """
    is_resnet = name.startswith("resnet")
    if is_resnet and stride_on not in ("1x1", "3x3"):
        raise ValueError(
            f"stride_on={stride_on!r}: for {name} say '3x3' for weights that torchvision trained, "
            "'1x1' for the network of the paper"
        )
    if not is_resnet and stride_on is not None:
        raise ValueError(f"stride_on={stride_on!r}: {name} has no choice, it is for ResNets only")
    last = "fc.bias" if is_resnet else "classifier.bias" if name.startswith("densenet") else "classifier.6.bias"
    arguments: dict[str, Any] = {"classes": len(state[last])} if last in state else {}
    if is_resnet or name.startswith("densenet"):
        arguments["conv_bias"] = False
    if is_resnet:
        arguments["stride_on"] = stride_on
    return load_torchvision(build(name, **arguments), state, name)


def load_torchvision(network: nn.Module, state: State, name: str = "network") -> nn.Module:
    """Give a network of any size weights in torchvision's layout, and return it.

    Args:
        network: One of ``networks``, without convolution biases where it is a ResNet or a DenseNet.
        state: A state dict.
        name: What a message calls it.

    Raises:
        ValueError: As :func:`from_torchvision`.
    """
    names = {_renamed(network, ours): ours for ours in network.state_dict() if not ours.endswith(COUNTER)}
    given = {OLD_SPELLING.sub(r"\1\2.", key): value for key, value in state.items() if not key.endswith(COUNTER)}
    where = f"{name} in torchvision's layout"
    for key in (*names, *given):
        if key not in given or key not in names:
            raise ValueError(f"{where}: entry {key!r} is {'missing' if key in names else 'unexpected'}")
    expected = network.state_dict()
    orders = dict(_orders(network)) if isinstance(network, DenseNet) else {}
    with torch.no_grad():
        for key, ours in names.items():
            tensor, shape = given[key], tuple(expected[ours].shape)
            if tuple(getattr(tensor, "shape", ())) != shape:
                actual = tuple(getattr(tensor, "shape", ())) or type(tensor).__name__
                raise ValueError(f"{where}: entry {key!r}: expected shape {shape}, actual {actual}")
            layer, _, slot = ours.rpartition(".")
            if layer in orders and (slot == "weight" or "norm" in layer):
                tensor = tensor.index_select(min(tensor.ndim - 1, 1), orders[layer])
            expected[ours].copy_(tensor)
    return network


def _renamed(network: nn.Module, ours: str) -> str:
    """Name of an entry in torchvision's layout."""
    layer, _, slot = ours.rpartition(".")
    theirs = {ours: theirs for theirs, ours in ALEXNET_LAYERS.items()} if isinstance(network, AlexNet) else {}
    return f"{theirs.get(layer, layer)}.{slot}"


def _orders(network: DenseNet) -> Iterator[tuple[str, torch.Tensor]]:
    """Where torchvision has each channel that a layer of ours reads, for all layers that read concatenated features."""
    order = torch.arange(0)
    for path, block in network.features.named_children():
        if path.startswith("denseblock"):
            inputs = block.denselayer1.norm1.num_features
            growth = block.denselayer1.conv2.out_channels
            for made, (name, _) in enumerate(block.named_children()):
                order = _newest_first(inputs, growth, made)
                yield from ((f"features.{path}.{name}.{part}", order) for part in ("norm1", "conv1"))
            order = _newest_first(inputs, growth, len(block))
        elif path.startswith("transition"):
            yield from ((f"features.{path}.{part}", order) for part in ("norm", "conv"))
    yield from ((last, order) for last in ("features.norm5", "classifier"))


def _newest_first(inputs: int, growth: int, made: int) -> torch.Tensor:
    """Order of channels in which the features of later layers come first and a block's input last."""
    new = [torch.arange(growth) + inputs + place * growth for place in reversed(range(made))]
    return torch.cat([*new, torch.arange(inputs)])


def _paired(net: Any, module: nn.Module, shape: Shape) -> tuple[TorchPort, Graph, dict[str, str]]:
    """A port, the Gluon network's graph, and the port's parameters by the network's."""
    port = TorchPort(module, shape)
    graph = trace(net, shape)[0]
    found = differences(graph, port.graph, limit=1)
    if found:
        raise RequestError(f"weights cannot be matched, as the networks differ: {found[0]}")
    return port, graph, pair_parameters(graph, port.graph)


def to_gluon(module: nn.Module, net: Any, image_shape: tuple[int, int, int] = (3, 224, 224)) -> None:
    """Give a Gluon network the weights of a PyTorch module, through matching operators.

    Raises:
        RequestError: If the two are not the same network; the message names the first layer that differs.
    """
    port, _, pairs = _paired(net, module, (1, *image_shape))
    weights = port.weights
    net.initialize(mx.init.Zero(), force_reinit=True)
    for name, parameter in parameters_of(net).items():
        parameter.set_data(mx.nd.array(weights[pairs[name]]))
        parameter._finish_deferred_init()


def from_gluon(net: Any, module: nn.Module, image_shape: tuple[int, int, int] = (3, 224, 224)) -> None:
    """Give a PyTorch module the weights of a Gluon network that is initialized, through matching operators.

    Raises:
        RequestError: As :func:`to_gluon`.
    """
    port, _, pairs = _paired(net, module, (1, *image_shape))
    port.set_weights({pairs[name]: np.asarray(p.data().asnumpy()) for name, p in parameters_of(net).items()})
