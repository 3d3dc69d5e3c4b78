"""Engines are extras: what is not installed is not executed, and never counts as passed."""

from __future__ import annotations

import importlib
from typing import Any

from conformance.contract.outcomes import NotExecuted

EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "torch": "torch"}
"""Module -> the extra of this project that brings it."""


def require(module: str) -> Any:
    """Import an engine's module.

    Raises:
        NotExecuted: In one line with the remedy, if it is not installed or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, error) from None


def require_no_engine(error: Exception) -> None:
    """Tell an import that failed for want of an engine from all other errors.

    Raises:
        NotExecuted: If that is what the error says.
    """
    if isinstance(error, ImportError) and error.name in EXTRAS:
        raise _missing(error.name, error) from None


def _missing(module: str, error: ImportError) -> NotExecuted:
    return NotExecuted(f"{module} cannot be imported ({error}): pip install 'gluon-conformance[{EXTRAS[module]}]'")
