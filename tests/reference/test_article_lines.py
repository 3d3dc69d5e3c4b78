"""The lines in which the article builds its four networks, looks at them and calls them, in our own words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
import pytest

from reference import VGG, AlexNet, DenseNet, ResNet, get_model
from reference.networks.classifier import ImageClassifier
from reference.networks.summary import summarize
from reference.runtime.mxnet_compat import mx

# The network that a class builds without arguments, with its parameters for colour images, running statistics included.
WITHOUT_ARGUMENTS: dict[str, tuple[Callable[[], ImageClassifier], int]] = {
    "alexnet": (AlexNet, 61_100_840),
    "vgg16": (VGG, 138_357_544),
    "resnet50": (ResNet, 25_636_712),
    "densenet121": (DenseNet, 8_072_744),
}
# The networks for the ten classes of the article's data, with their parameters for grey images.
TEN_CLASSES: dict[str, tuple[Callable[[], ImageClassifier], int]] = {
    "alexnet": (lambda: AlexNet(classes=10), 57_029_322),
    "vgg": (lambda: VGG([2, 2, 3, 3, 3], [64, 128, 256, 512, 512], classes=10), 134_300_362),
    "resnet": (lambda: ResNet([3, 4, 6, 3], [256, 512, 1024, 2048], classes=10), 23_601_930),
    "densenet": (lambda: DenseNet(64, 32, [6, 12, 24, 16], 0.5, 4, classes=10), 7_051_722),
}


@dataclass(frozen=True)
class Session:
    """What the article's lines gave for one network.

    Attributes:
        name: Key of `TEN_CLASSES`.
        printed: What `print(net)` wrote.
        summary: What `net.summary(x)` wrote.
        logits: Of one grey image.
        hybridized: The same after `net.hybridize()`.
    """

    name: str
    printed: str
    summary: str
    logits: Any
    hybridized: Any


@pytest.fixture(scope="module", params=TEN_CLASSES)
def session(request: pytest.FixtureRequest) -> Session:
    """Run the article's lines for one network."""
    build, _ = TEN_CLASSES[request.param]
    mx.random.seed(3)
    net = build()
    net.initialize(init=mx.init.Normal(sigma=0.01))
    x = mx.nd.random.uniform(shape=(1, 1, 224, 224))
    printed, summary = StringIO(), StringIO()
    with redirect_stdout(printed):
        print(net)
    with redirect_stdout(summary):
        net.summary(x)
    logits = net(x).asnumpy()
    net.hybridize()
    return Session(request.param, printed.getvalue(), summary.getvalue(), logits, net(x).asnumpy())


@pytest.mark.parametrize("name", WITHOUT_ARGUMENTS)
def test_class_without_arguments_is_the_article_network(name: str) -> None:
    """`AlexNet()`, `VGG()`, `ResNet()` and `DenseNet()` are alexnet, vgg16, resnet50 and densenet121."""
    build, parameters = WITHOUT_ARGUMENTS[name]
    found = summarize(build(), (1, 3, 224, 224))

    assert parameters == found.parameters
    assert summarize(get_model(name), (1, 3, 224, 224)) == found


def test_resnet_stem_is_an_argument_of_its_own() -> None:
    """A ResNet's first convolution has 64 channels, or as many as `stem` says, whatever the stages have."""
    shapes = [summarize(net, (1, 3, 64, 64)).parameter_shapes for net in (ResNet([1], [8]), ResNet([1], [8], stem=16))]

    assert [(64, 3, 7, 7), (16, 3, 7, 7)] == [each["features.0.weight"] for each in shapes]
    assert [(8, 64, 1, 1), (8, 16, 1, 1)] == [each["features.4.0.projection.0.weight"] for each in shapes]


def test_grey_image_gives_ten_finite_logits(session: Session) -> None:
    """With weights of Normal(0.01), one grey image of 224x224 pixels gives ten numbers, not all the same."""
    assert (1, 10) == session.logits.shape
    assert np.isfinite(session.logits).all()
    assert len(np.unique(session.logits)) > 1


def test_hybridize_keeps_every_bit_of_the_logits(session: Session) -> None:
    """The cached graph gives the same logits bit for bit."""
    np.testing.assert_array_equal(session.hybridized, session.logits)


def test_print_shows_the_layers(session: Session) -> None:
    """`print(net)` names the class, its convolutions and the dense layer of ten logits."""
    kind = type(TEN_CLASSES[session.name][0]()).__name__

    assert session.printed.startswith(f"{kind}(\n")
    assert "Conv2D(" in session.printed
    assert "Dense(None -> 10, linear)" in session.printed


def test_summary_counts_the_parameters(session: Session) -> None:
    """`net.summary(x)`, before `hybridize()`, counts the parameters of the network for grey images."""
    assert f"Total params: {TEN_CLASSES[session.name][1]}\n" in session.summary
