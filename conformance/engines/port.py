"""A port: one of the networks in another engine, as the checks see it, whatever the engine is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from conformance.comparison import Array
from conformance.graph import Attributes, Graph


class PortError(ValueError):
    """A port that cannot be loaded, read, given weights or run, said in one line."""


class NotOffered(Exception):
    """What this engine or format cannot do, said in words: a check that needs it is not applicable."""


class Layer(NamedTuple):
    """One operator of a port with its output.

    Attributes:
        name: What the port calls it.
        kind: The canonical graph's word for it (Convolution, BatchNorm, ...), or the engine's own where there is none.
        attributes: As the canonical graph has them, None where the format does not tell.
        output: What it computed.
    """

    name: str
    kind: str
    attributes: Attributes | None
    output: Array


@dataclass
class Gradients:
    """One training step in float64 without dropout, in the order in which the parameters are first used.

    Attributes:
        loss: Softmax cross-entropy of each image, (N,).
        images: Gradient of the sum of the losses with respect to the images.
        parameters: The same with respect to each parameter that learns, by name.
        statistics: Running statistics after the step, by name.
    """

    loss: Array
    images: Array
    parameters: dict[str, Array] = field(default_factory=dict)
    statistics: dict[str, Array] = field(default_factory=dict)


class Port(Protocol):
    """A network in another engine, ready to run.

    What an engine or format cannot do raises :class:`NotOffered` with the reason.
    """

    def graph(self, shape: tuple[int, ...]) -> Graph:
        """Its canonical graph for images of a shape (N, C, H, W), parameters in order of first use."""

    def parameters(self) -> list[tuple[str, Array]]:
        """Its parameters and running statistics in order of first use."""

    def set_weights(self, values: Sequence[Array]) -> None:
        """Give it other parameters, in that order; raises PortError where number or shapes do not fit."""

    def layers(self, images: Array) -> Iterator[Layer]:
        """Every operator in the order in which they run, in predict mode."""

    def logits(self, images: Array) -> Array:
        """Logits (N, classes) of images (N, C, H, W) in predict mode."""

    def gradients(self, images: Array, labels: Array) -> Gradients:
        """A training step in float64 without dropout; its own weights stay as they are."""
