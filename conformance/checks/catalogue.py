"""The catalogue: all checks, family by family."""

from __future__ import annotations

from conformance.checks import (
    behaviour,
    claim,
    convergence,
    device,
    execution,
    files,
    numerics,
    parameters,
    structure,
    training,
)
from conformance.contract.check import Check

FAMILIES = {
    module.__name__.rpartition(".")[2]: module.CHECKS
    for module in (structure, parameters, execution, claim, behaviour, numerics, files, training, convergence, device)
}
CHECKS: tuple[Check, ...] = tuple(check for checks in FAMILIES.values() for check in checks)
