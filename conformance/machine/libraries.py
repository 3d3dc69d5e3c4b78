"""The shared libraries that MXNet's build needs: whether each is found, where, and what brings it."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import runpy
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from conformance.machine.driver import LIBRARY as DRIVER
from conformance.machine.elf import opened

CUDNN = "libcudnn.so.8"
CUDNN_PARTS = tuple(
    f"libcudnn_{part}.so.8" for part in ("ops_infer", "ops_train", "cnn_infer", "cnn_train", "adv_infer", "adv_train")
)
"""What libcudnn.so.8 loads by itself once a device computes; cnn_infer needs zlib, which no wheel brings."""

DEBIAN = {
    DRIVER: "the NVIDIA driver",
    "libgomp.so.1": "Debian's libgomp1",
    "libstdc++.so.6": "Debian's libstdc++6",
    "libgcc_s.so.1": "Debian's libgcc-s1",
    "libopenblas.so.0": "Debian's libopenblas0",
    "libgfortran.so.3": "MXNet's wheel from PyPI",
    "libquadmath.so.0": "Debian's libquadmath0",
    "libz.so.1": "Debian's zlib1g",
}
GLIBC = ("libc.so", "libm.so", "libdl.so", "librt.so", "libpthread.so", "ld-linux")


def mxnet_folder() -> Path | None:
    """Where MXNet is installed, without importing it; None where it is not, or is a module of one file."""
    spec = importlib.util.find_spec("mxnet")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def mxnet_library() -> Path | None:
    """The library that ``import mxnet`` loads, at the places where MXNet's own libinfo.py looks first."""
    folder = mxnet_folder()
    named = os.environ.get("MXNET_LIBRARY_PATH", "")
    places = [Path(named) / "libmxnet.so" if Path(named).is_dir() else Path(named)] if named else []
    if folder is not None:
        places += [base / "libmxnet.so" for base in (folder, folder / "../../lib", folder / "../../build")]
    return next((place for place in places if place.is_file()), None)


def distributions() -> list[str]:
    """Installed distributions that bring the module ``mxnet``, with versions: ``mxnet-cu112 1.9.1``."""
    return [f"{name} {version(name)}" for name in sorted(set(packages_distributions().get("mxnet", ())))]


def brought_by(library: str) -> str:
    """The distribution on PyPI, or the package of Debian, that brings a library; empty where that is not known."""
    for file in _cuda().get("CUDA_LIBRARIES", ()):
        folder, _, name = file.partition("/lib/")
        if library == name or (folder == "cudnn" and library in CUDNN_PARTS):
            return f"nvidia-{folder.replace('_', '-')}-cu11"
    return "Debian's libc6" if library.startswith(GLIBC) else DEBIAN.get(library, "")


def _cuda() -> dict[str, Any]:
    """The module ``reference.runtime.cuda``, run by itself: importing its package would import MXNet."""
    spec = importlib.util.find_spec("reference")
    return runpy.run_path(str(Path(spec.origin).parent / "runtime" / "cuda.py")) if spec and spec.origin else {}


def find(library: str) -> dict[str, Any]:
    """Try each library that MXNet's needs, with what the suite loads before it; for a process of its own.

    Args:
        library: The file that ``import mxnet`` loads.

    Returns:
        ``libraries``: of each its name, the file that it was found in or an empty text, why it was not found, and
        what brings it. ``nvrtc``: the version of CUDA's runtime compiler, 11080 for 11.8, or 0.
    """
    with opened(Path(library)) as elf:
        names = elf.needed()
    _cuda()["preload"]()
    if CUDNN in names:
        names += [name for name in CUDNN_PARTS if name not in names]
    rows = [_try(name, Path(library).parent) for name in names]
    return {"libraries": rows, "nvrtc": max((_nvrtc_version(name) for name in names if "nvrtc" in name), default=0)}


def _try(name: str, folder: Path) -> dict[str, str]:
    beside = folder / name  # MXNet's wheel brings some, and looks beside itself
    path, error = name, ""
    if name in CUDNN_PARTS:
        path = str(Path(_loaded_from(CUDNN)).with_name(name))  # where cuDNN looks for its parts
    if not beside.is_file():
        try:
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError as reason:
            error = str(reason)
    place = "" if error else str(beside) if beside.is_file() else _loaded_from(name)
    return {"name": name, "found": place, "error": error, "brought_by": brought_by(name)}


def _loaded_from(name: str) -> str:
    """The file from which this process has loaded a library; its name where no file's name starts like it."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        files = {line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")}
    return next((file for file in sorted(files) if Path(file).name.startswith(name)), name)


def _nvrtc_version(name: str) -> int:
    """The version of CUDA's runtime compiler, 11080 for 11.8; 0 where it cannot be asked."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    try:
        refused = ctypes.CDLL(name).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    except (OSError, AttributeError):
        return 0
    return 0 if refused else major.value * 1000 + minor.value * 10
