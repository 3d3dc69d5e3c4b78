"""``python -m reference``: list the networks, show the layers of one, train and use it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from reference.commands.commands import add_commands
from reference.commands.options import OneLineParser, size
from reference.networks.registry import get_model, list_models
from reference.networks.summary import NetworkSummary, summarize
from reference.training.devices import keep_one_scratch_space
from reference.training.metrics import Divergence
from reference.training.runs import Interrupted
from reference.training.workers import ended_at_once

PIPE_WIDTH = 120
"""Columns of a table that is not shown on a terminal, whose width nobody knows."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command ``argv``, or the one Python was started with.

    Raises:
        SystemExit: With code 2 if the command is wrong, 1 if a training diverged, 128 and the signal's number if it
            was told to stop; one line on stderr says how.
    """
    keep_one_scratch_space()
    parser = _parser()
    arguments = parser.parse_args(argv)
    arguments.console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    with ended_at_once():
        _show(parser, arguments)


def _show(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    try:
        for shown in arguments.show(arguments):
            arguments.console.print(shown, highlight=False, markup=False, soft_wrap=isinstance(shown, str))
    except (ValueError, OSError) as error:
        parser.error(str(error).partition("\n")[0])
    except Divergence as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except Interrupted as error:
        parser.exit(128 + error.number, f"{parser.prog}: told to stop by {error}; go on with --resume\n")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m reference", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="list the networks, with their sizes at 3x224x224")
    listing.set_defaults(show=_list_table)
    summary = commands.add_parser("summary", help="show the layers of a network", allow_abbrev=False)
    summary.set_defaults(show=_summary_table)
    summary.add_argument("name", metavar="NAME", help=f"one of {', '.join(list_models())}")
    summary.add_argument("--classes", type=size, default=1000, metavar="N", help="default: 1000")
    summary.add_argument("--channels", type=size, default=3, metavar="N", help="default: 3")
    summary.add_argument("--image-size", type=size, default=224, metavar="N", help="pixels, default: 224")
    summary.add_argument("--batch-size", type=size, default=1, metavar="N", help="images, default: 1")
    summary.add_argument("--no-conv-bias", action="store_true", help="no biases in convolutions")
    add_commands(commands)
    return parser


def _list_table(arguments: argparse.Namespace) -> Iterator[Table]:
    table = Table("network", title="at 1000 classes, one 3x224x224 image")
    for heading in ("parameters", "multiply-adds", "smallest input"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("paper", no_wrap=True)
    for name in list_models():
        net = get_model(name)
        summary = summarize(net, (1, 3, 224, 224))
        size = f"{net.smallest_input}x{net.smallest_input}"
        table.add_row(name, f"{summary.parameters:,}", f"{summary.multiply_adds:,}", size, net.paper)
    yield table


def _summary_table(arguments: argparse.Namespace) -> Iterator[Table]:
    size = arguments.image_size
    input_shape = (arguments.batch_size, arguments.channels, size, size)
    options: dict[str, Any] = {"conv_bias": False} if arguments.no_conv_bias else {}
    try:
        net = get_model(arguments.name, classes=arguments.classes, **options)
    except TypeError:
        raise ValueError(f"--no-conv-bias: {arguments.name} has no convolutions without a bias") from None
    yield _layer_table(arguments.name, input_shape, summarize(net, input_shape))


def _layer_table(name: str, input_shape: tuple[int, ...], summary: NetworkSummary) -> Table:
    table = Table("layer", "type", title=f"{name}, input {input_shape}", show_footer=True)
    table.columns[0].footer = f"total, {summary.trainable:,} trainable"
    table.add_column("output shape", no_wrap=True)
    table.add_column("parameters", f"{summary.parameters:,}", justify="right", no_wrap=True)
    table.add_column("multiply-adds", f"{summary.multiply_adds:,}", justify="right", no_wrap=True)
    for layer in summary.layers:
        table.add_row(
            layer.name,
            layer.type,
            str(layer.output_shape),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        )
    return table


if __name__ == "__main__":
    main()
