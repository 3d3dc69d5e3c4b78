"""Engines are extras: what is not installed is not executed, and never counts as passed."""

from __future__ import annotations

import importlib
from typing import Any

from conformance.check import NotExecuted

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
        remedy = f"pip install 'gluon-conformance[{EXTRAS[module]}]'"
        raise NotExecuted(f"{module} cannot be imported ({error}): {remedy}") from None
