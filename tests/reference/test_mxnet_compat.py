"""What ``reference.runtime.mxnet_compat`` mends and how it refuses, each in a process with made-up modules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from made_up import FAKE_MXNET, FAKE_NUMPY, LOAD_COMPAT, REFUSALS, run_python
from reference.runtime.cuda import CUDA_LIBRARIES


@pytest.mark.parametrize("case", REFUSALS)
def test_import_refuses_in_one_line(case: str, tmp_path: Path) -> None:
    """What is missing or too new is said by an ImportError of one line."""
    modules, expected = REFUSALS[case]

    result = run_python(tmp_path, modules, "-c", LOAD_COMPAT)

    assert f"ImportError: {expected}" == result.stderr.splitlines()[-1]
    assert 1 == result.returncode


@pytest.mark.parametrize("case", REFUSALS)
def test_command_refuses_without_a_traceback(case: str, tmp_path: Path) -> None:
    """A command line shows that one line alone and fails."""
    modules, expected = REFUSALS[case]

    result = run_python(tmp_path, modules, "-m", "reference", "list")

    assert (f"{expected}\n", "", 1) == (result.stderr, result.stdout, result.returncode)


def test_package_import_refuses_with_an_import_error(tmp_path: Path) -> None:
    """A program that imports the package can catch the ImportError."""
    modules, expected = REFUSALS["no_mxnet"]
    program = "try:\n    import reference\nexcept ImportError as error:\n    print(error)"

    result = run_python(tmp_path, modules, "-c", program)

    assert (f"{expected}\n", 0) == (result.stdout, result.returncode)


def test_removed_aliases_are_put_back(tmp_path: Path) -> None:
    """MXNet finds the six names that NumPy 1.24 removed, as Python's own types."""
    aliases = "bool, int, float, object, complex, str"
    mxnet = f"{FAKE_MXNET}from numpy import {aliases}\nimport builtins\nassert builtins.str is str"

    result = run_python(tmp_path, {"mxnet": mxnet, "numpy": FAKE_NUMPY}, "-c", LOAD_COMPAT)

    assert ("", 0) == (result.stderr, result.returncode)


def test_existing_aliases_are_kept(tmp_path: Path) -> None:
    """A name that NumPy still has is left as it is."""
    numpy = f"{FAKE_NUMPY}object = 'its own'"
    program = f"{LOAD_COMPAT}; import numpy; print(numpy.object)"

    result = run_python(tmp_path, {"mxnet": FAKE_MXNET, "numpy": numpy}, "-c", program)

    assert ("its own\n", "", 0) == (result.stdout, result.stderr, result.returncode)


def test_distutils_comes_from_setuptools(tmp_path: Path) -> None:
    """Where Python has no distutils, importing setuptools provides it."""
    hidden = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'distutils': raise ModuleNotFoundError(name)\n"
    )
    setuptools = "import sys, types; sys.modules['distutils'] = types.ModuleType('distutils')"
    modules = {
        "mxnet": f"{FAKE_MXNET}import distutils",
        "numpy": FAKE_NUMPY,
        "setuptools": setuptools,
        "sitecustomize": f"{hidden}import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'distutils' else find(name, *rest)\n"
        "sys.meta_path.insert(0, Hide())",
    }

    result = run_python(tmp_path, modules, "-c", LOAD_COMPAT)

    assert ("", 0) == (result.stderr, result.returncode)


def test_import_survives_warnings_as_errors(tmp_path: Path) -> None:
    """The installed MXNet imports and computes where every warning is an error."""
    program = "from reference.runtime.mxnet_compat import mx; print(mx.nd.ones((2, 3)).sum().asscalar())"

    result = run_python(tmp_path, {}, "-W", "error", "-c", program)

    assert ("6.0\n", "", 0) == (result.stdout, result.stderr, result.returncode)


