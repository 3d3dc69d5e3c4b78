"""Faults that show in training alone: wrong initial weights, answers from memory, and faults of the loop itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from corpus import NOWHERE, Fault
from flaws import Patch, knows_the_answers, patched
from loop_faults import LOOP_FAULTS
from reference import get_model

CONVERGENCE = ("convergence",)
LOOP = ("training",)


def all_weights_zero(net: Any) -> None:
    """Start with no signal and no gradient."""
    for parameter in net.collect_params(".*weight").values():
        parameter.init = "zeros"


def _build(network: str, patch: Patch, classes: int) -> Any:
    return patched(get_model(network, classes=classes), patch)


TRAINING: tuple[Fault, ...] = tuple(
    Fault("training", what, network, NOWHERE, partial(_build, network, patch), CONVERGENCE)
    for what, network, patch in (
        ("every weight starts at 0", "resnet50", all_weights_zero),
        ("every weight starts at 0", "densenet121", all_weights_zero),
        ("answers from memory", "resnet50", knows_the_answers),
        ("answers from memory", "alexnet", knows_the_answers),
    )
) + tuple(Fault("loop", fault.wrong, "small", NOWHERE, fault.subject.build, LOOP) for fault in LOOP_FAULTS)
