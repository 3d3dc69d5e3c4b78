"""Make ``import mxnet`` work on Python 3.10 to 3.13 with NumPy >=1.23,<2, or say in one line why it cannot.

MXNet 1.9 was written for NumPy below 1.24 and for a Python that still had ``distutils``. What it misses of
either is put back before it is imported. Every module of this project takes MXNet from here::

    from reference.runtime.mxnet_compat import mx
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

from reference.runtime.cuda import preload
from reference.runtime.parameter_server import role, role_hidden, serve

REMEDY = "install gluon-conformance[cpu] or gluon-conformance[gpu], or your own build of MXNet 1.x"

REMOVED_ALIASES = ("bool", "int", "float", "object", "complex", "str")
"""Names NumPy 1.24 removed and MXNet reads.

Source: https://numpy.org/doc/stable/release/1.24.0-notes.html
"""


def import_mxnet() -> ModuleType:
    """Import MXNet 1.x, with what newer NumPy and Python took from it put back.

    No warning leaves the import, so it also works where warnings are errors.

    Returns:
        The module ``mxnet``.

    Raises:
        ImportError: In one line, if MXNet is missing, does not load or is not 1.x, if NumPy is missing or is
            2.x, if neither Python nor setuptools has ``distutils``, or if there is no CUDA where it is said to be.
    """
    if importlib.util.find_spec("mxnet") is None:
        raise ImportError(f"MXNet is not installed: {REMEDY}", name="mxnet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _restore_numpy_aliases()
        _provide_distutils()
        preload()
        with role_hidden():
            mxnet = _load_mxnet()
    _require_major_version_one(mxnet)
    return mxnet


def _restore_numpy_aliases() -> None:
    try:
        numpy = importlib.import_module("numpy")
    except ImportError as error:
        raise ImportError("MXNet needs NumPy >=1.23,<2, which is not installed", name="numpy") from error
    if int(numpy.__version__.split(".")[0]) >= 2:
        raise ImportError(f"MXNet needs NumPy >=1.23,<2, found {numpy.__version__}", name="numpy")
    for alias in REMOVED_ALIASES:
        # vars() rather than hasattr(): NumPy 1.23 answers the attribute with a DeprecationWarning.
        if alias not in vars(numpy):
            setattr(numpy, alias, getattr(builtins, alias))


def _provide_distutils() -> None:
    if importlib.util.find_spec("distutils") is not None:
        return
    try:
        # From Python 3.12 on, setuptools puts its own copy in the place of the removed module.
        importlib.import_module("setuptools")
        importlib.import_module("distutils")
    except ImportError as error:
        raise ImportError(
            "MXNet needs distutils, which Python 3.12 removed: install setuptools, which brings it",
            name="distutils",
        ) from error


def _load_mxnet() -> ModuleType:
    try:
        return importlib.import_module("mxnet")
    except Exception as error:  # OSError where CUDA libraries are missing, whatever else a build pleases
        reason = (str(error).splitlines() or ["no message"])[0]
        raise ImportError(
            f"MXNet is installed but does not load: {type(error).__name__}: {reason}", name="mxnet"
        ) from error


def _require_major_version_one(mxnet: ModuleType) -> None:
    version = str(getattr(mxnet, "__version__", "a module without a version"))
    if version.split(".")[0] != "1":
        raise ImportError(f"MXNet 1.x is needed, found {version}: {REMEDY}", name="mxnet")


mx: Any = import_mxnet()
if role() in ("scheduler", "server"):
    serve(mx)

if TYPE_CHECKING:

    class HybridBlock:
        """What a type checker is told of ``mxnet.gluon.HybridBlock``, which has no types of its own."""

        def __init__(self, prefix: str | None = None, params: Any = None) -> None:
            """See Gluon."""

        def __call__(self, x: Any, *args: Any) -> Any:
            """See Gluon."""

        def forward(self, x: Any, *args: Any) -> Any:
            """See Gluon."""

        def __getattr__(self, name: str) -> Any:
            """Everything else is untyped."""
else:
    HybridBlock = mx.gluon.HybridBlock
