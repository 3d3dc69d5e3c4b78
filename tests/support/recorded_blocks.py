"""Blocks whose recordings are compared: right ones, and the same with one fault in one layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benches import runs_of
from conformance.__main__ import main
from conformance.contract.subject import Subject
from conformance.experiments.layers import record_layers
from conformance.tensors.recording_file import WHOLE_SUFFIX, SubjectRecord, Tensor
from execution_flaws import custom
from flaws import Patch, nn, patched
from reference.runtime.mxnet_compat import HybridBlock

SHAPE = (3, 8, 8)


def end_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[Any, str, str]:
    """Run a command in this process; returns exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code, *capsys.readouterr()


class Passing(HybridBlock):
    """A layer of an operator written in Python, right with a factor of 1."""

    def __init__(self, factor: float = 1.0) -> None:
        """Keep the factor."""
        super().__init__()
        self.factor = factor

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Pass the input on."""
        return custom(self.factor)(F, x)


class Deep(HybridBlock):
    """Ten layers of convolution, BatchNorm, ReLU and dropout, one of them with a custom operator."""

    def __init__(self) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential()
            for place in range(10):
                self.features.add(stage(place))
            self.output = nn.Dense(4)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Classify, dropping some features without a Dropout layer."""
        return self.output(F.Dropout(self.features(x), p=0.3))


def stage(place: int) -> Any:
    """Return one of Deep's layers."""
    layers = nn.HybridSequential()
    layers.add(nn.Conv2D(4, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"), nn.Dropout(0.1))
    if place == 5:
        layers.add(Passing())
    return layers


def recording(
    build: Callable[[], Any],
    whole: Path | None = None,
    patch: Patch = lambda net: None,
    weights: Path | None = None,
) -> SubjectRecord:
    """Record a block in this process; its full tensors go to the folder ``whole``."""
    subject = Subject("mine", build=lambda: patched(build(), patch), input_shape=SHAPE, weights=weights)
    target = "" if whole is None else str(whole / f"mine{WHOLE_SUFFIX}")
    rows = json.loads(record_layers(runs_of(subject), target))
    tensors = tuple(map(Tensor.from_row, rows))
    return SubjectRecord("mine", {"MXNet": "1.9.1"}, tensors, whole is not None, whole or Path())
