"""A reference network and the same in PyTorch, with the same weights, and what both compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import Subject
from conformance.experiments.network import Network
from conformance.experiments.runs import Runs
from conformance.graphs.graph import Node
from conformance.graphs.matching import differences, pair_nodes
from conformance.ports.step import SIDES, small_subject
from conformance.ports.torch.networks import BatchNorm, build
from conformance.ports.torch.port import TorchPort
from conformance.tensors.comparison import Array
from reference.runtime.mxnet_compat import mx

#: BatchNorm's momentum as MXNet's operator gets it: a float32 scalar, whatever the type of the tensors.
MOMENTUM = float(np.float32(0.9))


@dataclass
class Pair:
    """A reference network and its port, which gets the same weights by position.

    Attributes:
        runs: Of the reference network, in float32.
        port: The same network in PyTorch.
    """

    runs: Runs
    port: TorchPort

    def __post_init__(self) -> None:
        """Give the port the reference's weights."""
        self.port.set_weights({twin: self.runs.network.values[name] for name, twin in self.names.items()})

    @cached_property
    def names(self) -> dict[str, str]:
        """The reference's parameters in order, and those of the port at the same places."""
        expected, actual = self.runs.graph.parameters, self.port.graph.parameters
        for one, other in zip(expected.values(), actual.values(), strict=True):
            assert (one.slot, one.shape) == (other.slot, other.shape), f"{one.name} and {other.name}"
        return dict(zip(expected, actual, strict=True))

    @cached_property
    def nodes(self) -> dict[int, int]:
        """Positions of the port's nodes by those of the reference's."""
        assert not differences(self.runs.graph, self.port.graph)
        return pair_nodes(self.runs.graph, self.port.graph)

    def layers(self, images: Array) -> Iterator[tuple[Node, Array, Array]]:
        """Every layer's output in predict mode: the reference's and the port's."""
        outputs = self.runs.node_outputs(images.shape, images=mx.nd.array(images))
        expected = {self.nodes[node.position]: array for node, array in outputs}
        for node, actual in self.port.layers(images):
            yield node, expected.pop(node.position), actual
        assert not expected


def pair(network: str, *, small: bool = False) -> Pair:
    """Build a network in both engines, at full depth and width.

    Args:
        network: One of the 12.
        small: Whether AlexNet and VGG are built for smaller images than 224, all others trained at 64 pixels.
    """
    subject = small_subject(network) if small else Subject(network)
    runs = Runs(Network(subject))
    fixed = SPECIFICATIONS[network].family in SIDES
    sizes: dict[str, Any] = {"image_size": runs.network.shape()[-1]} if fixed else {}
    made = Pair(runs, TorchPort(build(network, **sizes), runs.network.shape(2), network))
    for module in made.port.module.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1 - MOMENTUM
    return made
