"""What MXNet build this is, in a few lines for the header."""

from __future__ import annotations

import numpy as np

from reference.mxnet_compat import mx


def describe() -> list[str]:
    """Lines about MXNet's version, place, features, NumPy and devices."""
    features = sorted(name for name, feature in mx.runtime.Features().items() if feature.enabled)
    return [
        f"MXNet {mx.__version__} from {mx.__path__[0]}, NumPy {np.__version__}, {mx.context.num_gpus()} GPU(s)",
        f"features: {' '.join(features)}",
    ]
