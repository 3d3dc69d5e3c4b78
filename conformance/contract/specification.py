"""What the 12 networks are, in numbers: the published facts, and closed formulas that reproduce them.

Nothing here imports MXNet or ``reference``: the formulas are a second, independent statement of each
architecture, so a mistake in the networks cannot hide in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ALEXNET_CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


@dataclass(frozen=True)
class Specification:
    """The facts of one network at 1000 classes and 3-channel images of ``full_size``.

    Attributes:
        family: alexnet, vgg, resnet or densenet.
        layers: Convolutions per group (VGG), blocks per stage (ResNet) or layers per dense block (DenseNet).
        filters: Channels per group (VGG), or of the first convolution and per stage (ResNet).
        stem, growth_rate: DenseNet's first convolution and growth rate.
        total, trainable: Parameter counts; total counts running statistics.
        arrays: Number of parameter arrays.
        multiply_adds: Of convolutions and dense layers, biases aside, for one image.
        published: Total trainable count without convolution biases, as torchvision publishes it.
        smallest: Smallest image side the network accepts, in pixels.
        train_size, other_size: Image sides for training steps and for the graph's reuse.
        full_size: Image side of the manifest, the counts and the predict runs.
    """

    family: str
    layers: tuple[int, ...]
    total: int
    trainable: int
    arrays: int
    multiply_adds: int
    published: int
    smallest: int
    train_size: int
    other_size: int
    filters: tuple[int, ...] = ()
    stem: int = 64
    growth_rate: int = 32
    full_size: int = 224


def _plain(
    layers: tuple[int, ...], total: int, arrays: int, macs: int, smallest: int, filters: tuple[int, ...] = ()
) -> Specification:
    """AlexNet without ``filters``, or a VGG: no BatchNorm, so every parameter is trained."""
    family = "vgg" if filters else "alexnet"
    return Specification(family, layers, total, total, arrays, macs, total, smallest, 224, 240, filters)


def _resnet_of(
    layers: tuple[int, ...], total: int, trainable: int, arrays: int, macs: int, published: int
) -> Specification:
    filters = (64, 256, 512, 1024, 2048)
    return Specification("resnet", layers, total, trainable, arrays, macs, published, 1, 64, 96, filters)


def _densenet_of(
    layers: tuple[int, ...],
    total: int,
    trainable: int,
    arrays: int,
    macs: int,
    published: int,
    stem: int = 64,
    growth_rate: int = 32,
) -> Specification:
    return Specification(
        "densenet", layers, total, trainable, arrays, macs, published, 29, 64, 96, (), stem, growth_rate
    )


VGG_FILTERS = (64, 128, 256, 512, 512)
#: Sources: AlexNet arXiv:1404.5997, VGG arXiv:1409.1556, ResNet arXiv:1512.03385, DenseNet arXiv:1608.06993;
#: counts measured on a transcription in MXNet 1.9.1, published counts from torchvision.
SPECIFICATIONS: dict[str, Specification] = {
    "alexnet": _plain((), 61_100_840, 16, 714_188_480, 63),
    "vgg11": _plain((1, 1, 2, 2, 2), 132_863_336, 22, 7_609_090_048, 32, VGG_FILTERS),
    "vgg13": _plain((2, 2, 2, 2, 2), 133_047_848, 26, 11_308_466_176, 32, VGG_FILTERS),
    "vgg16": _plain((2, 2, 3, 3, 3), 138_357_544, 32, 15_470_264_320, 32, VGG_FILTERS),
    "vgg19": _plain((2, 2, 4, 4, 4), 143_667_240, 38, 19_632_062_464, 32, VGG_FILTERS),
    "resnet50": _resnet_of((3, 4, 6, 3), 25_636_712, 25_583_592, 320, 3_857_973_248, 25_557_032),
    "resnet101": _resnet_of((3, 4, 23, 3), 44_707_176, 44_601_832, 626, 7_570_194_432, 44_549_160),
    "resnet152": _resnet_of((3, 8, 36, 3), 60_419_944, 60_268_520, 932, 11_282_415_616, 60_192_808),
    "densenet121": _densenet_of((6, 12, 24, 16), 8_072_744, 7_989_096, 726, 2_834_161_664, 7_978_856),
    "densenet161": _densenet_of((6, 12, 36, 24), 28_921_384, 28_701_448, 966, 7_727_907_072, 28_681_000, 96, 48),
    "densenet169": _densenet_of((6, 12, 32, 32), 14_322_088, 14_163_688, 1014, 3_359_843_328, 14_149_480),
    "densenet201": _densenet_of((6, 12, 48, 32), 20_260_008, 20_030_952, 1206, 4_291_365_888, 20_013_928),
}
#: The smallest network of each family stands for it where a check is about the family (short convergence).
REPRESENTATIVES = ("alexnet", "vgg11", "resnet50", "densenet121")


@dataclass(frozen=True)
class Layer:
    """One weighted layer of a formula: its weight count, bias count, running statistics and multiply-adds."""

    kind: str
    weights: int
    biases: int
    statistics: int = 0
    multiply_adds: int = 0


@dataclass(frozen=True)
class Count:
    """Totals of a formula."""

    total: int
    trainable: int
    arrays: int
    multiply_adds: int


def output_size(size: int, kernel: int, stride: int = 1, pad: int = 0) -> int:
    """Side of a convolution's or pooling's output: ``floor((n - k + 2p) / s) + 1``."""
    return (size - kernel + 2 * pad) // stride + 1


def _convolution(channels: int, inputs: int, kernel: int, size: int) -> Layer:
    """A convolution whose output is ``size`` pixels wide and high."""
    weights = channels * inputs * kernel**2
    return Layer("convolution", weights, channels, 0, weights * size**2)


def _norm(channels: int) -> Layer:
    return Layer("norm", channels, channels, 2 * channels)


def _dense(units: int, inputs: int) -> Layer:
    return Layer("dense", units * inputs, units, 0, units * inputs)


def _head(features: int, classes: int) -> Iterator[Layer]:
    """The two hidden dense layers of AlexNet and VGG, and the output."""
    yield _dense(4096, features)
    yield _dense(4096, 4096)
    yield _dense(classes, 4096)


def _alexnet(spec: Specification, channels: int, size: int, classes: int) -> Iterator[Layer]:
    for filters, kernel, stride, pad, pooled in ALEXNET_CONVOLUTIONS:
        size = output_size(size, kernel, stride, pad)
        yield _convolution(filters, channels, kernel, size)
        channels, size = filters, output_size(size, 3, 2) if pooled else size
    yield from _head(channels * size**2, classes)


def _vgg(spec: Specification, channels: int, size: int, classes: int) -> Iterator[Layer]:
    for repeats, filters in zip(spec.layers, spec.filters, strict=True):
        for _ in range(repeats):
            yield _convolution(filters, channels, 3, size)
            channels = filters
        size //= 2
    yield from _head(channels * size**2, classes)


def _stem(filters: int, channels: int, size: int) -> Iterator[Layer]:
    yield _convolution(filters, channels, 7, output_size(size, 7, 2, 3))
    yield _norm(filters)


def _stem_size(size: int) -> int:
    return output_size(output_size(size, 7, 2, 3), 3, 2, 1)


def _resnet(spec: Specification, channels: int, size: int, classes: int) -> Iterator[Layer]:
    stem, *stages = spec.filters
    yield from _stem(stem, channels, size)
    channels, size = stem, _stem_size(size)
    for stage, (blocks, filters) in enumerate(zip(spec.layers, stages, strict=True)):
        size = output_size(size, 1, 1 if stage == 0 else 2)
        for block in range(blocks):
            inner = filters // 4
            for outputs, inputs, kernel in ((inner, channels, 1), (inner, inner, 3), (filters, inner, 1)):
                yield _convolution(outputs, inputs, kernel, size)
                yield _norm(outputs)
            if block == 0:
                yield _convolution(filters, channels, 1, size)
                yield _norm(filters)
            channels = filters
    yield _dense(classes, channels)


def _densenet(spec: Specification, channels: int, size: int, classes: int) -> Iterator[Layer]:
    yield from _stem(spec.stem, channels, size)
    channels, size, inner = spec.stem, _stem_size(size), 4 * spec.growth_rate
    for block, layers in enumerate(spec.layers):
        for _ in range(layers):
            yield _norm(channels)
            yield _convolution(inner, channels, 1, size)
            yield _norm(inner)
            yield _convolution(spec.growth_rate, inner, 3, size)
            channels += spec.growth_rate
        yield _norm(channels)
        if block < len(spec.layers) - 1:
            yield _convolution(channels // 2, channels, 1, size)
            channels, size = channels // 2, size // 2
    yield _dense(classes, channels)


FORMULAS = {"alexnet": _alexnet, "vgg": _vgg, "resnet": _resnet, "densenet": _densenet}


def count(
    spec: Specification, *, classes: int = 1000, channels: int = 3, size: int = 0, conv_bias: bool = True
) -> Count:
    """Count a network's parameters and multiply-adds from its specification alone.

    Args:
        spec: What the network is.
        classes: Number of logits.
        channels: Channels of the image.
        size: Side of the image in pixels; 0: the specification's full size.
        conv_bias: Whether convolutions have a bias (in ResNet and DenseNet).

    Returns:
        Totals over all layers.
    """
    layers = list(FORMULAS[spec.family](spec, channels, size or spec.full_size, classes))
    biases = sum(layer.biases for layer in layers if conv_bias or layer.kind != "convolution")
    unbiased = sum(not conv_bias and layer.kind == "convolution" for layer in layers)
    trainable = sum(layer.weights for layer in layers) + biases
    return Count(
        total=trainable + sum(layer.statistics for layer in layers),
        trainable=trainable,
        arrays=2 * len(layers) + 2 * sum(layer.kind == "norm" for layer in layers) - unbiased,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )
