"""The reference networks: published sizes, equal numbers however they run, and clear refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reference
from reference import VGG, AlexNet, DenseNet, ResNet, get_model, list_models
from reference.networks.classifier import ImageClassifier, Window, smallest_size
from reference.networks.summary import summarize
from reference.runtime.mxnet_compat import mx

# Name: (total, trainable, parameter arrays, multiply-adds, trainable as published, smallest input). Those of
# torchvision are the published ones; its convolutions have no bias where there is BatchNorm.
SIZES: dict[str, tuple[int, int, int, int, int, int]] = {
    "alexnet": (61_100_840, 61_100_840, 16, 714_188_480, 61_100_840, 63),
    "vgg11": (132_863_336, 132_863_336, 22, 7_609_090_048, 132_863_336, 32),
    "vgg13": (133_047_848, 133_047_848, 26, 11_308_466_176, 133_047_848, 32),
    "vgg16": (138_357_544, 138_357_544, 32, 15_470_264_320, 138_357_544, 32),
    "vgg19": (143_667_240, 143_667_240, 38, 19_632_062_464, 143_667_240, 32),
    "resnet50": (25_636_712, 25_583_592, 320, 3_857_973_248, 25_557_032, 1),
    "resnet101": (44_707_176, 44_601_832, 626, 7_570_194_432, 44_549_160, 1),
    "resnet152": (60_419_944, 60_268_520, 932, 11_282_415_616, 60_192_808, 1),
    "densenet121": (8_072_744, 7_989_096, 726, 2_834_161_664, 7_978_856, 29),
    "densenet161": (28_921_384, 28_701_448, 966, 7_727_907_072, 28_681_000, 29),
    "densenet169": (14_322_088, 14_163_688, 1014, 3_359_843_328, 14_149_480, 29),
    "densenet201": (20_260_008, 20_030_952, 1206, 4_291_365_888, 20_013_928, 29),
}

# Growth rate 16: oneDNN's backward of concat crashes for some smaller ones.
SMALL: dict[str, Callable[[], ImageClassifier]] = {
    "alexnet": lambda: AlexNet(5),
    "vgg": lambda: VGG([1, 2], [4, 8], 5),
    "resnet": lambda: ResNet([1, 2], [16, 32], 5, stem=16),
    "resnet_without_bias": lambda: ResNet([2], [32], 5, stem=16, conv_bias=False),
    "densenet": lambda: DenseNet(16, 16, [2, 1], 0.5, 2, 5),
    "densenet_without_bias": lambda: DenseNet(16, 16, [1], 0.5, 2, 5, conv_bias=False),
}
SMALLEST = dict(zip(SMALL, (63, 4, 1, 1, 5, 1), strict=True))


def initialized(name: str) -> ImageClassifier:
    """Return a small network with weights that keep the signal's scale."""
    mx.random.seed(20)
    net = SMALL[name]()
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    return net


def images(size: int, *, channels: int = 3, batch_size: int = 2) -> Any:
    """Return images (batch_size, channels, size, size) of random values in [0, 1)."""
    return mx.nd.array(np.random.default_rng(20).random((batch_size, channels, size, size), dtype=np.float32))


def test_names_are_the_specified_ones_in_order() -> None:
    """The networks are the specified twelve, each also a function of the package."""
    assert list(SIZES) == list_models()
    assert set(SIZES) <= set(reference.__all__)
    assert all(callable(getattr(reference, name)) for name in reference.__all__)


@pytest.mark.parametrize("name", SIZES)
def test_network_has_its_specified_size(name: str) -> None:
    """Parameters, arrays and multiply-adds at 3x224x224 are the specified ones."""
    summary = summarize(get_model(name), (1, 3, 224, 224))

    arrays = len(summary.parameter_shapes)
    assert SIZES[name][:4] == (summary.parameters, summary.trainable, arrays, summary.multiply_adds)


@pytest.mark.parametrize("name", SIZES)
def test_network_without_biases_has_its_published_size(name: str) -> None:
    """Without biases beside BatchNorm the trainable parameters are as many as torchvision's."""
    options = {"conv_bias": False} if name.startswith(("resnet", "densenet")) else {}
    summary = summarize(get_model(name, **options), (1, 3, 224, 224))

    assert SIZES[name][4] == summary.trainable


