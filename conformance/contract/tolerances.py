"""Tolerances, each with its provenance: what was measured, where, and with what margin.

``nox -s tolerances`` measures those of the 12 networks again and reports drift. docs/tolerances.md shows all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """A bound relative to the expected tensor's largest magnitude, unless ``of`` says otherwise.

    Attributes:
        bound: What is allowed.
        seen: The extreme that was measured; 0 where the bound follows from theory.
        where: Networks, builds, threads and seeds of the measurement, or the theory.
        of: What the bound is relative to, where that is not the expected tensor.
    """

    bound: float
    seen: float
    where: str
    of: str = ""

    @property
    def provenance(self) -> str:
        """Where the bound comes from, in words."""
        relative = f"of {self.of}; " if self.of else ""
        if not self.seen:
            return relative + self.where
        extreme, margin = ("largest", self.bound / self.seen) if self.seen < self.bound else ("lowest", 0.0)
        return f"{relative}{extreme} seen {self.seen:.2g} ({self.where})" + (f", margin {margin:.0f}" if margin else "")


CPU = "MXNet 1.9.1 CPU with oneDNN"
TWELVE = f"12 networks, {CPU}, 1 and 2 threads"
FLAT = f"densenet121 with flat concats, {CPU}"
LOOP = f"the smallest network of each family and a small block, {CPU}, 1 thread; alexnet and the block with 2, too"
KERNELS = "oneDNN and OpenBLAS against MXNet's native kernels and OpenBLAS's for Nehalem, 2 threads, MXNet 1.9.1 CPU"
SEEDS = f"20 seeds, benchmarks/convergence.py, {CPU}"

FUSED_LOGITS = Tolerance(6.3e-6, 7.8e-7, f"resnet152 of 12 networks, {CPU}, 2 threads")
BATCH_INDEPENDENCE = Tolerance(1e-5, 1.2e-6, f"vgg13 of {TWELVE}")
CANCELLED_BIAS = Tolerance(2.2e-5, 2.7e-6, TWELVE, of="the layer's largest weight gradient")
RUNNING_STATISTICS = Tolerance(4e-6, 5.0e-7, f"resnet50 of {TWELVE}")
FLOAT32_LAYERS = Tolerance(2.4e-5, 2.9e-6, f"vgg19 of 12 networks, {CPU}, 2 threads")
DERIVATIVE = Tolerance(2.1e-6, 2.6e-7, "resnet50 of resnet50 and densenet121, 6 seeds, MXNet 1.9.1 CPU", of="the slope")
ACCUMULATED = Tolerance(
    2e-6, 2.5e-7, "alexnet of alexnet, resnet50 and densenet121; MXNet 1.9.1 CPU without oneDNN, 1 thread; with it 0"
)
DROPOUT_SIGMAS = Tolerance(6.0, 0, "6 standard deviations: a false alarm in 5e8 draws", of="one draw")
FLOAT64_TRAINING = Tolerance(1e-12, 7.6e-14, f"float64, {FLAT}")
REORDERED_LAYERS = Tolerance(1e-5, 1.3e-6, FLAT)

UPDATE = Tolerance(1e-6, 1.1e-7, f"alexnet of {LOOP}", of="the parameter's largest value")
ADAM_UPDATE = Tolerance(2e-6, 2.3e-7, f"vgg11 of {LOOP}", of="the parameter's largest value")
FITTED_RATE = Tolerance(1e-3, 2.2e-6, f"the small block of {LOOP}", of="the rate")
REPORTED_LOSS = Tolerance(1e-5, 1.9e-6, f"the small block of {LOOP}", of="the loss")

ENGINES = "12 networks, MXNet 1.9.1 CPU and PyTorch 2.13.0 CPU"
ONNX_LAYERS = Tolerance(
    3.3e-5,
    4.1e-6,
    "resnet152 of 12 networks, MXNet 1.9.1 CPU and ONNX Runtime 1.26.0 CPU, real and random images",
)
TORCH_LAYERS = Tolerance(3e-5, 3.8e-6, f"resnet152 of {ENGINES}, real and random images")
PORT_STEP = Tolerance(2.4e-10, 3e-11, f"a gradient of resnet152; {ENGINES}, float64")
PORT_STATISTICS = Tolerance(
    2e-6, 2.5e-7, "resnet50, float64, MXNet 1.9.1 CPU and PyTorch 2.13.0 CPU; the most that a momentum in float32 does"
)
TORCH_UPDATES = {
    "sgd": Tolerance(1.3e-7, 1.6e-8, f"resnet152 of {ENGINES}, float64", of="the parameter's largest change"),
    "adam": Tolerance(2.5e-5, 3.2e-6, f"resnet152 of {ENGINES}, float64", of="the parameter's largest change"),
}

OPERATORS = "the operators of the networks on small tensors, MXNet 1.9.1 CPU against NumPy"
FORMULA = Tolerance(2e-15, 2.5e-16, f"float64, {OPERATORS}")
FORMULA_FLOAT32 = Tolerance(8.8e-6, 1.1e-6, f"float32, softmax cross-entropy of {OPERATORS}")
NUMERIC_GRADIENT = Tolerance(3.2e-9, 4e-10, f"float64, central differences of 1e-5, {OPERATORS}")

#: What two builds, devices or machines may differ by, of a recorded tensor's scale, by section of a recording.
#: `python -m conformance compare` measures them again, in full where both recordings were made with `--tensors`.
RECORDED = {
    "forward": Tolerance(1.3e-10, 1.6e-11, f"resnet152; {KERNELS}"),
    "predict": Tolerance(2.6e-5, 3.3e-6, f"resnet152; {KERNELS}"),
    "backward": Tolerance(1.8e-10, 2.2e-11, f"resnet152; {KERNELS}"),
    "first step": Tolerance(2e-11, 2.4e-12, f"resnet152; {KERNELS}"),
    "later steps": Tolerance(1.4e-8, 1.8e-9, f"resnet152; {KERNELS}"),
}

NOT_MEASURED = "not yet measured on hardware"
DEVICE_LAYERS = Tolerance(
    2.2e-4,
    0,
    f"{NOT_MEASURED}; float32 against float64 on the CPU: 1.4e-5 (densenet121 of alexnet, resnet50, densenet121), "
    "for each of two devices, times 8",
)
TF32_LAYERS = Tolerance(
    5e-3, 0, f"{NOT_MEASURED}; TF32 rounds both factors to 11 bits, 2 * 2**-11 = 1e-3 of each product, times 5"
)
HALF_LOGITS = Tolerance(
    5e-2, 0, f"{NOT_MEASURED}; float16 rounds each of some 200 layers to 11 bits: 2**-11 * sqrt(200) = 7e-3, times 7"
)
AMP_LOSS = Tolerance(5e-2, 0, f"{NOT_MEASURED}; as HALF_LOGITS", of="the loss in float32")
KEPT_MEMORY = Tolerance(0.02, 0, f"{NOT_MEASURED}; blocks of 2 MiB that the driver rounds to", of="what was taken")
FULL_SIZE_ACCURACY = Tolerance(0.5, 0, f"{NOT_MEASURED}; five times chance, after 9,600 images", of="500 images")
FULL_SIZE_CONTROL = Tolerance(0.2, 0, "chance is 0.1, 7 standard deviations of 500 draws below", of="500 images")

#: What each family must learn, a fraction of 64 images; not relative.
LEARNED_ACCURACY = {
    "alexnet": Tolerance(0.4, 0.609, SEEDS, of="64 images"),
    "vgg11": Tolerance(0.3, 0.578, SEEDS, of="64 images"),
    "resnet50": Tolerance(0.6, 0.813, SEEDS, of="64 images"),
    "densenet121": Tolerance(0.75, 0.922, SEEDS, of="64 images"),
}
#: What the negative control must not exceed, a fraction of 200 held-out images; chance is 0.1; not relative.
CONTROL_ACCURACY = {
    "alexnet": Tolerance(0.3, 0.17, SEEDS, of="200 images"),
    "vgg11": Tolerance(0.3, 0.105, SEEDS, of="200 images"),
    "resnet50": Tolerance(0.3, 0.135, SEEDS, of="200 images"),
    "densenet121": Tolerance(0.3, 0.15, SEEDS, of="200 images"),
}


def every() -> dict[str, Tolerance]:
    """All tolerances by name: ``FUSED_LOGITS``, ``LEARNED_ACCURACY[vgg11]``, ..."""
    found: dict[str, Tolerance] = {}
    for name, value in globals().items():
        if isinstance(value, Tolerance):
            found[name] = value
        elif isinstance(value, dict) and name.isupper():
            found |= {f"{name}[{key}]": bound for key, bound in value.items() if isinstance(bound, Tolerance)}
    return found
