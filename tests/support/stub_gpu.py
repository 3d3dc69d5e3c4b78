"""A driver and a GPU build of MXNet that only seem to be there: compiled by gcc, described by environment variables."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "gpu" / "stub_driver.c"
CODE = ((2, 50), (2, 60), (2, 70), (2, 80), (2, 86))
"""What MXNet's GPU build has: machine code (2; PTX is 1) for these compute capabilities, times 10."""

MXNET = '''
"""What the doctor and `import reference` ask of MXNet, with the answers of a build for GPUs that works."""
import ctypes, pathlib, sys, types
from unittest.mock import MagicMock
import numpy

ctypes.CDLL(str(pathlib.Path(__file__).with_name("libmxnet.so")))
driver = ctypes.CDLL("libcuda.so.1")
__version__ = "1.9.1"
MXNetError = type("MXNetError", (Exception,), {})


def num_gpus():
    count = ctypes.c_int()
    return 0 if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) else count.value


feature = types.SimpleNamespace(enabled=True)
runtime = types.SimpleNamespace(Features=lambda: {"CUDA": feature})
context = types.SimpleNamespace(num_gpus=num_gpus)
gluon = MagicMock(HybridBlock=object)
nd = MagicMock()
nd.Convolution.return_value.asnumpy.return_value = numpy.full((1, 2, 6, 6), RESULT)
Context = lambda kind, number: f"{kind}({number})"


def __getattr__(name):
    return MagicMock()
'''


def fat_binary(entries: Iterable[tuple[int, int]], payload: int = 24) -> bytes:
    """Return a container with entries of a kind and an architecture each."""
    body = b""
    for kind, architecture in entries:
        header = struct.pack("<HHIQIIHHI", kind, 0x101, 64, payload, 0, 0, 7, 1, architecture)
        body += header.ljust(64, b"\0") + b"\1" * payload
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def compiled(source: str | Path, target: Path, *options: str) -> Path:
    """Compile C into a shared library."""
    text = source.read_text() if isinstance(source, Path) else source
    command = ["gcc", "-shared", "-fPIC", "-xc", "-", "-xnone", *options, "-o", str(target)]
    subprocess.run(command, input=text, text=True, check=True)
    return target


def driver(folder: Path) -> Path:
    """Compile the stub of the driver."""
    return compiled(SOURCE, folder / "libcuda.so.1", "-Wl,-soname,libcuda.so.1")


def library(target: Path, section: bytes, needed: Sequence[Path] = ()) -> Path:
    """Compile a library with a section of machine code, which needs other libraries."""
    values = ",".join(map(str, section))
    source = f'__attribute__((section(".nv_fatbin"), aligned(8))) const unsigned char code[] = {{{values}}};'
    return compiled(source, target, "-Wl,--no-as-needed", *map(str, needed))


def build(folder: Path, code: Iterable[tuple[int, int]] = CODE, needed: Sequence[Path] = (), result: int = 27) -> Path:
    """Make a GPU build of MXNet in a folder to import it from; its first convolution gives ``result``."""
    package = folder / "mxnet"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(MXNET.replace("RESULT", str(result)))
    library(package / "libmxnet.so", fat_binary(code), needed)
    return folder


Run = subprocess.CompletedProcess[str]


def doctor(*arguments: str, path: Path | None = None, preload: Path | None = None, **environment: str) -> Run:
    """Run ``python -m conformance doctor`` with a build in the place of the installed one, and with a driver."""
    return python("-m", "conformance", "doctor", *arguments, path=path, preload=preload, **environment)


def python(*arguments: str, path: Path | None = None, preload: Path | None = None, **environment: str) -> Run:
    """Run Python with a folder to import from first, and a library that the loader then has already."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "LD_LIBRARY_"))}
    places = os.pathsep.join(map(str, filter(None, (path, ROOT))))
    variables = {"PYTHONPATH": places, **({"LD_PRELOAD": str(preload)} if preload else {}), **environment}
    return subprocess.run(
        [sys.executable, *arguments], env={**clean, **variables}, capture_output=True, text=True, check=False
    )
