"""What a port is: a network of another engine that claims to be one of Gluon's.

A port shows itself as a canonical graph in MXNet's words, so it is compared as every other claim is: operators,
attributes and wiring by ``conformance/graphs/matching.py``, weights through matching nodes, numbers node by node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from conformance.graphs.graph import Graph, Node
from conformance.tensors.comparison import Array


class Port(Protocol):
    """A network of another engine, in predict mode.

    Attributes:
        engine: Name and version, such as ``ONNX Runtime 1.26.0``.
        graph: Its operators in MXNet's words (Convolution, BatchNorm, Pooling, ...), with canonical attributes as far
            as the format tells. A node's ``block`` is what its own format calls the layer, and parameters are in the
            order of their first use.
        weights: The value of every parameter of ``graph``, by name, in that order and in MXNet's layout.
    """

    @property
    def engine(self) -> str:
        """Name and version of what runs it."""

    @property
    def graph(self) -> Graph:
        """Its canonical graph."""

    @property
    def weights(self) -> Mapping[str, Array]:
        """Value of every parameter."""

    def set_weights(self, values: Mapping[str, Array]) -> None:
        """Give it other weights.

        Args:
            values: Every parameter of ``graph``, by name, in MXNet's layout.
        """

    def layers(self, images: Array) -> Iterator[tuple[Node, Array]]:
        """Output of every node of ``graph`` that the engine computes by itself, in order, in predict mode.

        Args:
            images: float32 of shape (N, C, H, W).
        """

    def logits(self, images: Array) -> Array:
        """Predict.

        Args:
            images: float32 of shape (N, C, H, W).

        Returns:
            Logits (N, classes).
        """


@dataclass(frozen=True)
class Step:
    """What one forward and backward in train mode computes, in float64 and with dropout off.

    Attributes:
        logits: (N, classes), with the batch's own statistics in BatchNorm.
        loss: Softmax cross-entropy of each sample (N,).
        images: Gradient of the summed loss with respect to the images (N, C, H, W).
        gradients: The same for every trained parameter, by name, in MXNet's layout.
        statistics: Every running statistic after the step, by name.
    """

    logits: Array
    loss: Array
    images: Array
    gradients: Mapping[str, Array]
    statistics: Mapping[str, Array]


@runtime_checkable
class Trainable(Protocol):
    """A port that can also be trained."""

    def step(self, images: Array, labels: Array) -> Step:
        """Run one forward and backward in train mode, in float64, with dropout off; its weights stay as they are.

        Args:
            images: float64 of shape (N, C, H, W).
            labels: Integers (N,).
        """
