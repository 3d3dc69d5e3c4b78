"""A conformance and regression suite for MXNet 1.9 Gluon, run by pytest.

``pytest --pyargs conformance`` runs the catalogue on the 12 reference networks. In a test file of one's own,
:func:`parametrize_with_checks` runs it on any :class:`Subject`. Importing this package does not import MXNet:
subjects are built and run in a worker process of their own, so that a crash or a hang fails one check by name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance.checks.catalogue import CHECKS
    from conformance.contract.check import Check
    from conformance.contract.subject import Subject
    from conformance.session.cases import Case, parametrize_with_checks

__all__ = ["CHECKS", "Case", "Check", "Subject", "parametrize_with_checks"]

_HOME = {
    "CHECKS": "conformance.checks.catalogue",
    "Case": "conformance.session.cases",
    "Check": "conformance.contract.check",
    "Subject": "conformance.contract.subject",
    "parametrize_with_checks": "conformance.session.cases",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: pytest imports this package in every run."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
