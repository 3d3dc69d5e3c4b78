"""Deliberately wrong blocks, each made for the check that must catch it, with its repaired twin."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import Any

from conformance import Subject
from execution_flaws import (
    clearing,
    custom,
    frozen_moved,
    imperative,
    initialized,
    norm_twice,
    statistics_moved,
    through_half,
    traced,
)
from flaws import (
    Patch,
    Small,
    across_the_batch,
    after,
    attribute,
    counting_calls,
    forgetful,
    infinite_gradient,
    lenient,
    lossy_export,
    patched,
    seeded_by_nobody,
    setting,
    unused,
)
from reference.runtime.mxnet_compat import mx

GRAPHS = ("hybridized", "static_alloc", "static_shape", "imported")
INPUT_SHAPE = (3, 32, 32)
OTHER_WHEN_TRACED = traced(lambda F, y: y * 1.001)


@dataclass(frozen=True)
class Broken:
    """A broken block.

    Attributes:
        check: Id of the check that must fail.
        flaw: What is wrong, in a few words.
        subject: The broken block.
        says: What the failure must say.
        variants: The variants in which the check must fail.
    """

    check: str
    flaw: str
    subject: Subject
    says: str
    variants: tuple[str, ...] = ("",)


def crash(**_: Any) -> Any:
    """Return a block that ends its process when it runs."""
    return patched(Small(), after("output", lambda F, y: ctypes.string_at(0) if F is mx.nd else y))


def hang(**_: Any) -> Any:
    """Return a block that never answers when it runs."""
    return patched(Small(), after("output", lambda F, y: time.sleep(3600) if F is mx.nd else y))


def own(patch: Patch) -> Subject:
    """Return a small block of one's own with one flaw."""
    return Subject("small", build=lambda: patched(Small(), patch), input_shape=INPUT_SHAPE)


#: Check, variants, flaw, patch of a small block of one's own, what the failure says.
OWN: tuple[tuple[str, tuple[str, ...], str, Patch, str], ...] = (
    (
        "structure.snapshot",
        (),
        "epsilon",
        setting("norm", eps=1e-3),
        "first diverging layer: 1 | norm | BatchNorm",
    ),
    (
        "execution.same_operators",
        (),
        "another network when hybridized",
        after("", OTHER_WHEN_TRACED),
        "_mul_scalar",
    ),
    (
        "execution.same_operators",
        (),
        "another network when imperative",
        after("", imperative(lambda y: y * 1.001)),
        "_mul_scalar",
    ),
    (
        "execution.predict_mode",
        (*GRAPHS, "fused"),
        "another network when hybridized",
        after("", OTHER_WHEN_TRACED),
        "logits of run 1",
    ),
    (
        "execution.train_mode",
        GRAPHS,
        "another network when hybridized",
        after("", OTHER_WHEN_TRACED),
        "first diverging layer: node 7 _mul_scalar",
    ),
    ("execution.train_mode", ("hybridized",), "counting calls", after("", counting_calls), "step 1: logits"),
    (
        "behaviour.gradients_reach_every_parameter",
        (),
        "BlockGrad",
        after("pool", lambda F, y: F.BlockGrad(y)),
        "gradient of conv.weight: expected not zero, actual 0 everywhere",
    ),
    ("behaviour.gradients_reach_every_parameter", (), "unused parameter", unused, "gradient of extra.weight"),
    (
        "behaviour.gradients_reach_every_parameter",
        (),
        "gradient not finite",
        after("", infinite_gradient),
        "gradient of conv.weight: not finite",
    ),
    (
        "behaviour.parameters_move",
        (),
        "lr_mult",
        attribute("output.bias", "lr_mult", 0),
        "output.bias: unchanged after a training step",
    ),
    (
        "behaviour.parameters_move",
        (),
        "frozen, and moved",
        frozen_moved("conv"),
        "conv.weight: frozen, but changed by a training step",
    ),
    (
        "parameters.initialization",
        (),
        "starts as it likes",
        initialized("zeros"),
        "conv.weight: expected 0.25 everywhere, actual 0 to 0",
    ),
    (
        "behaviour.running_statistics",
        (),
        "BatchNorm called twice",
        norm_twice("norm"),
        "norm.running_mean after 1 backward",
    ),
    (
        "behaviour.running_statistics",
        (),
        "moves in predict mode",
        statistics_moved("norm", lambda: not mx.autograd.is_recording()),
        "running statistics of norm.running_mean moved in predict mode",
    ),
    (
        "behaviour.dropout",
        (),
        "active in predict mode",
        after("pool", lambda F, y: F.Dropout(y, p=0.5, mode="always")),
        "changes values in predict mode",
    ),
    (
        "behaviour.batch_independence",
        (),
        "mean of the batch",
        after("", across_the_batch),
        "logits of sample 0 alone",
    ),
    ("behaviour.reproducible", (), "unseeded noise", after("", seeded_by_nobody), "step 1: logits: differs"),
    ("behaviour.reproducible", (), "counting calls", after("", counting_calls), "step 1: loss: differs"),
    (
        "files.parameters_round_trip",
        (),
        "accepts any file",
        lenient,
        "another network were loaded without an error",
    ),
    (
        "files.parameters_round_trip",
        (),
        "loses statistics",
        forgetful,
        "norm.running_mean: not the saved values",
    ),
    ("files.export_round_trip", (), "rounds weights", lossy_export, "conv.weight: not the saved values"),
    ("files.export_after_cast", (), "rounds weights", lossy_export, "logits: expected"),
    (
        "numerics.float64",
        (),
        "half precision inside",
        after("conv", through_half),
        "node 1 Cast in conv: expected float64, actual float16",
    ),
    (
        "numerics.float64",
        (),
        "half precision when imperative",
        after("conv", imperative(lambda y: y.astype("float16").astype(y.dtype))),
        "float32 against float64: conv: expected",
    ),
    (
        "numerics.gradients_accumulate",
        (),
        "gradients cleared in forward",
        clearing,
        "gradient of output.weight after two backwards",
    ),
    (
        "numerics.derivative",
        (),
        "gradient doubled",
        after("conv", custom(2)),
        "nearest the loss: gradient of conv.weight",
    ),
)

OWN_BLOCKS: tuple[Broken, ...] = tuple(
    Broken(check, flaw, own(patch), says, variants or ("",)) for check, variants, flaw, patch, says in OWN
)
