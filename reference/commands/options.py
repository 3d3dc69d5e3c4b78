"""What the options of ``python -m reference`` may be, refused in one line where they are something else."""

from __future__ import annotations

import argparse
import math
from typing import Any, NoReturn

from reference.runtime.devices import try_gpu
from reference.runtime.mxnet_compat import mx

LARGEST_SIZE = 32_768
"""Above it the features of one image can be too many for MXNet's 32-bit sizes."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def size(text: str) -> int:
    """Read a size: an integer from 1 to `LARGEST_SIZE`."""
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is an integer from 1 to {LARGEST_SIZE}")
    return int(text)


def seed(text: str) -> int:
    """Read a seed: an integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is an integer of at least 0")
    return int(text)


def minutes(text: str) -> float:
    """Read a time: a number of at least 0."""
    try:
        if 0 <= float(text) < math.inf:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r}: allowed is a number of minutes, at least 0")


def contexts(text: str) -> list[Any]:
    """Read devices: auto, cpu, gpu, gpu:N or several as gpu:0,1.

    Raises:
        ValueError: If it is none of these, or there is no such GPU.
    """
    if text in ("auto", "cpu"):
        return [try_gpu() if text == "auto" else mx.cpu()]
    device, _, listed = text.partition(":")
    numbers = (listed or "0").split(",")
    if device != "gpu" or not all(number.isdecimal() for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(f"--ctx {text}: allowed are auto, cpu, gpu, gpu:N and different ones as gpu:0,1")
    found = [try_gpu(int(number)) for number in numbers]
    for number, ctx in zip(numbers, found, strict=True):
        if ctx.device_type != "gpu":
            raise ValueError(f"--ctx {text}: no GPU {number} that this build of MXNet can use")
    return found
