"""Load the CUDA libraries that MXNet's GPU build links to, so that it needs a driver and no toolkit.

The dynamic loader does not look into site-packages, where NVIDIA's wheels put them. What is loaded before
``import mxnet``, for all to see, satisfies it: so LD_LIBRARY_PATH is never needed.

This module imports nothing of the package, so that it can be run by itself where MXNet does not load.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
from pathlib import Path

VARIABLE = "GLUON_CONFORMANCE_CUDA"
"""Environment variable that says whose CUDA is used.

Unset, empty or ``wheels``: NVIDIA's wheels; ``system``: what the dynamic loader finds by itself; a folder: the
libraries in it, such as ``/usr/local/cuda-11.2/lib64``.
"""

CUDA_LIBRARIES = (
    "cuda_runtime/lib/libcudart.so.11.0",
    "cuda_nvrtc/lib/libnvrtc.so.11.2",
    "cublas/lib/libcublasLt.so.11",
    "cublas/lib/libcublas.so.11",
    "cufft/lib/libcufft.so.10",
    "curand/lib/libcurand.so.10",
    "cusolver/lib/libcusolver.so.11",
    "nccl/lib/libnccl.so.2",
    "nvtx/lib/libnvToolsExt.so.1",
    "cudnn/lib/libcudnn.so.8",
)
"""What MXNet's CUDA 11 build links to, below the folder ``nvidia`` of NVIDIA's wheels, in order of need."""


def preload() -> None:
    """Load the CUDA libraries of the place that :data:`VARIABLE` names.

    Nothing is said of one that is absent or does not load: importing MXNet names it where it is needed.

    Raises:
        ImportError: In one line, if the variable names no folder.
    """
    for path in _paths():
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _paths() -> list[Path]:
    """The files to load, in order of need."""
    place = os.environ.get(VARIABLE, "") or "wheels"
    if place == "system":
        return []
    if place == "wheels":
        spec = importlib.util.find_spec("nvidia")
        folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
        candidates = [[folder / library for folder in folders] for library in CUDA_LIBRARIES]
    elif Path(place).is_dir():
        candidates = [[Path(place) / Path(library).name] for library in CUDA_LIBRARIES]
    else:
        raise ImportError(f"{VARIABLE}={place}: allowed are wheels, system and a folder of CUDA libraries")
    found = (next((path for path in paths if path.is_file()), None) for paths in candidates)
    return [path for path in found if path is not None]