def make_cuda_wheels(folder: Path, names: Iterable[str]) -> list[str]:
    """Write empty files in the place of CUDA libraries below ``folder`` and return their paths."""
    paths = [folder / "nvidia" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return [str(path) for path in paths]


RECORD_LOADS = (
    "import ctypes\n"
    "def CDLL(path, mode=ctypes.DEFAULT_MODE):\n"
    "    assert mode == ctypes.RTLD_GLOBAL\n"
    "    print(path)\n"
    "ctypes.CDLL = CDLL\n"
)


def test_cuda_libraries_of_wheels_are_loaded_first(tmp_path: Path) -> None:
    """Every library that NVIDIA's wheels brought is loaded for all, in order of need, before MXNet."""
    expected = make_cuda_wheels(tmp_path, CUDA_LIBRARIES)
    modules = {"mxnet": f"print('mxnet')\n{FAKE_MXNET}", "numpy": FAKE_NUMPY, "sitecustomize": RECORD_LOADS}

    result = run_python(tmp_path, modules, "-c", LOAD_COMPAT)

    assert ([*expected, "mxnet"], "", 0) == (result.stdout.splitlines(), result.stderr, result.returncode)


def test_absent_cuda_libraries_are_passed_over(tmp_path: Path) -> None:
    """A wheel that is not installed is not missed, and those of another CUDA are left alone."""
    (expected, _) = make_cuda_wheels(tmp_path, ["cudnn/lib/libcudnn.so.8", "cublas/lib/libcublas.so.12"])
    modules = {"mxnet": FAKE_MXNET, "numpy": FAKE_NUMPY, "sitecustomize": RECORD_LOADS}

    result = run_python(tmp_path, modules, "-c", LOAD_COMPAT)

    assert (f"{expected}\n", "", 0) == (result.stdout, result.stderr, result.returncode)


def test_cuda_library_that_does_not_load_is_left_to_mxnet(tmp_path: Path) -> None:
    """A damaged library is no error of its own: a build that does not need it imports all the same."""
    make_cuda_wheels(tmp_path, CUDA_LIBRARIES)

    result = run_python(tmp_path, {"mxnet": FAKE_MXNET, "numpy": FAKE_NUMPY}, "-c", LOAD_COMPAT)

    assert ("", "", 0) == (result.stdout, result.stderr, result.returncode)


def test_cuda_of_a_folder_is_loaded_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a folder named, the libraries in it are loaded and those of the wheels are not."""
    make_cuda_wheels(tmp_path, CUDA_LIBRARIES)
    (tmp_path / "cuda").mkdir()
    (tmp_path / "cuda" / "libcublas.so.11").touch()
    monkeypatch.setenv("GLUON_CONFORMANCE_CUDA", str(tmp_path / "cuda"))
    modules = {"mxnet": FAKE_MXNET, "numpy": FAKE_NUMPY, "sitecustomize": RECORD_LOADS}

    result = run_python(tmp_path, modules, "-c", LOAD_COMPAT)

    assert (f"{tmp_path}/cuda/libcublas.so.11\n", "", 0) == (result.stdout, result.stderr, result.returncode)


@pytest.mark.parametrize(("place", "code", "says"), [("system", 0, ""), ("no/such", 1, "ImportError: {}: allowed are")])
def test_cuda_of_the_system_is_left_to_the_loader(
    place: str, code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `system`, nothing is loaded beforehand; a place that is no folder is refused in one line."""
    make_cuda_wheels(tmp_path, CUDA_LIBRARIES)
    monkeypatch.setenv("GLUON_CONFORMANCE_CUDA", place)
    modules = {"mxnet": FAKE_MXNET, "numpy": FAKE_NUMPY, "sitecustomize": RECORD_LOADS}

    result = run_python(tmp_path, modules, "-c", LOAD_COMPAT)

    assert ("", code) == (result.stdout, result.returncode)
    assert says.format(f"GLUON_CONFORMANCE_CUDA={place}") in result.stderr
