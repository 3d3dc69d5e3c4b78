"""A GPU against the CPU: layers, whole runs, half precision, memory and full-size training. With `--ctx gpu` only.

What is exact on the CPU is asked for on the device by switches (``conformance/contract/switches.py``), which are
environment variables; a variant that changes one is run in a process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.contract.check import NETWORKS, Check
from conformance.contract.outcomes import SHOWN, Problem, Vacuous, refuse
from conformance.contract.specification import REPRESENTATIVES
from conformance.contract.switches import Switches
from conformance.contract.tolerances import (
    AMP_LOSS,
    DEVICE_LAYERS,
    FULL_SIZE_ACCURACY,
    FULL_SIZE_CONTROL,
    HALF_LOGITS,
    KEPT_MEMORY,
    TF32_LAYERS,
)
from conformance.tensors.comparison import compare

if TYPE_CHECKING:
    from conformance.contract.subject import Subject
    from conformance.experiments.devices.two_devices import TwoDevices

ENVIRONMENT = "https://mxnet.apache.org/versions/1.9.1/api/faq/env_var"
AMP = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/tutorials/performance/backend/amp.html"
GPU_MEMORY = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/mxnet/context/index.html"
CONVERGENCE = "conformance/contract/tolerances.py: bounds not yet measured on hardware"

#: How a variant's process differs from the others: see ``REPEATABLE`` in conformance/contract/switches.py.
SWITCHES: dict[str, Switches] = {
    "tf32": (("NVIDIA_TF32_OVERRIDE", "1"),),
    "autotuned": (("MXNET_CUDNN_AUTOTUNE_DEFAULT", "1"), ("MXNET_ENFORCE_DETERMINISM", "0")),
    "any_order": (("MXNET_ENFORCE_DETERMINISM", "0"),),
    "fused": (("MXNET_USE_FUSION", "1"),),
    "amp": (("GLUON_CONFORMANCE_PROCESS", "amp"),),  # AMP changes MXNet for good
}


def switches(variant: str) -> Switches:
    """The environment variables of a variant's process."""
    return SWITCHES.get(variant, ())


def unless_small(subject: Subject) -> str:
    """The control needs no more than one network a family."""
    if subject.architecture in REPRESENTATIVES:
        return ""
    return f"controlled is only the smallest network of each family: {', '.join(REPRESENTATIVES)}"


def check_layers(devices: TwoDevices, variant: str) -> None:
    """Every operator gives on the device what it gives on the CPU, from the same inputs and upstream gradient.

    Outputs in both modes, gradients of all inputs and running statistics, in float32: an operator that is wrong is
    seen by itself, before anything is built on it. The first line names the first one.
    """
    bound = TF32_LAYERS if variant == "tf32" else DEVICE_LAYERS
    problems: list[Problem] = []
    compared, gradients = 0, False
    for pair in devices.layer_pairs():
        lines = compare(pair.name, pair.expected, pair.actual, bound.bound, bound.provenance)
        problems += [Problem(line, pair.place) for line in lines]
        compared += 1
        gradients |= "gradient" in pair.name and bool(pair.expected.any())
    if not compared or not gradients:
        raise Vacuous("no operator was compared, or every gradient is zero")
    refuse(problems[:SHOWN])


def check_whole(devices: TwoDevices, variant: str) -> None:
    """In float64, the device gives the CPU's layers, gradients, statistics and parameters over three training steps.

    Dropout is left out. On a device ``static_alloc`` makes the pointwise fusion possible, which compiles operators
    anew: the variant ``fused`` has it on, ``static_alloc`` off.
    """
    verdicts = devices.whole_run("imperative" if variant == "imperative" else "static_alloc")
    if not verdicts:
        raise Vacuous("nothing was compared")
    refuse([Problem(verdict.text, verdict.tensor.layer) for verdict in verdicts if verdict.fails][:SHOWN])


def check_half(devices: TwoDevices, variant: str) -> None:
    """In float16 the network predicts on the device what it does in float32 on the CPU; with AMP it trains.

    ``cast`` casts the whole network, ``amp`` leaves to MXNet which operators compute in float16. A logit that is not
    finite has overflowed: a layer whose values exceed 65504 needs float32.
    """
    if variant == "cast":
        expected, actual = devices.logits_in_half()
        refuse(compare("logits in float16", expected, actual, HALF_LOGITS.bound, HALF_LOGITS.provenance))
        return
    loss, losses, taken = devices.losses_with_amp()
    problems = [f"loss with AMP, step {step}: not finite" for step, found in enumerate(losses, 1) if found - found != 0]
    allowed = AMP_LOSS.bound * abs(loss)
    if not abs(losses[0] - loss) <= allowed:
        numbers = f"expected {loss:.6g}, actual {losses[0]:.6g}, allowed {allowed:.2g} ({AMP_LOSS.provenance})"
        problems.append(f"first loss with AMP: {numbers}")
    if not taken:
        problems.append(f"parameters after {len(losses)} steps with AMP: expected moved, actual unchanged")
    refuse(problems)


def check_memory(devices: TwoDevices) -> None:
    """Once a network is gone, the device has back the memory that it took.

    What is kept from network to network fills the device in a long run. Other programs on the device disturb the
    measurement: run it alone.
    """
    taken, kept = devices.memory_kept()
    if taken <= 0:
        raise Vacuous("the network took no memory of the device")
    if kept > KEPT_MEMORY.bound * taken:
        refuse([f"memory kept: expected at most {KEPT_MEMORY.bound:g} of {taken:,} bytes, actual {kept:,}"])


def check_learns(devices: TwoDevices) -> None:
    """At full size it learns real images: held-out accuracy after 300 steps is above the bound.

    A network whose single steps are right and that does not learn has a wrong initializer, scale or mode.
    """
    bound, actual = FULL_SIZE_ACCURACY, devices.accuracy(shuffled=False)
    if actual < bound.bound:
        refuse([f"held-out accuracy: expected at least {bound.bound} ({bound.provenance}), actual {actual:.3f}"])


def check_negative_control(devices: TwoDevices) -> None:
    """At full size, with shuffled labels, held-out accuracy stays at chance.

    Accuracy above chance from labels that say nothing means that the true labels leak into the run.
    """
    bound, actual = FULL_SIZE_CONTROL, devices.accuracy(shuffled=True)
    if actual > bound.bound:
        refuse([f"held-out accuracy: expected at most {bound.bound} ({bound.provenance}), actual {actual:.3f}"])


CHECKS = (
    Check(check_layers, ENVIRONMENT, ("repeatable", "tf32", "autotuned", "any_order"), ctx="gpu", switches=switches),
    Check(check_whole, ENVIRONMENT, ("imperative", "static_alloc", "fused"), ctx="gpu", switches=switches),
    Check(check_half, AMP, ("cast", "amp"), ctx="gpu", switches=switches),
    Check(check_memory, GPU_MEMORY, ctx="gpu"),
    Check(check_learns, CONVERGENCE, kinds=NETWORKS, ctx="gpu"),
    Check(check_negative_control, CONVERGENCE, kinds=NETWORKS, ctx="gpu", unless=unless_small),
)
