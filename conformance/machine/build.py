"""What MXNet build this is, and whether a device of it computes; for a process that may crash or hang."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.runtime.devices import context
from reference.runtime.errors import cause
from reference.runtime.mxnet_compat import mx

SPECIFIED = "1.9.1"
"""The version of MXNet whose behaviour the suite specifies."""


def facts() -> dict[str, Any]:
    """MXNet's version, folder, enabled features and number of GPUs, and NumPy's version.

    Where the GPUs cannot be counted, ``gpus`` is 0 and ``gpu_error`` says why.
    """
    features = sorted(name for name, feature in mx.runtime.Features().items() if feature.enabled)
    gpus, gpu_error = 0, ""
    try:
        gpus = mx.context.num_gpus()
    except mx.MXNetError as error:
        gpu_error = cause(error)
    return {
        "mxnet": mx.__version__,
        "folder": mx.__path__[0],
        "numpy": np.__version__,
        "features": features,
        "gpus": gpus,
        "gpu_error": gpu_error,
    }


def describe() -> list[str]:
    """Lines about MXNet's version, place, features, NumPy and devices, for the header."""
    found = facts()
    other = found["mxnet"].partition("+")[0] != SPECIFIED
    warning = [f"MXNet {found['mxnet']} is under test; what is expected of it is specified for {SPECIFIED}"]
    return [
        f"MXNet {found['mxnet']} from {found['folder']}, NumPy {found['numpy']}, {found['gpus']} GPU(s)",
        *(warning if other else []),
        f"features: {' '.join(found['features'])}",
    ]


def try_device(ctx: str) -> str:
    """Compute one convolution of ones on a device.

    Args:
        ctx: See :func:`context`.

    Returns:
        What is wrong, or an empty text.
    """
    device = context(ctx)
    try:
        images, weight = mx.nd.ones((1, 3, 8, 8), ctx=device), mx.nd.ones((2, 3, 3, 3), ctx=device)
        output = mx.nd.Convolution(images, weight, kernel=(3, 3), num_filter=2, no_bias=True).asnumpy()
    except mx.MXNetError as error:
        return f"{device} cannot be used: {cause(error)}"
    if not np.array_equal(output, np.full((1, 2, 6, 6), 27)):
        return f"{device} computes a wrong convolution: expected 27 everywhere, actual {output.flat[0]:g}"
    return ""
