"""Whether MXNet and a device can be used here, asked of a process of its own, which may crash or hang."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from rich.table import Table

TIME_LIMIT = 120.0
"""Seconds an answer may take; a first import from a slow disk takes some."""

SWITCHES = (
    "MXNET_",
    "MKLDNN_",
    "DNNL_",
    "OMP_",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_",
    "OPENBLAS_",
)
"""Environment variables that change numbers or code paths start like this."""

ASK = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    from conformance import describe
    answer = {"answer": getattr(describe, sys.argv[2])(*sys.argv[3:])}
except ImportError as error:
    answer = {"refusal": str(error)}
except Exception as error:
    answer = {"refusal": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(answer), flush=True)
"""
LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
CUDA = re.compile(r"lib(cu|nv|nccl)")
DRIVER = "libcuda.so.1"


class Unusable(Exception):
    """MXNet or a device cannot be used; the text is one line that says why."""


def ask(question: str, *arguments: str, time_limit: float = TIME_LIMIT) -> Any:
    """Call a function of ``conformance.describe`` in a new process.

    Args:
        question: The function's name.
        *arguments: The function's arguments.
        time_limit: Seconds until the process is stopped.

    Raises:
        Unusable: If MXNet is missing or does not load, or if the process crashes or gives no answer in time.
    """
    command = [sys.executable, "-c", ASK, json.dumps(sys.path), question, *arguments]
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
        raise Unusable(f"MXNet gave no answer within {time_limit:g} s and was stopped") from None
    try:
        answer = json.loads((process.stdout.splitlines() or [""])[-1])
    except ValueError:
        raise Unusable(f"MXNet {_end(process.returncode)} while it was imported or first used") from None
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
    if missing[1] == DRIVER:
        return f"no NVIDIA driver: this MXNet build needs {DRIVER}, which the driver brings"
    brought = ": gluon-conformance[gpu] brings the CUDA libraries" if CUDA.match(missing[1]) else ""
    return f"this MXNet build needs {missing[1]}, which is not there{brought}"


def numeric_switches() -> list[str]:
    """``NAME=value`` of every environment variable that changes numbers or code paths."""
    return [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith(SWITCHES)]


def facts_table(facts: dict[str, Any]) -> Table:
    """Show what the catalogue would run on.

    Args:
        facts: The answer of ``conformance.describe.facts``.
    """
    table = Table("what", "found", show_header=False)
    devices = f"cpu, {facts['gpus']} GPU(s)" + (f" ({facts['gpu_error']})" if facts["gpu_error"] else "")
    for what, found in (
        ("suite", f"gluon-conformance {version('gluon-conformance')}"),
        ("Python", f"{platform.python_version()}, {platform.platform()}"),
        ("NumPy", facts["numpy"]),
        ("MXNet", f"{facts['mxnet']} from {facts['folder']}"),
        ("features", " ".join(facts["features"])),
        ("devices", devices),
        ("numeric switches", " ".join(numeric_switches()) or "none set"),
    ):
        table.add_row(what, found)
    return table


def require_device(ctx: str, facts: dict[str, Any]) -> None:
    """Refuse a device that is not there or does not compute.

    Args:
        ctx: ``cpu`` or ``gpu``.
        facts: The answer of ``conformance.describe.facts``.

    Raises:
        Unusable: In one line that names the reason and, where there is one, the remedy.
    """
    if ctx == "gpu":
        if "CUDA" not in facts["features"]:
            raise Unusable(
                f"MXNet {facts['mxnet']} from {facts['folder']} is built without CUDA: "
                "install gluon-conformance[gpu] in an environment that has no other MXNet"
            )
        if facts["gpu_error"]:
            raise Unusable(f"the GPUs cannot be counted: {facts['gpu_error']}")
        if not facts["gpus"]:
            hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
            shown = f" (CUDA_VISIBLE_DEVICES={hidden})" if hidden is not None else ""
            raise Unusable(f"no GPU: the NVIDIA driver shows no device{shown}")
    wrong = ask("try_device", ctx)
    if wrong:
        raise Unusable(wrong)
