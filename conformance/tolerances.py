"""Tolerances, each with its provenance: what was measured, where, and with what margin.

``benchmarks/tolerances.py`` measures those of the 12 networks again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """A bound relative to the expected tensor's largest magnitude, unless its provenance says otherwise."""

    bound: float
    provenance: str


MEASURED = "MXNet 1.9.1 CPU with oneDNN, 12 networks, 1 and 2 threads"

FUSED_LOGITS = Tolerance(6e-6, f"largest seen 7.4e-7 (resnet152), margin 8; {MEASURED}")
BATCH_INDEPENDENCE = Tolerance(1e-5, f"largest seen 1.2e-6 (vgg13), margin 8; {MEASURED}")
CANCELLED_BIAS = Tolerance(2.2e-5, f"of the layer's largest weight gradient; largest seen 2.7e-6, margin 8; {MEASURED}")
RUNNING_STATISTICS = Tolerance(4e-6, f"largest seen 5.0e-7 (resnet50), margin 8; {MEASURED}")
FLOAT32_LAYERS = Tolerance(1e-5, "to be measured")
ACCUMULATED = Tolerance(
    2e-6,
    "largest seen 2.5e-7 (alexnet), margin 8; MXNet 1.9.1 CPU without oneDNN (with it 0), alexnet, resnet50 and "
    "densenet121, 1 thread",
)
DERIVATIVE = Tolerance(1.5e-7, "to be measured")
DROPOUT_SIGMAS = Tolerance(6.0, "6 standard deviations: a false alarm in 5e8 draws")
FLOAT64_TRAINING = Tolerance(
    1e-12, "float64; largest seen 7.6e-14 (densenet121 with flat concats), margin 13; MXNet 1.9.1 CPU"
)
REORDERED_LAYERS = Tolerance(1e-5, "largest seen 1.3e-6 (densenet121 with flat concats), margin 8; MXNet 1.9.1 CPU")

LOOP = "MXNet 1.9.1 CPU with oneDNN, the smallest network of each family and a small block, 1 and 2 threads"
UPDATE = Tolerance(1e-6, f"of the parameter's largest value; largest seen 1.1e-7 (alexnet), margin 9; {LOOP}")
FITTED_RATE = Tolerance(1e-3, f"largest seen 2.2e-6 (the small block); {LOOP}")
REPORTED_LOSS = Tolerance(1e-5, f"largest seen 1.9e-6 (the small block), margin 5; {LOOP}")

SEEDS = "20 seeds, benchmarks/convergence.py, MXNet 1.9.1 CPU"

#: What each family must learn, a fraction of 64 images; not relative.
LEARNED_ACCURACY = {
    "alexnet": Tolerance(0.4, f"lowest seen 0.56; {SEEDS}"),
    "vgg11": Tolerance(0.3, "to be measured"),
    "resnet50": Tolerance(0.6, "to be measured"),
    "densenet121": Tolerance(0.75, f"lowest seen 0.95; {SEEDS}"),
}
#: What the negative control must not exceed, a fraction of 200 held-out images; chance is 0.1; not relative.
CONTROL_ACCURACY = {
    "alexnet": Tolerance(0.3, f"highest seen 0.16; {SEEDS}"),
    "vgg11": Tolerance(0.3, "to be measured"),
    "resnet50": Tolerance(0.3, "to be measured"),
    "densenet121": Tolerance(0.3, f"highest seen 0.20; {SEEDS}"),
}
