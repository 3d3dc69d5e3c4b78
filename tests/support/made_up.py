"""Made-up modules in the place of MXNet and NumPy, and Python run with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAKE_MXNET = "import types; __version__ = '1.9.1'; gluon = types.SimpleNamespace(HybridBlock=object)\n"
FAKE_NUMPY = "__version__ = '1.26.4'\n"
# The module alone, as a member of a package without the networks, which no made-up MXNet could build.
LOAD_COMPAT = (
    "import sys, types; package = sys.modules['reference'] = types.ModuleType('reference'); "
    f"package.__path__ = [{str(ROOT / 'reference')!r}]; import reference.runtime.mxnet_compat"
)
REMEDY = "install gluon-conformance[cpu] or gluon-conformance[gpu], or your own build of MXNet 1.x"
WITHOUT = "import sys; sys.modules.update(dict.fromkeys({}))\n"

REFUSALS = {
    "no_mxnet": (
        {"sitecustomize": WITHOUT.format(["mxnet"])},
        f"MXNet is not installed: {REMEDY}",
    ),
    "mxnet_2": (
        {"mxnet": "__version__ = '2.0.0b1'", "numpy": FAKE_NUMPY},
        f"MXNet 1.x is needed, found 2.0.0b1: {REMEDY}",
    ),
    "mxnet_of_another_kind": (
        {"mxnet": "", "numpy": FAKE_NUMPY},
        f"MXNet 1.x is needed, found a module without a version: {REMEDY}",
    ),
    "mxnet_without_its_libraries": (
        {"mxnet": r"raise OSError('libcudart.so.11.0: cannot open\nmore')", "numpy": FAKE_NUMPY},
        "MXNet is installed but does not load: OSError: libcudart.so.11.0: cannot open",
    ),
    "mxnet_that_fails_without_a_word": (
        {"mxnet": "raise AssertionError", "numpy": FAKE_NUMPY},
        "MXNet is installed but does not load: AssertionError: no message",
    ),
    "numpy_2": (
        {"mxnet": FAKE_MXNET, "numpy": "__version__ = '2.1.0'"},
        "MXNet needs NumPy >=1.23,<2, found 2.1.0",
    ),
    "no_numpy": (
        {"mxnet": FAKE_MXNET, "sitecustomize": WITHOUT.format(["numpy"])},
        "MXNet needs NumPy >=1.23,<2, which is not installed",
    ),
    "no_distutils": (
        {
            "mxnet": FAKE_MXNET,
            "numpy": FAKE_NUMPY,
            "sitecustomize": WITHOUT.format(["distutils", "setuptools"]),
        },
        "MXNet needs distutils, which Python 3.12 removed: install setuptools, which brings it",
    ),
}


def run_python(folder: Path, modules: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with ``modules`` (name -> source) in the place of the installed ones."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
