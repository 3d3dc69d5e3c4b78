"""Faults that show in training alone: the network computes rightly, starts wrongly or answers from memory."""

from __future__ import annotations

from functools import partial
from typing import Any

from corpus import NOWHERE, Fault
from flaws import Patch, knows_the_answers, patched
from reference import get_model
from reference.mxnet_compat import mx

CONVERGENCE = ("convergence",)


def initialized(initializer: Any) -> Patch:
    """Ignore the initializer that the user gives."""

    def patch(net: Any) -> None:
        initialize = net.initialize
        net.initialize = lambda *_, **settings: initialize(initializer, **settings)

    return patch


def _build(network: str, patch: Patch, classes: int) -> Any:
    return patched(get_model(network, classes=classes), patch)


TRAINING: tuple[Fault, ...] = tuple(
    Fault("training", what, network, NOWHERE, partial(_build, network, patch), CONVERGENCE)
    for what, network, patch in (
        ("every weight starts at 0", "resnet50", initialized(mx.init.Zero())),
        ("weights start tiny", "alexnet", initialized(mx.init.Normal(1e-4))),
        ("every weight starts at 0", "densenet121", initialized(mx.init.Zero())),
        ("answers from memory", "resnet50", knows_the_answers),
        ("answers from memory", "alexnet", knows_the_answers),
    )
)
