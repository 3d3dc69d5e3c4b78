"""A conformance and regression suite for MXNet 1.9 Gluon, run by pytest.

``pytest --pyargs conformance`` runs the catalogue on the 12 reference networks. In a test file of one's own,
:func:`parametrize_with_checks` runs it on any :class:`Subject`. Importing this package does not import MXNet:
subjects are built and run in a worker process of their own, so that a crash or a hang fails one check by name.
"""

from conformance.catalogue import CHECKS, Case, parametrize_with_checks
from conformance.check import Check
from conformance.subject import Subject

__all__ = ["CHECKS", "Case", "Check", "Subject", "parametrize_with_checks"]
