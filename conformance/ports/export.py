"""``python -m conformance export``: write a network to a file that says what it is, and verify it first."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.contract.outcomes import NotExecuted
from conformance.machine.asking import Unusable


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``export``."""
    parser.add_argument(
        "network", metavar="NAME|CHECKPOINT", help="a reference network, or a run of `python -m reference`"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="NAME.onnx, or NAME-symbol.json")
    parser.add_argument(
        "--to", choices=("onnx", "symbol"), required=True, help="ONNX, or MXNet's symbol and parameters"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE.params", help="trained weights of a named network")
    parser.add_argument("--classes", type=int, metavar="N", help="logits of a named network (default: 1000)")
    parser.add_argument("--image-size", type=int, metavar="SIDE", help="pixels (default: 224, or the checkpoint's)")


def run_export(arguments: argparse.Namespace) -> int:
    """Export, verify, and say what was written.

    Returns:
        0, or 1 if the file does not give what the network gives; then none is written.

    Raises:
        RequestError: If the request is wrong.
        OSError: If the file cannot be written.
        Unusable: If MXNet or an engine cannot be used.
    """
    try:
        from conformance.ports.writing import write  # here: it imports MXNet

        print(write(arguments), flush=True)
    except (ImportError, NotExecuted) as error:
        raise Unusable(str(error)) from None
    return 0
