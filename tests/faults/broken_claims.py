"""Deliberately wrong claims to be a reference network, each made for the check that must catch it."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from broken_blocks import OWN_BLOCKS, Broken, own
from conformance import Subject
from flaws import (
    Patch,
    after,
    attribute,
    input_before_new_features,
    knows_the_answers,
    patched,
    setting,
    shared,
    stride_on_the_other_convolution,
    swap,
    unused,
)
from loop_faults import LOOP_FAULTS
from reference import get_model
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn


def claim(name: str, patch: Patch) -> Subject:
    """Return a claim to be a reference network, with one flaw."""
    return Subject(name, build=lambda classes: patched(get_model(name, classes=classes), patch))


def right(subject: Subject) -> Subject:
    """Return the same without the flaw."""
    return (own if subject.kind == "own" else lambda patch: claim(subject.name, patch))(lambda net: None)


def ignoring_classes() -> Subject:
    """Claim ResNet-50 with a fixed number of logits."""
    return Subject("resnet50", build=lambda classes: get_model("resnet50", classes=1000))


def without_biases() -> Subject:
    """Claim ResNet-50 without the biases of its convolutions."""
    return Subject("resnet50", build=lambda classes: get_model("resnet50", classes=classes, conv_bias=False))


def other_at_every_build() -> Subject:
    """Claim ResNet-50 with another epsilon in every instance but the first."""
    instances = itertools.count()

    def build(classes: int) -> Any:
        return patched(get_model("resnet50", classes=classes), setting("features.1", eps=1e-5 + next(instances)))

    return Subject("resnet50", build=build)


SHARED = shared("features.4.2.body.0", "features.4.1.body.0", partial(nn.Conv2D, 64, 1))
#: Check, claimed network, flaw, patch, what the failure says.
CLAIMS: tuple[tuple[str, str, str, Patch, str], ...] = (
    (
        "structure.graph",
        "resnet50",
        "stride on the 3x3",
        stride_on_the_other_convolution,
        "features.5.0.body.0: stride expected (2, 2), actual (1, 1)",
    ),
    (
        "structure.graph",
        "resnet50",
        "epsilon",
        setting("features.1", eps=1.1e-5),
        "node 1 BatchNorm in features.1: eps expected 1e-05, actual 1.1e-05",
    ),
    (
        "structure.graph",
        "densenet121",
        "order of concat",
        input_before_new_features,
        "node 17 Concat in features.4.1",
    ),
    (
        "structure.graph",
        "alexnet",
        "another kernel",
        swap("features.2", lambda: nn.Conv2D(192, 3, padding=1, activation="relu")),
        "kernel expected (5, 5), actual (3, 3)",
    ),
    (
        "structure.graph",
        "vgg11",
        "another padding",
        setting("features.0", pad=(0, 0)),
        "pad expected (1, 1), actual (0, 0)",
    ),
    (
        "structure.graph",
        "resnet50",
        "missing relu",
        lambda net: setattr(net.features[2], "hybrid_forward", lambda F, x: x),
        "features.2",
    ),
    (
        "structure.graph",
        "resnet50",
        "pooling type",
        setting("features.3", pool_type="avg"),
        "pool_type expected 'max', actual 'avg'",
    ),
    (
        "structure.graph",
        "alexnet",
        "dropout rate",
        attribute("features.9", "_rate", 0.4),
        "p expected 0.5, actual 0.4",
    ),
    ("structure.graph", "resnet50", "shared parameter", SHARED, "which the reference keeps apart"),
    (
        "structure.graph",
        "densenet121",
        "unused parameter",
        unused,
        "parameter 'extra.weight' is not in the reference",
    ),
    ("structure.graph", "vgg11", "BlockGrad", after("features.3", lambda F, y: F.BlockGrad(y)), "BlockGrad"),
    ("structure.graph", "alexnet", "softmax inside", after("", lambda F, y: F.softmax(y)), "softmax"),
    (
        "structure.parameter_settings",
        "resnet50",
        "lr_mult",
        attribute("output.bias", "lr_mult", 2),
        "output.bias: expected lr_mult 1.0, actual 2",
    ),
    (
        "structure.parameter_settings",
        "densenet121",
        "frozen",
        attribute("output.weight", "grad_req", "null"),
        "output.weight: expected grad_req 'write', actual 'null'",
    ),
    (
        "structure.parameter_settings",
        "vgg11",
        "initializer",
        attribute("output.bias", "init", "ones"),
        "output.bias: expected init",
    ),
    (
        "parameters.multiply_adds",
        "resnet50",
        "stride on the 3x3",
        stride_on_the_other_convolution,
        "expected 3,857,973,248 (specification), actual 3,935,",
    ),
    (
        "parameters.published_counts",
        "densenet121",
        "unused parameter",
        unused,
        "less its convolution biases: expected 7,978,856 parameters, actual 7,978,868",
    ),
    (
        "parameters.counts",
        "alexnet",
        "frozen parameter",
        attribute("output.bias", "grad_req", "null"),
        "trainable: expected 61,100,840 (specification), actual 61,099,840",
    ),
    (
        "convergence.learns",
        "resnet50",
        "the same logits for every image",
        after("", lambda F, y: y * 0),
        "train accuracy: expected at least",
    ),
    (
        "convergence.negative_control",
        "resnet50",
        "knows the answers",
        knows_the_answers,
        "held-out accuracy: expected at most",
    ),
    ("claim.training", "resnet50", "lr_mult", attribute("output.bias", "lr_mult", 2), "step 1: output.bias"),
)


#: For each check of the training loop and variant the first fault that it must catch; others have their own tests.
LOOPS = {(fault.check, fault.variant): fault for fault in reversed(LOOP_FAULTS)}

BROKEN: tuple[Broken, ...] = (
    *OWN_BLOCKS,
    *(Broken(fault.check, fault.wrong, fault.subject, fault.says, (fault.variant,)) for fault in LOOPS.values()),
    *(Broken(check, flaw, claim(name, patch), says) for check, name, flaw, patch, says in CLAIMS),
    Broken("behaviour.classes_and_channels", "classes ignored", ignoring_classes(), "classes=7: expected logits"),
    Broken("parameters.counts", "biases missing", without_biases(), "arrays: expected 320"),
    Broken("structure.graph", "biases missing", without_biases(), "no_bias expected False, actual True"),
    Broken("claim.node_outputs", "another network at every build", other_at_every_build(), "node 1 BatchNorm"),
    Broken(
        "claim.predictions",
        "another network at every build",
        other_at_every_build(),
        "first diverging layer: node 1 BatchNorm",
    ),
)
