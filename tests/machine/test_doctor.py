"""The doctor's answers: on stubs of drivers and builds, on broken builds, and on the installed one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import conformance
import stub_gpu
from conformance.machine.asking import Unusable, ask
from made_up import REFUSALS, run_python

NO_FILE = "cannot open shared object file: No such file or directory"
PREFIX = "python -m conformance doctor: "
SCHEMA = json.loads((Path(conformance.__file__).parent / "machine" / "doctor.schema.json").read_text())
OTHER = "try another build, or report this with what python -m conformance doctor --json prints"

BROKEN = {
    "no_mxnet": ({"sitecustomize": "import sys; sys.modules['mxnet'] = None"}, REFUSALS["no_mxnet"][1]),
    "cuda_library": (
        {"mxnet": f"raise OSError('libcudnn.so.8: {NO_FILE}')"},
        "this MXNet build needs libcudnn.so.8, which is not there: "
        "install gluon-conformance[gpu], which brings the CUDA libraries",
    ),
    "other_library": (
        {"mxnet": f"raise OSError('libopenblas.so.0: {NO_FILE}')"},
        "this MXNet build needs libopenblas.so.0, which is not there: install Debian's libopenblas0",
    ),
    "unknown_library": (
        {"mxnet": f"raise OSError('libodd.so.7: {NO_FILE}')"},
        f"this MXNet build needs libodd.so.7, which is not there: {OTHER}",
    ),
    "no_driver": (
        {"mxnet": f"raise OSError('libcuda.so.1: {NO_FILE}')"},
        "no NVIDIA driver: this MXNet build needs libcuda.so.1, which the driver brings: "
        "install it, or gluon-conformance[cpu] in an environment that has no other MXNet",
    ),
    "crash": (
        {"mxnet": "import os; os.abort()"},
        f"MXNet ended its process with SIGABRT while it was imported or first used: {OTHER}",
    ),
    "silent_exit": (
        {"mxnet": "import os; print('no JSON'); os._exit(3)"},
        f"MXNet ended its process with exit code 3 while it was imported or first used: {OTHER}",
    ),
    "numpy_2": (
        {"sitecustomize": "import numpy; numpy.__version__ = '2.1.0'"},
        "MXNet needs NumPy >=1.23,<2, found 2.1.0: install numpy>=1.23,<2",
    ),
    "no_gluon": (
        {"mxnet": "__version__ = '1.9.1'"},
        f"AttributeError: module 'mxnet' has no attribute 'gluon': {OTHER}",
    ),
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stub of the driver."""
    return stub_gpu.driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def build(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a GPU build that needs the driver and a runtime compiler, which stands in the folder `cuda`."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "cuda").mkdir()
    nvrtc = "int nvrtcVersion(int *major, int *minor) { *major = 11; *minor = 2; return 0; }"
    name = "libnvrtc.so.11.2"
    compiler = stub_gpu.compiled(nvrtc, folder / "cuda" / name, f"-Wl,-soname,{name}")
    return stub_gpu.build(folder, needed=[driver, compiler])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the user's cache alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_usable_device_ends_in_0(build: Path, driver: Path) -> None:
    """A GPU build with its libraries and a device that it has code for is shown and accepted."""
    place = {"GLUON_CONFORMANCE_CUDA": str(build / "cuda"), "MXNET_USE_FUSION": "0"}
    result = stub_gpu.doctor("--ctx", "gpu", path=build, preload=driver, STUB_DEVICES="12.0,8.9", **place)

    assert ("", 0) == (result.stderr, result.returncode), result.stdout
    for words in (
        "for compute capability 5.0, 6.0, 7.0, 8.0, 8.6; no PTX",
        "knows CUDA 12.4",
        "cpu, gpu(0), gpu(1)",
        "GPU 1 (Stub 8.9, compute capability 8.9): 24,000 MiB free of 24,576 MiB; runs the code for 8.6",
        "MXNET_USE_FUSION=0",
    ):
        assert words in result.stdout


def test_missing_libraries_are_named_with_what_brings_them(build: Path, driver: Path) -> None:
    """A CUDA library that is not there is the first problem, with its distribution, in the line and in the JSON."""
    place = {"GLUON_CONFORMANCE_CUDA": "system"}
    result = stub_gpu.doctor("--ctx", "gpu", "--json", path=build, preload=driver, STUB_DEVICES="9.0", **place)

    expected = (
        f"this MXNet build needs libnvrtc.so.11.2, which does not load (libnvrtc.so.11.2: {NO_FILE})",
        "install nvidia-cuda-nvrtc-cu11",
    )
    assert (f"{PREFIX}{': '.join(expected)}\n", 1) == (result.stderr, result.returncode)
    report = json.loads(result.stdout)
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    assert expected == tuple(report["problems"][0].values())
    assert "is too new for this MXNet build" in report["problems"][-1]["problem"]
    assert [[5, 0], [6, 0], [7, 0], [8, 0], [8, 6]] == report["machine_code"]["binary"]


def test_device_that_computes_wrongly_is_refused(driver: Path, tmp_path: Path) -> None:
    """A device whose first convolution is wrong is not used."""
    build = stub_gpu.build(tmp_path, needed=[driver], result=26)

    result = stub_gpu.doctor("--ctx", "gpu", path=build, preload=driver, STUB_DEVICES="8.6")

    assert result.stderr.startswith(f"{PREFIX}gpu(0) computes a wrong convolution: expected 27 everywhere, actual 26")
    assert 1 == result.returncode


def test_installed_build_is_shown(tmp_path: Path) -> None:
    """On a usable build the doctor names versions, features, devices and switches, and succeeds."""
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['MXNET_CPU_WORKER_NTHREADS'] = '2'")

    result = run_python(tmp_path, {}, "-m", "conformance", "doctor")

    assert ("", 0) == (result.stderr, result.returncode)
    for what in ("gluon-conformance", "Python", "NumPy", "1.9.1 from", "MKLDNN", "found, 0 missing"):
        assert what in result.stdout
    assert "MXNET_CPU_WORKER_NTHREADS=2" in result.stdout


def test_gpu_is_refused_on_a_cpu_build(tmp_path: Path) -> None:
    """Asked for a GPU, a build without CUDA is described by valid JSON, then refused in one line."""
    result = run_python(tmp_path, {}, "-m", "conformance", "doctor", "--ctx", "gpu", "--json")

    assert 1 == result.returncode
    assert 1 == result.stderr.count("\n")
    assert "is built without CUDA: install gluon-conformance[gpu]" in result.stderr
    report = json.loads(result.stdout)
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    assert (False, None) == (report["usable"], report["machine_code"])


@pytest.mark.parametrize("case", BROKEN)
def test_broken_build_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    """A build that is missing, fails or crashes is answered by one line on stderr and exit code 1."""
    modules, expected = BROKEN[case]

    result = run_python(tmp_path, modules, "-m", "conformance", "doctor", "--ctx", "gpu")

    assert (f"{PREFIX}{expected}\n", 1) == (result.stderr, result.returncode)


def test_import_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose import never ends is stopped at the time limit."""
    (tmp_path / "mxnet.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(Unusable, match=r"^MXNet gave no answer within 2 s and was stopped$"):
        ask("facts", time_limit=2)
