"""Weights come from torchvision's layout and go to Gluon and back, or are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import published
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import RequestError
from conformance.ports.torch.networks import NETWORKS, VGG, AlexNet, DenseNet, ResNet, build
from conformance.ports.torch.weights import from_gluon, from_torchvision, load_torchvision, to_gluon
from reference import DenseNet as GluonDenseNet
from reference import ResNet as GluonResNet
from reference.runtime.mxnet_compat import mx

BLOCKS, FILTERS = (1, 2), (16, 32, 64)
DEPTHS = (2, 3)
resnet = partial(ResNet, BLOCKS, FILTERS, 10, conv_bias=False)
gluon_resnet = partial(GluonResNet, BLOCKS, FILTERS[1:], 10, stem=FILTERS[0], conv_bias=False)
densenet = partial(DenseNet, 16, 16, DEPTHS, 10, conv_bias=False)
FAMILIES: dict[str, Callable[..., nn.Module]] = {"resnet": resnet, "densenet": densenet}
alexnet = partial(AlexNet, 10, image_size=95, units=32)


def entries(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return a state dict in torchvision's layout that fits a network of ours."""
    old = {"classifier.0": "classifier.1", "classifier.3": "classifier.4"} if isinstance(network, AlexNet) else {}
    shapes = {}
    for ours, value in network.state_dict().items():
        layer, _, slot = ours.rpartition(".")
        shapes[f"{old.get(layer, layer)}.{slot}"] = tuple(value.shape)
    return published.filled({key: shape for key, shape in shapes.items() if "num_batches" not in key})


def images(side: int = 64) -> torch.Tensor:
    """Return two random images (2, 3, side, side) in float64."""
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize(
    ("network", "meaning", "side"),
    [
        (alexnet, published.alexnet, 95),
        (partial(resnet, stride_on="3x3"), partial(published.resnet, blocks=BLOCKS), 64),
        (densenet, partial(published.densenet, depths=DEPTHS), 64),
    ],
)
def test_published_weights_keep_their_meaning(
    network: Callable[[], nn.Module], meaning: Callable[..., torch.Tensor], side: int
) -> None:
    """A network with weights in torchvision's layout computes what torchvision's network computes with them."""
    net = network().double().eval()
    state = entries(net)
    expected = meaning(state, images(side))
    actual = load_torchvision(net, state)(images(side))

    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


