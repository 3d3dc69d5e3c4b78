"""Faults of layers: attributes of convolutions, poolings, activations, dropout, BatchNorm and dense layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from corpus import Fault, faults
from flaws import after, attribute, identity, setting, swap
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn
conv = partial(partial, nn.Conv2D)
norm = partial(partial, nn.BatchNorm)


def dropout(**settings: Any) -> Any:
    """Return what builds a dropout of other settings."""
    return partial(nn.HybridLambda, lambda F, x: F.Dropout(x, **settings))


CONVOLUTION = faults(
    "layer",
    (
        ("kernel 5 for 7", "resnet", "features.0", swap("features.0", conv(16, 5, strides=2, padding=2))),
        ("kernel 1 for 3", "vgg", "features.2", swap("features.2", conv(32, 1, activation="relu"))),
        ("kernel 3 for 5", "thin-alexnet", "features.2",
         swap("features.2", conv(192, 3, padding=1, activation="relu"))),
        ("kernel 1 for 3", "densenet", "features.4.0.body.5", swap("features.4.0.body.5", conv(16, 1))),
        ("kernel 3 for 1", "densenet", "features.5.2", swap("features.5.2", conv(24, 3, padding=1))),
        ("kernel 3x1 for 3x3", "resnet", "features.5.1.body.3",
         swap("features.5.1.body.3", conv(16, (3, 1), padding=(1, 0)))),
        ("stride 1 for 2", "resnet", "features.0", setting("features.0", stride=(1, 1))),
        ("stride 1 for 2", "densenet", "features.0", setting("features.0", stride=(1, 1))),
        ("stride 3 for 4", "thin-alexnet", "features.0", setting("features.0", stride=(3, 3))),
        ("stride 2x1 for 2x2", "resnet", "features.0", setting("features.0", stride=(2, 1))),
        ("padding 2 for 3", "resnet", "features.0", setting("features.0", pad=(2, 2))),
        ("padding 2 for 3", "densenet", "features.0", setting("features.0", pad=(2, 2))),
        ("padding 0 for 1", "vgg", "features.3", setting("features.3", pad=(0, 0))),
        ("padding 1 for 2", "thin-alexnet", "features.2", setting("features.2", pad=(1, 1))),
        ("padding 2 for 1", "padded", "conv", setting("conv", pad=(2, 2))),
        ("dilation 2", "vgg", "features.2", setting("features.2", dilate=(2, 2), pad=(2, 2))),
        ("dilation 2", "resnet", "features.4.0.body.3", setting("features.4.0.body.3", dilate=(2, 2), pad=(2, 2))),
        ("dilation 2", "densenet", "features.6.1.body.5", setting("features.6.1.body.5", dilate=(2, 2), pad=(2, 2))),
        ("2 groups", "resnet", "features.4.1.body.3", swap("features.4.1.body.3", conv(8, 3, padding=1, groups=2))),
        ("2 groups", "vgg", "features.3",
         swap("features.3", conv(32, 3, padding=1, groups=2, activation="relu"))),
        ("4 groups", "densenet", "features.4.1.body.5", swap("features.4.1.body.5", conv(16, 3, padding=1, groups=4))),
        ("no bias", "resnet", "features.0", swap("features.0", conv(16, 7, strides=2, padding=3, use_bias=False))),
        ("no bias", "densenet", "features.5.2", swap("features.5.2", conv(24, 1, use_bias=False))),
        ("no bias", "thin-alexnet", "features.4",
         swap("features.4", conv(384, 3, padding=1, activation="relu", use_bias=False))),
        ("no bias", "padded", "left", swap("left", lambda: nn.Conv2D(16, 1, use_bias=False))),
    ),
)  # fmt: skip
POOLING = faults(
    "layer",
    (
        ("average for max", "resnet", "features.3", setting("features.3", pool_type="avg")),
        ("average for max", "vgg", "features.4", setting("features.4", pool_type="avg")),
        ("average for max", "thin-alexnet", "features.7", setting("features.7", pool_type="avg")),
        ("max for average", "densenet", "features.5.3", setting("features.5.3", pool_type="max")),
        ("sum for average", "densenet", "features.5.3", setting("features.5.3", pool_type="sum")),
        ("global max for average", "densenet", "features.9", setting("features.9", pool_type="max")),
        ("global max for average", "resnet", "features.6", setting("features.6", pool_type="max")),
        ("convention full", "resnet", "features.3", setting("features.3", pooling_convention="full")),
        ("convention full", "densenet", "features.5.3", setting("features.5.3", pooling_convention="full")),
        ("convention full", "thin-alexnet", "features.1", setting("features.1", pooling_convention="full")),
        ("count_include_pad", "padded", "pool", setting("pool", count_include_pad=False)),
        ("window 2 for 3", "thin-alexnet", "features.3", setting("features.3", kernel=(2, 2))),
        ("window 2 for 3", "resnet", "features.3", setting("features.3", kernel=(2, 2))),
        ("window 3 for 2", "densenet", "features.5.3", setting("features.5.3", kernel=(3, 3), pad=(1, 1))),
        ("pooling stride 1 for 2", "vgg", "features.1", setting("features.1", stride=(1, 1))),
        ("pooling stride 1 for 2", "densenet", "features.5.3", setting("features.5.3", stride=(1, 1))),
        ("padding 0 for 1", "resnet", "features.3", setting("features.3", pad=(0, 0))),
    ),
)  # fmt: skip
ACTIVATION = faults(
    "layer",
    (
        ("sigmoid for relu", "resnet", "features.2", attribute("features.2", "_act_type", "sigmoid")),
        ("tanh for relu", "densenet", "features.4.1.body.4", attribute("features.4.1.body.4", "_act_type", "tanh")),
        ("softrelu for relu", "vgg", "features.2.act", attribute("features.2.act", "_act_type", "softrelu")),
        ("softsign for relu", "thin-alexnet", "features.8.act", attribute("features.8.act", "_act_type", "softsign")),
        ("leaky relu", "resnet", "features.4.0.body.5", swap("features.4.0.body.5", lambda: nn.LeakyReLU(0.01))),
        ("elu for relu", "densenet", "features.8", swap("features.8", nn.ELU)),
        ("relu up to 6", "resnet", "features.5.0.body.2",
         swap("features.5.0.body.2", lambda: nn.HybridLambda(lambda F, x: F.clip(x, 0, 6)))),
        ("no relu", "resnet", "features.4.0.body.2", identity("features.4.0.body.2")),
        ("no relu in the stem", "resnet", "features.2", identity("features.2")),
        ("no relu", "vgg", "features.2.act", identity("features.2.act")),
        ("no relu in a dense layer", "thin-alexnet", "features.10.act", identity("features.10.act")),
        ("no relu", "densenet", "features.4.0.body.1", identity("features.4.0.body.1")),
        ("no relu in a transition", "densenet", "features.5.1", identity("features.5.1")),
        ("no last relu", "densenet", "features.8", identity("features.8")),
        ("output twice as large", "small", "conv", after("conv", lambda F, y: y * 2)),
        ("output of the wrong sign", "padded", "conv", after("conv", lambda F, y: -y)),
    ),
)  # fmt: skip
DROPOUT = faults(
    "layer",
    (
        ("dropout rate 0.4", "thin-alexnet", "features.9", attribute("features.9", "_rate", 0.4)),
        ("dropout rate 0.5 kept instead of dropped", "small", "dropout", attribute("dropout", "_rate", 0.499)),
        ("no dropout", "thin-alexnet", "features.9", attribute("features.9", "_rate", 0)),
        ("no second dropout", "vgg", "features.8", attribute("features.8", "_rate", 0)),
        ("dropout of whole rows", "vgg", "features.6", attribute("features.6", "_axes", (0,))),
        ("dropout of whole channels", "small", "dropout", attribute("dropout", "_axes", (2, 3))),
        ("dropout in predict mode too", "vgg", "features.6", swap("features.6", dropout(p=0.5, mode="always"))),
        ("dropout in predict mode too", "small", "dropout",
         swap("dropout", dropout(p=0.5, mode="always"))),
        ("dropout after the pooling", "thin-alexnet", "features.7",
         after("features.7", lambda F, y: F.Dropout(y, p=0.5))),
        ("dropout on the logits", "vgg", "output", after("output", lambda F, y: F.Dropout(y, p=0.5))),
    ),
)  # fmt: skip
NORM = faults(
    "layer",
    (
        ("epsilon 1e-3", "resnet", "features.1", setting("features.1", eps=1e-3)),
        ("epsilon 1.1e-5", "densenet", "features.4.0.body.0", setting("features.4.0.body.0", eps=1.1e-5)),
        ("epsilon 1e-6 in one block of many", "resnet", "features.5.1.body.4",
         setting("features.5.1.body.4", eps=1e-6)),
        ("momentum 0.99", "resnet", "features.4.0.body.1", setting("features.4.0.body.1", momentum=0.99)),
        ("momentum 0.1", "densenet", "features.7", setting("features.7", momentum=0.1)),
        ("no scale", "resnet", "features.4.1.body.7", swap("features.4.1.body.7", norm(scale=False))),
        ("no scale", "densenet", "features.5.0", swap("features.5.0", norm(scale=False))),
        ("no center", "resnet", "features.5.0.projection.1", swap("features.5.0.projection.1", norm(center=False))),
        ("global statistics", "resnet", "features.1", setting("features.1", use_global_stats=True)),
        ("global statistics", "small", "norm", setting("norm", use_global_stats=True)),
        ("global statistics in one block", "densenet", "features.6.0.body.3",
         setting("features.6.0.body.3", use_global_stats=True)),
        ("normalized over another axis", "small", "norm", swap("norm", lambda: nn.BatchNorm(axis=2))),
        ("gamma starts at 0", "resnet", "features.4.0.body.7",
         swap("features.4.0.body.7", norm(gamma_initializer="zeros"))),
        ("beta starts at 1", "densenet", "features.1", swap("features.1", norm(beta_initializer="ones"))),
        ("variance starts at 0", "resnet", "features.1",
         swap("features.1", norm(running_variance_initializer="zeros"))),
        ("no BatchNorm in the stem", "resnet", "features.1", identity("features.1")),
        ("no BatchNorm", "densenet", "features.4.0.body.3", identity("features.4.0.body.3")),
        ("no last BatchNorm", "densenet", "features.7", identity("features.7")),
        ("instance normalization", "small", "norm", swap("norm", lambda: nn.InstanceNorm())),
        ("layer normalization", "small", "norm", swap("norm", lambda: nn.LayerNorm(axis=1))),
    ),
)  # fmt: skip
DENSE = faults(
    "layer",
    (
        ("128 units for 256", "vgg", "features.7", swap("features.7", lambda: nn.Dense(128, activation="relu"))),
        ("no bias in a dense layer", "thin-alexnet", "features.8",
         swap("features.8", lambda: nn.Dense(256, "relu", use_bias=False))),
        ("no bias in the output", "resnet", "output", swap("output", lambda: nn.Dense(1000, use_bias=False))),
    ),
)  # fmt: skip
LAYERS: tuple[Fault, ...] = (*CONVOLUTION, *POOLING, *ACTIVATION, *DROPOUT, *NORM, *DENSE)
