"""A reference network and the same in PyTorch, with the same weights, and what both compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from conformance.comparison import Array
from conformance.engines.torch_networks import BatchNorm, build
from conformance.engines.torch_port import TorchPort
from conformance.engines.training import SIDES, small_subject
from conformance.graph import Node
from conformance.matching import differences, pair_nodes
from conformance.specification import SPECIFICATIONS
from conformance.subject import Subject
from conformance.workbench import Workbench
from reference.mxnet_compat import mx

#: BatchNorm's momentum as MXNet's operator gets it: a float32 scalar, whatever the type of the tensors.
MOMENTUM = float(np.float32(0.9))


@dataclass
class Pair:
    """A reference network and its port, which gets the same weights by position.

    Attributes:
        bench: The reference network's workbench, in float32.
        port: The same network in PyTorch.
    """

    bench: Workbench
    port: TorchPort

    def __post_init__(self) -> None:
        """Give the port the reference's weights."""
        self.port.set_weights({twin: self.bench.values[name] for name, twin in self.names.items()})

    @cached_property
    def names(self) -> dict[str, str]:
        """The reference's parameters in order, and those of the port at the same places."""
        expected, actual = self.bench.graph.parameters, self.port.graph.parameters
        for one, other in zip(expected.values(), actual.values(), strict=True):
            assert (one.slot, one.shape) == (other.slot, other.shape), f"{one.name} and {other.name}"
        return dict(zip(expected, actual, strict=True))

    @cached_property
    def nodes(self) -> dict[int, int]:
        """Positions of the port's nodes by those of the reference's."""
        assert not differences(self.bench.graph, self.port.graph)
        return pair_nodes(self.bench.graph, self.port.graph)

    def layers(self, images: Array) -> Iterator[tuple[Node, Array, Array]]:
        """Every layer's output in predict mode: the reference's and the port's."""
        outputs = self.bench.node_outputs(images.shape, images=mx.nd.array(images))
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
    bench = Workbench(subject)
    fixed = SPECIFICATIONS[network].family in SIDES
    sizes: dict[str, Any] = {"image_size": bench.shape()[-1]} if fixed else {}
    made = Pair(bench, TorchPort(build(network, **sizes), bench.shape(2), network))
    for module in made.port.module.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1 - MOMENTUM
    return made
