"""Faults of execution: what is right in one mode, at one call, for one batch, and wrong in another."""

from __future__ import annotations

import numpy as np

from corpus import ITSELF, NOWHERE, Fault, faults
from execution_flaws import (
    Change,
    ScaledBackward,
    batch_mean,
    by_place_in_batch,
    clearing,
    custom,
    from_call,
    frozen,
    frozen_moved,
    imperative,
    noise,
    norm_twice,
    statistics_kept,
    statistics_moved,
    stop,
    through_half,
    times,
    traced,
    unseeded,
)
from flaws import after, forgetful, lenient, lossy_export
from reference.runtime.mxnet_compat import mx

R1, R5 = "features.4.1.body.3", "features.5.0.body.3"
D4, D6 = "features.4.0.body.2", "features.6.1.body.5"


def at(changes: tuple[tuple[str, str, str, Change], ...]) -> tuple[Fault, ...]:
    """Read rows whose change is made to a layer's output: what, network, path, change."""
    return faults("execution", ((what, network, path or ITSELF, after(path, c)) for what, network, path, c in changes))


MODES = at(
    (
        ("wrong when hybridized", "resnet", R1, traced(lambda F, y: y * 1.001)),
        ("wrong when hybridized", "densenet", D6, traced(lambda F, y: y + 0.001)),
        ("wrong when hybridized", "small", "", traced(lambda F, y: y * 1.001)),
        ("wrong when imperative", "resnet", R5, imperative(lambda y: y * 1.001)),
        ("wrong when imperative", "densenet", D4, imperative(lambda y: y * 1.001)),
        ("wrong in train mode", "resnet", R1, imperative(lambda y: y * 1.01 if mx.autograd.is_training() else y)),
        ("wrong in predict mode", "densenet", D4, imperative(lambda y: y if mx.autograd.is_training() else y * 1.01)),
        ("wrong while recording", "small", "conv", imperative(lambda y: y * 1.01 if mx.autograd.is_recording() else y)),
        ("wrong for a batch of one", "resnet", R1, imperative(lambda y: y * 1.01 if len(y) == 1 else y)),
        ("wrong for a batch of two", "densenet", D6, imperative(lambda y: y * 1.01 if len(y) == 2 else y)),
        ("wrong for large images", "resnet", "features.0", imperative(lambda y: y * 1.01 if y.shape[2] > 20 else y)),
        ("wrong for bright images", "resnet", "features.0",
         imperative(lambda y: y * 1.01 if float(y.abs().max().asscalar()) > 100 else y)),
        ("wrong for bright images", "small", "conv",
         imperative(lambda y: y * 1.01 if float(y.abs().max().asscalar()) > 100 else y)),
        ("wrong in float64", "resnet", R5, imperative(lambda y: y * 1.01 if y.dtype == np.float64 else y)),
        ("wrong in float64", "small", "conv", imperative(lambda y: y * 1.01 if y.dtype == np.float64 else y)),
        ("dropout when imperative only", "resnet", R1, imperative(lambda y: mx.nd.Dropout(y, p=0.1))),
        ("copied by way of NumPy", "densenet", D4, imperative(lambda y: mx.nd.array(y.asnumpy(), dtype=y.dtype))),
        ("detached", "resnet", R5, imperative(lambda y: y.detach())),
    ),
) + faults(
    "execution",
    (
        ("Python flag frozen in tracing", "resnet", R1, frozen(R1)),
        ("Python flag frozen in tracing", "small", "conv", frozen("conv")),
        ("wrong from the second call on", "densenet", D4, from_call(D4, 2)),
        ("wrong from the third call on", "resnet", R5, from_call(R5, 3)),
        ("wrong from the fourth call on", "small", "conv", from_call("conv", 4)),
    ),
)  # fmt: skip
BATCH = at(
    (
        ("mean of the batch taken away", "resnet", R1, batch_mean),
        ("mean of the batch taken away", "small", "conv", batch_mean),
        ("scaled by the place in the batch", "densenet", D4, by_place_in_batch),
        ("scaled by the place in the batch", "small", "conv", by_place_in_batch),
        ("batch in reverse", "resnet", "", lambda F, y: F.reverse(y, axis=0)),
        ("batch in reverse", "small", "", lambda F, y: F.reverse(y, axis=0)),
        ("largest of the batch", "padded", "conv", lambda F, y: F.broadcast_div(y, F.max(F.abs(y)) + 1)),
        ("neighbours mixed", "small", "pool", lambda F, y: 0.9 * y + 0.1 * F.reverse(y, axis=0)),
    )
)  # fmt: skip
PRECISION = at(
    (
        ("hidden half precision", "resnet", R1, through_half),
        ("hidden half precision", "small", "conv", through_half),
        ("hidden half precision", "padded", "left", through_half),
        ("half precision when imperative", "densenet", D4,
         imperative(lambda y: y.astype("float16").astype("float32"))),
        ("rounded to 3 digits", "resnet", R5, lambda F, y: F.round(y * 1000) / 1000),
        ("unseeded noise", "resnet", R1, imperative(unseeded)),
        ("unseeded noise", "small", "conv", imperative(unseeded)),
        ("noise", "densenet", D6, noise),
        ("noise", "small", "conv", noise),
    )
)  # fmt: skip
GRADIENT = at(
    (
        ("gradient blocked", "resnet", "features.4.1.body.0", stop),
        ("gradient blocked", "densenet", "features.6.0.body.2", stop),
        ("gradient blocked", "small", "conv", stop),
        ("gradient blocked for the first layer", "vgg", "features.0", stop),
        ("gradient doubled", "resnet", R1, times(2)),
        ("gradient doubled", "small", "conv", times(2)),
        ("gradient halved", "densenet", D4, times(0.5)),
        ("sign of a gradient flipped", "padded", "left", times(-1)),
        ("sign of a gradient flipped", "small", "conv", times(-1)),
        ("gradient doubled by an operator", "resnet", R5, custom(2)),
        ("gradient doubled by an operator", "small", "conv", custom(2)),
        ("gradient flipped by an operator", "padded", "right", custom(-1)),
        ("gradient 1 % off by an operator", "padded", "left", custom(1.01)),
        ("gradient doubled when imperative", "densenet", D6, imperative(lambda y: ScaledBackward()(y))),
        ("gradient doubled when imperative", "small", "conv", imperative(lambda y: ScaledBackward()(y))),
    )
)  # fmt: skip
STATISTICS = faults("execution", (("gradients cleared in forward", "small", NOWHERE, clearing),)) + faults(
    "execution",
    (
        ("statistics moved twice", "resnet", "features.1", norm_twice("features.1")),
        ("statistics moved twice", "small", "norm", norm_twice("norm")),
        ("statistics never moved", "resnet", "features.4.0.body.1", statistics_kept("features.4.0.body.1")),
        ("statistics never moved", "small", "norm", statistics_kept("norm")),
        ("statistics moved in predict mode", "densenet", "features.1",
         statistics_moved("features.1", lambda: not mx.autograd.is_recording())),
        ("statistics moved in predict mode", "small", "norm",
         statistics_moved("norm", lambda: not mx.autograd.is_training())),
        ("statistics moved by a forward", "small", "norm",
         statistics_moved("norm", lambda: bool(mx.autograd.is_recording()))),
        ("frozen weight moved in Python", "small", "conv", frozen_moved("conv")),
    ),
)  # fmt: skip
FILES = faults(
    "files",
    (
        ("any file is loaded", "small", NOWHERE, lenient),
        ("statistics lost in loading", "small", "norm", forgetful),
        ("weights rounded in exporting", "small", "conv", lossy_export),
    ),
)
EXECUTION: tuple[Fault, ...] = (*MODES, *BATCH, *PRECISION, *GRADIENT, *STATISTICS, *FILES)
