"""Questions to MXNet and to the driver, each asked of a process of its own, which may crash or hang."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import Any

from conformance.machine.libraries import brought_by

TIME_LIMIT = 120.0
"""Seconds an answer may take; a first import from a slow disk takes some."""

ASK = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    from importlib import import_module
    answer = {"answer": getattr(import_module("conformance.machine." + sys.argv[2]), sys.argv[3])(*sys.argv[4:])}
except ImportError as error:
    answer = {"refusal": str(error)}
except Exception as error:
    answer = {"refusal": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(answer), flush=True)
"""
LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
LIBCUDA = "libcuda.so.1"
NO_DRIVER = (
    f"no NVIDIA driver: this MXNet build needs {LIBCUDA}, which the driver brings: "
    "install it, or gluon-conformance[cpu] in an environment that has no other MXNet"
)
CUDA = re.compile(r"lib(cu|nv|nccl)")


class Unusable(Exception):
    """MXNet or a device cannot be used; the text is one line that says why, and what to do."""


def ask(question: str, *arguments: str, of: str = "build", time_limit: float = TIME_LIMIT, who: str = "MXNet") -> Any:
    """Call a function of this package in a new process.

    Args:
        question: The function's name.
        *arguments: The function's arguments.
        of: The module that has it.
        time_limit: Seconds until the process is stopped.
        who: Whose answer is waited for, in the words of a refusal.

    Raises:
        Unusable: If what is asked is missing or does not load, or if the process crashes or gives no answer in time.
    """
    command = [sys.executable, "-c", ASK, json.dumps(sys.path), of, question, *arguments]
    try:
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
        )
    except subprocess.TimeoutExpired:
        raise Unusable(f"{who} gave no answer within {time_limit:g} s and was stopped") from None
    try:
        answer = json.loads((process.stdout.splitlines() or [""])[-1])
    except ValueError:
        raise Unusable(f"{who} {_end(process.returncode)} while it was imported or first used") from None
    if "refusal" in answer:
        raise Unusable(_readable((answer["refusal"].splitlines() or ["no message"])[0]))
    return answer["answer"]


def _end(code: int) -> str:
    """How a process without an answer ended."""
    if -code in signal.valid_signals():
        return f"ended its process with {signal.Signals(-code).name}"
    return f"ended its process with exit code {code}"


def _readable(refusal: str) -> str:
    """Say what brings a library that the dynamic loader misses; leave any other refusal as it is."""
    missing = LIBRARY.search(refusal)
    if missing is None:
        return refusal
    if missing[1] == LIBCUDA:
        return NO_DRIVER
    cuda = "gluon-conformance[gpu], which brings the CUDA libraries" if CUDA.match(missing[1]) else ""
    brought = cuda or brought_by(missing[1])
    return f"this MXNet build needs {missing[1]}, which is not there{f': install {brought}' if brought else ''}"
