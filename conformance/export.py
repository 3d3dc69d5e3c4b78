"""``python -m conformance export``: write a network to a file that says what it is, and verify it first."""

from __future__ import annotations

from typing import Any

from conformance.engines.onnx_export import to_onnx
from conformance.tracing import trace


def network_to_onnx(net: Any, shape: tuple[int, ...]) -> Any:
    """Export a HybridBlock that has weights.

    Args:
        net: The network.
        shape: Of one batch of images (N, C, H, W); N may be any number when the model is run.

    Returns:
        ``onnx.ModelProto``, see :func:`~conformance.engines.onnx_export.to_onnx`.
    """
    _, symbol = trace(net, shape)
    return to_onnx(symbol, {name: each.data() for name, each in net.collect_params().items()}, shape)
