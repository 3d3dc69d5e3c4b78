"""A subject is run right where it has little to run."""

from __future__ import annotations

from typing import Any

from benches import bench, run_check
from conformance import Subject
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn


def norm_first() -> Any:
    """Return a right block whose only BatchNorm reads the images."""
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(), nn.Conv2D(16, 3), nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(5))
    return net


def test_running_statistics_of_the_images_are_compared() -> None:
    """A BatchNorm may be the first layer: the images are what enters it."""
    run_check("behaviour.running_statistics", bench(Subject("first", build=norm_first, input_shape=(3, 32, 32))))