@pytest.mark.parametrize("name", SIZES)
def test_smallest_input_is_where_mxnet_begins(name: str) -> None:
    """MXNet infers an output at the smallest input, and refuses one pixel less."""
    net = get_model(name)
    smallest = SIZES[name][5]

    assert smallest == net.smallest_input
    logits = net(mx.sym.var("data"))
    assert [(1, 1000)] == logits.infer_shape(data=(1, 3, smallest, smallest))[1]
    if smallest > 1:
        with pytest.raises(mx.MXNetError, match="kernel size"):
            logits.infer_shape(data=(1, 3, smallest - 1, smallest))


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], 1),
        ([Window(3)], 3),
        ([Window(3, padding=1)], 1),
        ([Window(2, 2)] * 6, 64),
        ([Window(5, 1, 4)], 1),
    ],
)
def test_smallest_size_inverts_the_windows(windows: list[Window], expected: int) -> None:
    """The smallest size is computed from kernel, stride and padding of every window."""
    assert expected == smallest_size(windows)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", SMALL)
def test_modes_agree_on_any_number_of_channels(name: str, channels: int, capfd: pytest.CaptureFixture[str]) -> None:
    """The hybridized network gives the imperative numbers, bit for bit, and neither run prints."""
    net = initialized(name)
    batch = images(SMALLEST[name] + 1, channels=channels)

    expected = net(batch).asnumpy()
    assert net._cached_op is None
    net.hybridize()
    actual = net(batch).asnumpy()

    assert net._cached_op is not None
    assert (2, 5) == expected.shape
    assert expected.std() > 0
    np.testing.assert_array_equal(actual, expected)
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("hybridize", [False, True], ids=["imperative", "hybridized"])
@pytest.mark.parametrize("name", SMALL)
def test_images_it_cannot_take_are_refused(name: str, hybridize: bool) -> None:
    """Images that are too small or not 4-D raise a ValueError that names the smallest size, in every mode."""
    net = initialized(name)
    smallest = SMALLEST[name]
    if hybridize:
        net.hybridize()
    assert (1, 5) == net(images(smallest, batch_size=1)).shape

    shapes = [(1, 3, smallest), (1, 1, 3, smallest, smallest)]
    shapes += [(1, 3, smallest - 1, smallest), (1, 3, smallest, smallest - 1)] if smallest > 1 else []
    for shape in shapes:
        with pytest.raises(ValueError, match=rf"H and W at least {smallest}, not \(1, "):
            net(mx.nd.zeros(shape))


@pytest.mark.parametrize("name", SMALL)
def test_export_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    """An exported network, imported again, gives the same logits bit for bit."""
    net = initialized(name)
    net.hybridize()
    batch = images(SMALLEST[name])
    expected = net(batch).asnumpy()

    net.export(str(tmp_path / "net"))
    imported = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")
    )

    np.testing.assert_array_equal(imported(batch).asnumpy(), expected)


@pytest.mark.parametrize("name", SMALL)
def test_summary_and_repr_show_the_layers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Gluon's own summary and print work, and ours counts what Gluon's counts."""
    net = initialized(name)
    batch = images(SMALLEST[name])
    ours = summarize(net, batch.shape)
    net.summary(batch)

    assert f"Total params: {ours.parameters}\n" in capsys.readouterr().out
    assert "Conv2D(" in repr(net)
    stored = {key: parameter.shape for key, parameter in net._collect_params_with_prefix().items()}
    assert stored == ours.parameter_shapes


@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_sizes_with_equal_features_share_weights(name: str) -> None:
    """240 pixels need the weights of 224 pixels, 256 pixels need others."""
    at_224, at_240, at_256 = (
        summarize(get_model(name), (1, 3, size, size)).parameter_shapes for size in (224, 240, 256)
    )

    assert at_224 == at_240
    assert at_224 != at_256


def test_summarize_refuses_a_size_that_does_not_fit_the_weights(capfd: pytest.CaptureFixture[str]) -> None:
    """A network with weights for one image size is not summarized at another, and nothing is printed."""
    net = initialized("vgg")
    net(images(8))

    with pytest.raises(ValueError, match=r"input_shape=\(1, 3, 16, 16\): the network cannot take it: "):
        summarize(net, (1, 3, 16, 16))
    assert ("", "") == capfd.readouterr()


def test_prefix_and_params_share_weights() -> None:
    """Two networks of one prefix share the parameters handed from one to the other."""
    first = ResNet([1], [8], 5, stem=4, prefix="net_")
    second = ResNet([1], [8], 5, stem=4, prefix="net_", params=first.collect_params())

    assert all(first.collect_params()[key] is value for key, value in second.collect_params().items())
    assert all(key.startswith("net_") for key in second.collect_params())
