"""MXNet's real GPU build with NVIDIA's wheels, on a machine with no GPU: everything up to the device.

A stub of the driver stands for it; LD_LIBRARY_PATH is empty throughout. Run by `nox -s gpu_build`.
"""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import jsonschema
import pytest

import conformance
import stub_gpu
from conformance.contract.specification import REPRESENTATIVES
from conformance.machine.libraries import mxnet_library
from conformance.machine.machine_code import MachineCode, read_machine_code

REAL = MachineCode(((5, 0), (6, 0), (7, 0), (8, 0), (8, 6)))
SCHEMA = json.loads((Path(conformance.__file__).parent / "machine" / "doctor.schema.json").read_text())
NO_GPU = "python -m conformance doctor: no GPU: the NVIDIA driver shows no device: "
NO_DRIVER = (
    "python -m conformance doctor: no NVIDIA driver: this MXNet build needs libcuda.so.1, which the driver brings: "
)
SECONDS = 10
"""Of work that the one line may take once all is installed; a second of work is less of the clock's with two cores."""
IMPORT = """
import reference
import mxnet as mx
features = mx.runtime.Features()
print(features.is_enabled("CUDA"), features.is_enabled("CUDNN"), mx.context.num_gpus())
print((mx.nd.ones((2, 3)).sum() * 7).asscalar())
"""
COMPILE = """
import ctypes, runpy
runpy.run_path("reference/runtime/cuda.py")["preload"]()
nvrtc, program, size = ctypes.CDLL("libnvrtc.so.11.2"), ctypes.c_void_p(), ctypes.c_size_t()
source = b'extern "C" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }'
assert 0 == nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"twice.cu", 0, None, None)
options = (ctypes.c_char_p * 1)(b"--gpu-architecture=compute_86")
assert 0 == nvrtc.nvrtcCompileProgram(program, 1, options)
assert 0 == nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
ptx = ctypes.create_string_buffer(size.value)
assert 0 == nvrtc.nvrtcGetPTX(program, ptx)
print(b".visible .entry twice" in ptx.value)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stub of the driver."""
    return stub_gpu.driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the user's cache alone, and let no variable help the dynamic loader."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("GLUON_CONFORMANCE_CUDA", raising=False)


def test_build_imports_with_no_toolkit(driver: Path) -> None:
    """`import reference` is all it takes: the build reports CUDA and cuDNN, counts no GPU, and its CPU computes."""
    result = stub_gpu.python("-c", IMPORT, preload=driver)
    assert ("", "True True 0\n42.0\n") == (result.stderr, result.stdout)


def test_machine_code_of_the_real_library() -> None:
    """The parser finds the build's five compute capabilities and no PTX, in a second."""
    library = mxnet_library()
    assert library is not None
    begin = time.monotonic()
    assert REAL == read_machine_code(library)
    assert time.monotonic() - begin < SECONDS


def test_runtime_compiler_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's runtime compiler, which MXNet's fused operators need, finds all of itself in the wheels."""
    monkeypatch.chdir(stub_gpu.ROOT)
    result = stub_gpu.python("-c", COMPILE)
    assert ("", "True\n") == (result.stderr, result.stdout)


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ("", NO_GPU),
        ("9.0", "GPU 0 (Stub 9.0, compute capability 9.0) is too new for this MXNet build: "),
        ("12.0", "GPU 0 (Stub 12.0, compute capability 12.0) is too new for this MXNet build: "),
    ],
)
def test_gpu_session_ends_in_one_line(devices: str, says: str, driver: Path) -> None:
    """What `nox -s gpu` runs first fails within ten seconds, with one line that says why and what to do."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = stub_gpu.doctor("--ctx", "gpu", preload=driver, STUB_DEVICES=devices)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert (1, 1) == (result.returncode, result.stderr.count("\n")), result.stderr
    assert says in result.stderr
    assert seconds < SECONDS


def test_gpu_session_without_a_driver_ends_in_one_line() -> None:
    """Without a driver the build does not load, and the same line says so."""
    result = stub_gpu.doctor("--ctx", "gpu")
    assert 1 == result.returncode
    assert result.stderr.startswith(NO_DRIVER)


@pytest.mark.parametrize(
    ("devices", "usable"), [("7.5", "7.0"), ("8.6", "8.6"), ("8.9", "8.6"), ("9.0", ""), ("12.0", "")]
)
def test_report_is_valid_and_knows_each_device(devices: str, usable: str, driver: Path) -> None:
    """The JSON fits its schema, finds every library, and says what the real build has for a device."""
    result = stub_gpu.doctor("--json", preload=driver, STUB_DEVICES=devices)
    report = json.loads(result.stdout)
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    assert [] == [row for row in report["libraries"] if row["error"] or not row["found"]]
    assert {"libcudnn_cnn_train.so.8", "libnvrtc.so.11.2", "libcuda.so.1"} <= {
        row["name"] for row in report["libraries"]
    }
    assert [usable] == [device["machine_code"] for device in report["devices"]]
    assert 11080 == report["driver"]["nvrtc"]


def test_catalogue_without_a_device_is_skipped(driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real build and no device, every check of a GPU run is skipped with the reason, and the end is 5."""
    monkeypatch.chdir(tmp_path)
    options = ("-m", "pytest", "--pyargs", "conformance", "--subject", "alexnet", "--ctx", "gpu")
    result = stub_gpu.python(*options, preload=driver)
    assert 5 == result.returncode, result.stdout
    assert "no usable GPU, so nothing is executed: no GPU: the NVIDIA driver shows no device" in result.stdout
    assert "executed 0 of" in result.stdout


def test_catalogue_passes_on_the_cpu_of_the_build(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue passes on the GPU build's CPU context, on a network of each family here and on all 12 by hand."""
    monkeypatch.chdir(tmp_path)
    networks = [option for name in REPRESENTATIVES for option in ("--subject", name)]
    options = ("-m", "pytest", "--pyargs", "conformance", "-n", str(len(os.sched_getaffinity(0))), *networks)
    result = stub_gpu.python(*options, preload=driver)
    assert 0 == result.returncode, result.stdout
    assert "CUDA" in result.stdout.partition("features:")[2].splitlines()[0]
    assert " 0 not executed" in result.stdout
