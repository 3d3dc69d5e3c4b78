"""The stages of a network: its manifest cut into what a table and a diagram have one row for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pages.manifests import Manifest, Operator, Shape

NAMES: dict[str, Callable[[Operator], str]] = {
    "Activation": lambda op: op.attributes["act_type"],
    "BatchNorm": lambda op: "BatchNorm",
    "Convolution": lambda op: _window(op, f", {op.attributes['num_filter']} channels"),
    "Dropout": lambda op: f"dropout {op.attributes['p']}",
    "FullyConnected": lambda op: f"dense {op.attributes['num_hidden']}",
    "Pooling": lambda op: _pooling(op),
    "add": lambda op: "add",
    "Concat": lambda op: "concat",
}
KINDS = {"Convolution": "convolution", "Pooling": "pooling", "FullyConnected": "dense"}


@dataclass(frozen=True)
class Stage:
    """One row: a layer, or a sequence of equal blocks.

    Attributes:
        path: The structural path of its block.
        title: What it is.
        short: The same in a few words.
        kind: convolution, blocks, pooling, dense or other: what it is mostly made of.
        shape: Of its output for one image.
        parameters: Their number, running statistics included.
        multiply_adds: For one image.
        unit: The operators of its first block, where it is a sequence of blocks.
    """

    path: str
    title: str
    short: str
    kind: str
    shape: Shape
    parameters: int
    multiply_adds: int
    unit: tuple[Operator, ...] = ()


def describe(operator: Operator) -> str:
    """Say what an operator is: ``conv 3x3 /2, 64 channels``."""
    return NAMES[operator.name](operator)


def stages(manifest: Manifest) -> Iterator[Stage]:
    """Cut a network into its stages, in order.

    Args:
        manifest: The network.
    """
    for path, group in groupby(manifest.operators, key=lambda operator: ".".join(operator.block.split(".")[:2])):
        operators = tuple(group)
        path = operators[0].block.split(".")[0] if path.startswith("output") else path
        units = [tuple(unit) for _, unit in groupby(operators, key=lambda op: _unit(op, path))]
        blocks = len(units[0]) > 2
        names = [f"{len(units)} blocks"] if blocks else [describe(operator) for operator in operators]
        yield Stage(
            path,
            " · ".join(names),
            " · ".join(names) if len(names) < 3 else f"{names[0]} … {names[-1]}",
            "blocks" if blocks else next((KINDS[op.name] for op in operators if op.name in KINDS), "other"),
            operators[-1].shape,
            manifest.parameters_of(path),
            manifest.multiply_adds(operators),
            units[0] if blocks else (),
        )


def _unit(operator: Operator, path: str) -> str:
    """The part of a block's path after its stage's: the number of the block in the stage."""
    return operator.block.removeprefix(path).lstrip(".").split(".")[0]


def _window(operator: Operator, more: str = "") -> str:
    """A convolution's kernel and stride."""
    stride = operator.numbers("stride")[0]
    return f"conv {'×'.join(map(str, operator.numbers('kernel')))}{f' /{stride}' if stride > 1 else ''}{more}"


def _pooling(operator: Operator) -> str:
    kind = {"avg": "average", "max": "max"}[operator.attributes["pool_type"]]
    if operator.attributes["global_pool"] == "True":
        return f"global {kind} pool"
    return f"{kind} pool {operator.numbers('kernel')[0]} /{operator.numbers('stride')[0]}"
