"""What may change numbers beside the build: switches in the environment, and the processor."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")
SWITCHES = (
    "MXNET_",
    "MKLDNN_",
    "DNNL_",
    "OMP_",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_",
    "OPENBLAS_",
    "GLUON_CONFORMANCE_",
)
"""Environment variables that change numbers or code paths start like this."""


def numeric_switches() -> list[str]:
    """``NAME=value`` of every environment variable that changes numbers or code paths."""
    return [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith(SWITCHES)]


def processor() -> str:
    """The processor's name, as Linux states it."""
    try:
        lines = CPU_FACTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
