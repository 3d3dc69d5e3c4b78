"""Checks of arguments: each returns the value, or raises a ValueError that says what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


def positive_integer(name: str, value: Any) -> int:
    """Return ``value`` if it is an integer of at least 1.

    Raises:
        ValueError: Otherwise; a bool and a float such as ``2.0`` are no integers.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r}: allowed is an integer of at least 1")
    return int(value)


def positive_integers(name: str, values: Any, *, length: int | None = None) -> tuple[int, ...]:
    """Return ``values`` as a tuple if they are one or more (or exactly ``length``) integers of at least 1.

    Raises:
        ValueError: Otherwise.
    """
    wanted = "one or more" if length is None else str(length)
    allowed = f"{name}={values!r}: allowed are {wanted} integers of at least 1"
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise ValueError(allowed)
    numbers = tuple(values)
    if not numbers or (length is not None and len(numbers) != length):
        raise ValueError(f"{allowed}, not {len(numbers)}")
    try:
        return tuple(positive_integer(name, number) for number in numbers)
    except ValueError:
        raise ValueError(allowed) from None


def fraction(name: str, value: Any) -> float:
    """Return ``value`` if it is a number above 0 and at most 1.

    Raises:
        ValueError: Otherwise.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= 1:
        raise ValueError(f"{name}={value!r}: allowed is a number above 0 and at most 1")
    return float(value)


def boolean(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False.

    Raises:
        ValueError: Otherwise.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: allowed are True and False")
    return value
