"""The recorded manifests of the reference networks, read back: operators in order, and parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "snapshots"
IMAGES = -1
"""The position of the images among the operators."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operator:
    """One operator of a network.

    Attributes:
        position: In the order of the graph, from 0 on.
        block: The structural path of the block it belongs to.
        name: MXNet's name of it.
        attributes: By name, as text: ``kernel`` -> ``(3,3)``.
        inputs: Positions of the operators it reads from, ``IMAGES`` among them.
        shape: Of its output for one image, without the batch axis.
    """

    position: int
    block: str
    name: str
    attributes: dict[str, str]
    inputs: tuple[int, ...]
    shape: Shape

    def numbers(self, attribute: str) -> tuple[int, ...]:
        """Read an attribute such as ``(3,3)``."""
        return tuple(int(part) for part in self.attributes[attribute].strip("()").split(",") if part)


@dataclass(frozen=True)
class Manifest:
    """What is recorded of one network: its operators, and the shape of each parameter by its name."""

    operators: tuple[Operator, ...]
    parameters: dict[str, Shape]

    def parameters_of(self, path: str) -> int:
        """Number of parameters, running statistics included, of a block and all blocks in it."""
        own = (shape for name, shape in self.parameters.items() if f"{name}.".startswith(f"{path}."))
        return sum(math.prod(shape) for shape in own)

    def multiply_adds(self, operators: Sequence[Operator]) -> int:
        """Multiply-adds of some operators for one image, biases aside."""
        weighed = (each for each in operators if each.name in ("Convolution", "FullyConnected"))
        return sum(math.prod(each.shape) * math.prod(self.parameters[f"{each.block}.weight"][1:]) for each in weighed)


def read_manifest(name: str, folder: Path = FOLDER) -> Manifest:
    """Read the manifest of a reference network.

    Args:
        name: The network's name.
        folder: Where the snapshots are.
    """
    _, operators, parameters = (folder / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n")
    return Manifest(
        tuple(_operator(line) for line in operators.splitlines()),
        {name: _shape(shape) for name, _, shape, _ in (line.split(" | ") for line in parameters.splitlines())},
    )


def _shape(text: str) -> Shape:
    return tuple(int(side) for side in text.split("x"))


def _operator(line: str) -> Operator:
    position, block, name, attributes, inputs, shapes = line.split(" | ")
    return Operator(
        int(position),
        block,
        name,
        dict(pair.split("=", 1) for pair in attributes.split()),
        tuple(IMAGES if source == "images" else int(source.partition(".")[0]) for source in inputs.split(",")),
        _shape(shapes.split()[0])[1:],
    )
