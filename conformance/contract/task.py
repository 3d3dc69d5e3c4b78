"""What a subject's process is asked to do, as a value that names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A function of the suite, to be called in the process of a subject.

    Attributes:
        function: ``"module:function"``. Its first parameters name parts of the subject's bench.
        arguments: Values of its last parameters.
        name: What messages call it.
    """

    function: str
    arguments: tuple[str, ...] = ()
    name: str = ""
