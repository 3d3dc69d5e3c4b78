"""The reference networks' own decisions: departures, block structure, argument errors and devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import VGG, AlexNet, DenseNet, ResNet, get_model, try_gpu
from reference.networks.densenet import DenseLayer
from reference.networks.resnet import Bottleneck
from reference.networks.summary import summarize
from reference.runtime.mxnet_compat import mx

ARGUMENT_ERRORS: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any], str]] = {
    "zero classes": (AlexNet, (0,), {}, r"classes=0: allowed is an integer of at least 1"),
    "negative classes": (AlexNet, (-3,), {}, r"classes=-3: "),
    "bool classes": (AlexNet, (True,), {}, r"classes=True: "),
    "float classes": (get_model, ("resnet50",), {"classes": 10.0}, r"classes=10\.0: "),
    "text classes": (VGG, ([1], [4], "10"), {}, r"classes='10': "),
    "no groups": (VGG, ([], []), {}, r"layers=\[\]: allowed are one or more integers of at least 1, not 0"),
    "one number": (VGG, (3, [4]), {}, r"layers=3: allowed are one or more integers of at least 1"),
    "text layers": (VGG, ("12", [4, 4]), {}, r"layers='12': "),
    "zero layers": (VGG, ([1, 0], [4, 4]), {}, r"layers=\[1, 0\]: "),
    "float filters": (VGG, ([1], [4.0]), {}, r"filters=\[4\.0\]: allowed are 1 integers of at least 1$"),
    "too few filters": (
        VGG,
        ([1, 1], [4]),
        {},
        r"filters=\[4\]: allowed are 2 integers of at least 1, not 1",
    ),
    "too few stages": (ResNet, ([1, 1], [4]), {}, r"filters=\[4\]: allowed are 2 integers of at least 1, .*, not 1;"),
    "a stem in filters": (
        ResNet,
        ([3, 4, 6, 3], [64, 256, 512, 1024, 2048]),
        {},
        r"filters=\[64, 256, 512, 1024, 2048\]: allowed are 4 integers of at least 1, one a stage, not 5; .* stem=64$",
    ),
    "odd stage": (ResNet, ([1], [6]), {}, r"filters=\[6\]: allowed are multiples of 4$"),
    "zero stem": (ResNet, ([1], [8]), {"stem": 0}, r"stem=0: allowed is an integer of at least 1"),
    "list stem": (ResNet, ([1], [8]), {"stem": [64]}, r"stem=\[64\]: "),
    "resnet bias": (ResNet, ([1], [8]), {"conv_bias": 0}, r"conv_bias=0: allowed are True and False"),
    "stem channels": (DenseNet, (0, 16, [1]), {}, r"num_channels_input=0: "),
    "growth rate": (DenseNet, (16, -1, [1]), {}, r"growth_rate=-1: "),
    "dense layers": (DenseNet, (16, 16, [None]), {}, r"layers=\[None\]: "),
    "no compression": (DenseNet, (16, 16, [1], 0), {}, r"compression_rate=0: allowed is a number above 0"),
    "too much": (DenseNet, (16, 16, [1], 1.5), {}, r"compression_rate=1\.5: "),
    "not a rate": (DenseNet, (16, 16, [1], True), {}, r"compression_rate=True: "),
    "nan rate": (DenseNet, (16, 16, [1], float("nan")), {}, r"compression_rate=nan: "),
    "nothing left": (
        DenseNet,
        (1, 1, [1, 1], 0.1),
        {},
        r"compression_rate=0\.1: allowed is what leaves at",
    ),
    "bn_size": (DenseNet, (16, 16, [1], 0.5, 2.5), {}, r"bn_size=2\.5: "),
    "densenet bias": (DenseNet, (16, 16, [1]), {"conv_bias": None}, r"conv_bias=None: "),
    "unknown name": (
        get_model,
        ("resnet34",),
        {},
        r"name='resnet34': allowed are alexnet, vgg11, .*densenet201",
    ),
    "negative device": (try_gpu, (-1,), {}, r"index=-1: allowed is an integer of at least 0"),
    "bool device": (try_gpu, (True,), {}, r"index=True: "),
}


@pytest.mark.parametrize("case", ARGUMENT_ERRORS)
def test_bad_argument_is_refused(case: str) -> None:
    """A ValueError names the argument, its value and what is allowed."""
    constructor, arguments, options, expected = ARGUMENT_ERRORS[case]

    with pytest.raises(ValueError, match=f"^{expected}"):
        constructor(*arguments, **options)


def test_bias_is_no_argument_of_alexnet() -> None:
    """An argument that a constructor does not have is a TypeError."""
    with pytest.raises(TypeError, match="conv_bias"):
        get_model("alexnet", conv_bias=False)


def test_numpy_integers_are_integers() -> None:
    """Sizes may come from a NumPy array."""
    arguments: tuple[Any, ...] = (np.array([1, 1]), np.array([4, 8]), np.int64(5))
    net = VGG(*arguments)

    assert (5, 4096) == summarize(net, (1, 3, 8, 8)).parameter_shapes["output.weight"]


@pytest.mark.parametrize("bn_size", [1, 4])
def test_densenet_uses_bn_size(bn_size: int) -> None:
    """The first convolution of a dense layer has ``bn_size * growth_rate`` channels."""
    shapes = summarize(DenseNet(16, 24, [1, 1], 0.5, bn_size), (1, 3, 64, 64)).parameter_shapes

    assert (bn_size * 24, 16, 1, 1) == shapes["features.4.0.body.2.weight"]


def test_densenet_transition_rounds_channels_down() -> None:
    """A transition keeps ``int(compression_rate * channels)`` channels."""
    shapes = summarize(DenseNet(16, 16, [1, 1], 0.45), (1, 3, 64, 64)).parameter_shapes

    assert (14, 32, 1, 1) == shapes["features.5.2.weight"]


def test_densenet_pools_globally_what_seven_pixels_pooled() -> None:
    """At 224x224 the global average pool gives what an average pool of 7 gives, bit for bit."""
    net = DenseNet(16, 16, [1, 1, 1, 1], 0.5, 1, 5)
    net.initialize()
    maps = mx.nd.random.uniform(shape=(2, 3, 224, 224))
    for layer in net.features[:-1]:
        maps = layer(maps)

    assert (7, 7) == maps.shape[2:]
    np.testing.assert_array_equal(net.features[-1](maps).asnumpy(), mx.gluon.nn.AvgPool2D(7)(maps).asnumpy())


def test_dense_layer_puts_new_features_first() -> None:
    """The input of a dense layer is the last part of its output."""
    layer = DenseLayer(16, bn_size=2, conv_bias=True)
    layer.initialize()
    maps = mx.nd.random.uniform(shape=(1, 5, 4, 4))
    output = layer(maps)

    assert (1, 16 + 5, 4, 4) == output.shape
    np.testing.assert_array_equal(output[:, 16:].asnumpy(), maps.asnumpy())


def test_resnet_projects_and_strides_once_a_stage() -> None:
    """Only the first block of a stage has a projection, and its stride is on the first 1x1 convolution."""
    stages = [list(stage) for stage in get_model("resnet50").features[4:8]]
    strides = [[block.body[0]._kwargs["stride"] for block in stage] for stage in stages]

    assert [[True] + [False] * (n - 1) for n in (3, 4, 6, 3)] == [
        [block.projection is not None for block in stage] for stage in stages
    ]
    assert [[(first, first)] + [(1, 1)] * (n - 1) for first, n in ((1, 3), (2, 4), (2, 6), (2, 3))] == strides
    assert all((1, 1) == block.body[3]._kwargs["stride"] for stage in stages for block in stage)


@pytest.mark.parametrize("size", [7, 8])
def test_bottleneck_rounds_its_size_up(size: int) -> None:
    """A block of stride 2 gives ``ceil(size / 2)`` pixels."""
    block = Bottleneck(8, stride=2, project=True, conv_bias=True)
    block.initialize()

    assert (1, 8, 4, 4) == block(mx.nd.ones((1, 3, size, size))).shape


def test_try_gpu_falls_back_to_the_cpu() -> None:
    """A GPU that does not exist is replaced by the CPU."""
    assert mx.cpu() == try_gpu(1000)


def test_try_gpu_returns_a_device_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that computes is returned as it is."""
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 4)
    monkeypatch.setattr(mx, "gpu", mx.cpu)

    assert mx.cpu(3) == try_gpu(3)


def test_try_gpu_passes_over_a_device_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is there but cannot compute is replaced by the CPU."""

    def fail(index: int) -> Any:
        raise mx.MXNetError("no kernel image is available for execution on the device")

    monkeypatch.setattr(mx.context, "num_gpus", lambda: 4)
    monkeypatch.setattr(mx, "gpu", fail)

    assert mx.cpu() == try_gpu(3)