def test_stride_on_the_other_convolution_is_another_network() -> None:
    """Weights that torchvision trained do not fit the ResNet of the specification: its logits differ."""
    net = resnet(stride_on="1x1").double().eval()
    state = entries(net)
    expected = published.resnet(state, images(), BLOCKS)
    actual = load_torchvision(net, state)(images())

    assert float((expected - actual).detach().abs().max()) > 1e-3 * float(expected.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_layout_has_the_published_number_of_parameters(name: str) -> None:
    """Without convolution biases, each network has as many trainable parameters as torchvision publishes."""
    has_choice = name.startswith(("resnet", "densenet"))
    with torch.device("meta"):
        net = build(name, **{"conv_bias": False} if has_choice else {})

    assert SPECIFICATIONS[name].published == sum(parameter.numel() for parameter in net.parameters())


def test_documented_names_are_those_of_the_layout() -> None:
    """Entries have the names that torchvision documents."""
    names = {
        "resnet50": (
            "conv1.weight",
            "bn1.running_var",
            "layer1.0.conv1.weight",
            "layer4.0.downsample.1.bias",
            "fc.bias",
        ),
        "densenet121": ("features.denseblock1.denselayer1.norm1.weight", "features.transition1.norm.running_mean"),
        "vgg16": ("features.0.weight", "features.28.bias", "classifier.0.weight", "classifier.3.bias"),
        "alexnet": ("features.10.weight", "classifier.6.weight"),
    }
    with torch.device("meta"):
        for name, wanted in names.items():
            assert not set(wanted) - set(build(name).state_dict())


def test_classes_are_those_of_the_weights() -> None:
    """The number of classes is read from the last layer, and counters and old spellings are understood."""
    with torch.device("meta"):
        shapes = {
            key: tuple(value.shape)
            for key, value in build("densenet121", classes=7, conv_bias=False).state_dict().items()
        }
    state = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): torch.ones(shape)
        for key, shape in shapes.items()
    }

    assert 7 == from_torchvision("densenet121", state).classifier.out_features


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.weight": None}, "resnet in torchvision's layout: entry 'fc.weight' is missing"),
        ({"fc.scale": torch.ones(1)}, "resnet in torchvision's layout: entry 'fc.scale' is unexpected"),
        (
            {"conv1.weight": torch.ones(16, 1, 7, 7)},
            r"layout: entry 'conv1.weight': expected shape \(16, 3, 7, 7\), actual \(16, 1, 7, 7\)",
        ),
        ({"conv1.weight": "text"}, r"entry 'conv1.weight': expected shape \(16, 3, 7, 7\), actual str"),
        ({"conv1.bias": torch.ones(16)}, "entry 'conv1.bias' is unexpected"),
    ],
)
def test_wrong_entries_are_named(change: dict[str, torch.Tensor | None], message: str) -> None:
    """A missing, unexpected or misshaped entry is refused by name, and nothing else is said."""
    net = resnet()
    state = {key: value for key, value in {**entries(net), **change}.items() if value is not None}

    with pytest.raises(ValueError, match=message) as refused:
        load_torchvision(net, state, "resnet")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "stride_on", "message"),
    [
        ("resnet50", None, "stride_on=None: for resnet50 say '3x3'"),
        ("resnet50", "2x2", "stride_on='2x2': for resnet50 say '3x3'"),
        ("vgg11", "3x3", "stride_on='3x3': vgg11 has no choice"),
        ("alexnet", None, "entry 'features.0.weight' is missing"),
        ("alexnext", None, "name='alexnext': allowed are alexnet, vgg11"),
    ],
)
def test_request_that_cannot_be_met_is_refused(name: str, stride_on: str | None, message: str) -> None:
    """Weights do not tell where a ResNet's stride is, so that must be said, for ResNets only; names must be known."""
    with pytest.raises(ValueError, match=message):
        from_torchvision(name, {}, stride_on=stride_on)


def test_vgg_with_batch_norm_is_refused() -> None:
    """A network that the specification does not have is refused by its first unexpected entry."""
    net = VGG((1,), (8,), 10, image_size=32, units=16)
    state = {**entries(net), "features.1.running_mean": torch.ones(8)}

    with pytest.raises(ValueError, match=r"entry 'features.1.running_mean' is unexpected"):
        load_torchvision(net, state)


@pytest.mark.parametrize("family", ["resnet", "densenet"])
def test_weights_go_to_gluon_and_back(family: str) -> None:
    """Published weights reach a Gluon network, which then computes the same, and come back bit for bit."""
    module = FAMILIES[family]().eval()
    load_torchvision(module, entries(module))
    net = gluon_resnet() if family == "resnet" else GluonDenseNet(16, 16, DEPTHS, classes=10, conv_bias=False)
    to_gluon(module, net, (3, 64, 64))
    batch = images().float()
    expected = module(batch).detach().numpy()
    actual = net(mx.nd.array(batch.numpy())).asnumpy()
    other = FAMILIES[family]()
    from_gluon(net, other, (3, 64, 64))

    assert np.abs(expected - actual).max() < 1e-5 * np.abs(expected).max()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in module.state_dict().items())


def test_another_network_gets_no_weights() -> None:
    """A ResNet with torchvision's stride is refused by name where the Gluon network is the specification's."""
    with pytest.raises(RequestError, match=r"as the networks differ: node .* Convolution in layer2.0.conv1"):
        to_gluon(resnet(stride_on="3x3"), gluon_resnet(), (3, 64, 64))
