"""A subject is run right where it has little to run."""

from __future__ import annotations

from typing import Any

from conformance import Subject
from conformance.checks.behaviour import check_running_statistics
from conformance.workbench import Workbench
from reference.mxnet_compat import mx

nn = mx.gluon.nn


def norm_first() -> Any:
    """Return a right block whose only BatchNorm reads the images."""
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(), nn.Conv2D(16, 3), nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(5))
    return net


def test_running_statistics_of_the_images_are_compared() -> None:
    """A BatchNorm may be the first layer: the images are what enters it."""
    check_running_statistics(Workbench(Subject("first", build=norm_first, input_shape=(3, 32, 32))))
