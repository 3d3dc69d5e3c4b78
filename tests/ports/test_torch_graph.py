"""What PyTorch's operators are in MXNet's words, however a module is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from conformance.graphs.graph import Graph
from conformance.ports.torch.port import TorchPort

SHAPE = (2, 4, 9, 9)


class Calls(nn.Module):
    """A module that calls a function, and may have layers."""

    def __init__(self, function: Callable[..., torch.Tensor], *layers: nn.Module) -> None:
        """Keep both."""
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Call the function with images and layers."""
        return self.function(images, *self.layers)


def graph(module: nn.Module | Callable[..., torch.Tensor], *layers: nn.Module) -> Graph:
    """Return the canonical graph of a module or of a function."""
    return TorchPort(module if isinstance(module, nn.Module) else Calls(module, *layers), SHAPE).graph


@pytest.mark.parametrize(
    ("module", "operator", "attributes"),
    [
        (nn.Conv2d(4, 6, 3, padding="same"), "Convolution", {"pad": (1, 1), "stride": (1, 1), "num_filter": 6}),
        (nn.Conv2d(4, 6, 4, padding="same"), "Convolution", {"pad": ((1, 2), (1, 2))}),
        (nn.Conv2d(4, 6, 3, padding="valid", bias=False), "Convolution", {"pad": (0, 0), "no_bias": True}),
        (nn.Conv2d(4, 8, (3, 5), (1, 2), dilation=2, groups=2), "Convolution",
         {"kernel": (3, 5), "stride": (1, 2), "dilate": (2, 2), "num_group": 2}),
        (nn.MaxPool2d(3, ceil_mode=True), "Pooling", {"pooling_convention": "full", "stride": (3, 3)}),
        (nn.MaxPool2d(3, dilation=2), "max pooling, dilated or with its own divisor", {}),
        (nn.AvgPool2d(3, 2, 1), "Pooling", {"count_include_pad": True, "pad": (1, 1)}),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "Pooling", {"count_include_pad": False}),
        (nn.AvgPool2d(2, divisor_override=3), "avg pooling, dilated or with its own divisor", {}),
        (nn.AdaptiveAvgPool2d(1), "Pooling", {"global_pool": True, "pool_type": "avg"}),
        (nn.AdaptiveAvgPool2d((3, 3)), "adaptive average pooling", {"output_size": (3, 3)}),
        (lambda x: x.mean((3, 2), keepdim=True), "Pooling", {"global_pool": True}),
        (lambda x: x.mean(1), "mean", {"axis": (1,)}),
        (nn.BatchNorm2d(4, 1e-3, 0.2), "BatchNorm", {"eps": 1e-3, "momentum": 0.8, "fix_gamma": False}),
        (nn.BatchNorm2d(4, affine=False), "BatchNorm", {"fix_gamma": True}),
        (nn.BatchNorm2d(4, track_running_stats=False), "BatchNorm by the batch", {"eps": 1e-5}),
        (torch.relu_, "Activation", {"act_type": "relu"}),
        (nn.Dropout(0.3), "Dropout", {"p": 0.3, "mode": "training"}),
        (lambda x: functional.dropout(x, 0.3), "Dropout", {"mode": "always"}),
        (lambda x: torch.cat((x, x), -3), "Concat", {"dim": 1}),
        (lambda x: x + x, "add", {}),
        (lambda x: torch.add(x, x, alpha=2), "add, scaled", {}),
        (lambda x: x * 2, "aten.mul.Tensor", {"other": "2"}),
    ],
)  # fmt: skip
def test_operator_is_read(module: Any, operator: str, attributes: dict[str, Any]) -> None:
    """An operator has its name and its attributes in MXNet's words; one without a counterpart keeps its own name."""
    (node,) = graph(module).nodes

    assert operator == node.operator
    assert attributes == {key: node.attributes[key] for key in attributes}


@pytest.mark.parametrize(
    "module",
    [
        nn.AdaptiveAvgPool2d((9, 9)),
        nn.Dropout(0.0),
        nn.Identity(),
        lambda x: x.clone(),
        lambda x: x.contiguous(),
    ],
)
def test_what_passes_its_input_through_is_left_out(module: Any) -> None:
    """An operator that changes nothing is no node."""
    found = graph(lambda x: functional.relu(module(x)))

    assert ["Activation"] == [node.operator for node in found.nodes]
    assert ((-1, 0),) == found.nodes[0].inputs


def test_inputs_are_kept_in_order_and_number() -> None:
    """What an operator reads twice it has twice, in the order in which it reads."""
    found = graph(lambda x: torch.cat((functional.relu(x), x, functional.relu(x)), 1))

    assert ((0, 0), (-1, 0), (1, 0)) == found.nodes[-1].inputs


@pytest.mark.parametrize(
    "flatten",
    [
        lambda x: x.flatten(1),
        lambda x: x.view(x.shape[0], -1),
        lambda x: torch.flatten(x, 1).clone(),
        lambda x: torch.dropout(x.reshape(len(x), -1), 0.0, False),
    ],
)
def test_dense_layer_flattens_by_itself(flatten: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """A Flatten that a dense layer alone reads is no node."""
    found = graph(lambda x, dense: dense(flatten(x)), nn.Linear(324, 5))
    (node,) = found.nodes

    assert ("FullyConnected", True, ((-1, 0),)) == (node.operator, node.attributes["flatten"], node.inputs)
    assert ("layers.0.weight", "layers.0.bias") == node.parameters


def test_mean_is_a_pooling_that_is_flattened() -> None:
    """The mean of every channel is a global pooling, its two axes kept, and a dense layer reads it."""
    found = graph(lambda x, dense: dense(x.mean((2, 3))), nn.Linear(4, 5))

    assert ["Pooling", "FullyConnected"] == [node.operator for node in found.nodes]
    assert (2, 4, 1, 1) == found.nodes[0].shape


def test_flatten_that_others_read_is_a_node() -> None:
    """A Flatten that something else than a dense layer reads stays, as it does in MXNet."""
    found = graph(lambda x: functional.relu(x.flatten(1)))

    assert ["Flatten", "Activation"] == [node.operator for node in found.nodes]


def test_parameters_are_in_order_of_first_use() -> None:
    """Parameters come in the order of their use, with the slots of MXNet's operators; unused ones are last."""
    layers = nn.Linear(4, 2), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    found = graph(lambda x, unused, conv, norm: norm(conv(x)), *layers)

    assert [
        ("layers.1.weight", "weight"),
        ("layers.1.bias", "bias"),
        ("layers.2.weight", "gamma"),
        ("layers.2.bias", "beta"),
        ("layers.2.running_mean", "moving_mean"),
        ("layers.2.running_var", "moving_var"),
        ("layers.0.weight", "unused"),
        ("layers.0.bias", "unused"),
    ] == [(name, parameter.slot) for name, parameter in found.parameters.items()]


def test_parameter_of_an_unknown_operator_is_named() -> None:
    """A parameter that no operator of the networks reads is one, too."""
    layer = nn.PReLU()
    (node,) = graph(lambda x, prelu: prelu(x), layer).nodes

    assert ("layers.0.weight",) == node.parameters
    assert "aten.prelu.default" == node.operator
