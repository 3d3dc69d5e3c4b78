"""The manifest: a network written down as text, one line an operator and one a parameter, for review in a diff."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.graphs.graph import Graph, Node, Shape


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _attributes(values: Mapping[str, object]) -> str:
    return " ".join(f"{key}={value}".replace(" ", "") for key, value in values.items())


def _inputs(graph: Graph, node: Node) -> str:
    """Where a node reads from: positions of nodes, ``images``, and the output where it is not the first."""
    return ",".join(
        ("images" if source < 0 else str(source)) + (f".{output}" if output else "") for source, output in node.inputs
    )


def manifest(name: str, graph: Graph, shape: Shape, other: Graph, other_shape: Shape) -> str:
    """Write a network down.

    Args:
        name: The subject's name.
        graph: Its graph with an input of ``shape``.
        shape: ``(N, C, H, W)``.
        other: Its graph with an input of ``other_shape``.
        other_shape: Another image size, batch and, for networks, number of channels.

    Returns:
        Text: a head, ``position | block | operator | attributes | inputs | output shapes`` for every operator,
        then ``name | slot | shape | settings`` for every parameter in the order of first use.
    """
    lines = [
        f"{name}: {len(graph.nodes)} operators, {len(graph.parameters)} parameters, "
        f"output shapes for images of {_shape(shape)} and {_shape(other_shape)}",
        "",
    ]
    for node, twin in zip(graph.nodes, other.nodes, strict=True):
        lines.append(
            " | ".join(
                (
                    str(node.position),
                    node.block or ".",
                    node.operator,
                    _attributes(node.attributes),
                    _inputs(graph, node),
                    f"{_shape(node.shape)} {_shape(twin.shape)}",
                )
            )
        )
    lines.append("")
    for parameter in graph.parameters.values():
        lines.append(
            " | ".join((parameter.name, parameter.slot, _shape(parameter.shape), _attributes(parameter.settings)))
        )
    return "\n".join(lines) + "\n"
