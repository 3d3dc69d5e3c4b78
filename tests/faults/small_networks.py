"""The four families at their smallest: the reference classes with few layers, and their specifications.

A fault is a fault in the smallest network that has the layer; the same classes build the real ones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from conformance import Subject
from conformance.contract.specification import Specification, count
from flaws import Patch, Small, patched, swap
from reference import VGG, AlexNet, DenseNet, ResNet
from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn


class Padded(HybridBlock):
    """What the families lack: a padded average pooling, an LRN-free tail of two branches, and a scalar."""

    def __init__(self, **kwargs: Any) -> None:
        """Create the layers, with no weights yet."""
        super().__init__(**kwargs)
        with self.name_scope():
            self.conv = nn.Conv2D(16, 3, padding=1)
            self.pool = nn.AvgPool2D(3, strides=2, padding=1)
            self.left = nn.Conv2D(16, 1)
            self.right = nn.Conv2D(16, 3, padding=1, activation="relu")
            self.output = nn.Dense(5)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Convolve, pool, take the difference of two branches, average and classify."""
        x = self.pool(F.relu(self.conv(x)))
        return self.output(F.Pooling(self.left(x) - self.right(x), pool_type="avg", global_pool=True, kernel=(1, 1)))


def resnet(
    classes: int, stem: int = 16, layers: tuple[int, ...] = (2, 2), filters: tuple[int, ...] = (32, 64), **options: Any
) -> Any:
    """Return a ResNet of two stages; the one option is `conv_bias`."""
    return ResNet(layers, filters, classes, stem=stem, **options)


def densenet(classes: int, stem: int = 16, growth: int = 16, layers: tuple[int, ...] = (2, 2), **sizes: Any) -> Any:
    """Return a DenseNet of two dense blocks; sizes are `compression_rate` and `bn_size`."""
    return DenseNet(stem, growth, layers, classes=classes, **sizes)


def _thin(build: Any, *dense: str) -> Any:
    """AlexNet or VGG with hidden dense layers of 256 units: the families' 4096 would be most of the work."""

    def thin() -> Any:
        net = build(classes=10)
        for path in dense:
            swap(path, partial(nn.Dense, 256, activation="relu"))(net)
        return net

    return thin


def thin_vgg(layers: tuple[int, ...], filters: tuple[int, ...]) -> Any:
    """Return what builds a VGG with small dense layers."""
    first = sum(layers) + len(layers)
    return _thin(partial(VGG, layers, filters), f"features.{first}", f"features.{first + 2}")


BUILD: dict[str, Any] = {
    "thin-alexnet": _thin(AlexNet, "features.8", "features.10"),
    "vgg": thin_vgg((1, 2), (16, 32)),
    "resnet": resnet,
    "densenet": densenet,
    "small": Small,
    "padded": Padded,
}
_SIZES: dict[str, dict[str, Any]] = {
    "resnet": {"layers": (2, 2), "filters": (16, 32, 64), "smallest": 1, "train_size": 32, "other_size": 48},
    "densenet": {"layers": (2, 2), "stem": 16, "growth_rate": 16, "smallest": 5, "train_size": 32, "other_size": 48},
}


def _specification(family: str, sizes: dict[str, Any]) -> Specification:
    """The facts of a small network, its counts by the closed formula."""
    blank = {"total": 0, "trainable": 0, "arrays": 0, "multiply_adds": 0, "published": 0, "full_size": 64}
    spec = Specification(**{"family": family, "layers": (), **blank, **sizes})
    found, bare = count(spec), count(spec, conv_bias=False)
    facts = {key: getattr(found, key) for key in ("total", "trainable", "arrays", "multiply_adds")}
    return replace(spec, **facts, published=bare.trainable)


SPECIFICATION = {family: _specification(family, sizes) for family, sizes in _SIZES.items()}
#: Input of the blocks that have no specification, and of all networks as own blocks.
INPUT_SHAPE = {"thin-alexnet": (3, 79, 79)}


def claim(network: str, build: Any) -> Subject:
    """Return a claim to be a small network; `build` takes what that network's does."""
    if network in SPECIFICATION:
        return Subject(network, build=build, reference=BUILD[network], specification=SPECIFICATION[network])
    shape = INPUT_SHAPE.get(network, (3, 32, 32))
    return Subject(network, build=build, reference=BUILD[network], input_shape=shape)


def own(network: str, build: Any) -> Subject:
    """Return a small network as a block of one's own."""
    whole = partial(build, classes=10) if network in SPECIFICATION else build
    return Subject(network, build=whole, input_shape=INPUT_SHAPE.get(network, (3, 32, 32)))


def patched_build(network: str, patch: Patch) -> Any:
    """Return what builds a small network with one fault."""

    def build(**arguments: Any) -> Any:
        return patched(BUILD[network](**arguments), patch)

    return build
