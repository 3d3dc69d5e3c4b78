"""What MXNet says when it refuses."""

from __future__ import annotations


def cause(error: Exception) -> str:
    """The line of an error that says what happened; MXNet puts a listing of C++ frames before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return next((line for line in lines if "Error:" in line or "failed:" in line), lines[0])
