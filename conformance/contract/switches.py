"""Environment variables that change numbers: how a check or a device asks for them."""

from __future__ import annotations

Switches = tuple[tuple[str, str], ...]
"""Environment variables with values."""

REPEATABLE: Switches = (
    ("NVIDIA_TF32_OVERRIDE", "0"),  # float32 is float32
    ("MXNET_ENFORCE_DETERMINISM", "1"),  # no sums in an order that changes from run to run
    ("MXNET_CUDNN_AUTOTUNE_DEFAULT", "0"),  # no algorithm chosen by the clock
    ("MXNET_USE_FUSION", "0"),  # static_alloc runs the operators that the other variants run
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),  # cuBLAS's own condition for repeatable results
)
"""How subjects run on a device unless the environment says otherwise: what is bit-exact on the CPU is asked for here.

Source: MXNet's docs/static_site/src/pages/api/faq/env_var.md, and 'Results Reproducibility' in cuBLAS's documentation.
"""
