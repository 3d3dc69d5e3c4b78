"""What keeps a machine from being used, judged from the preflight's findings: each problem with its remedy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from conformance.machine.asking import LIBCUDA, NO_DRIVER
from conformance.machine.findings import REPORT, Findings, Problem

INSTALL_GPU = "install gluon-conformance[gpu] in an environment that has no other MXNet"


def problems_of(found: Findings) -> Iterator[Problem]:
    """All that keeps the device asked for from being used, the cause first."""
    known = list(_build_problems(found))
    if found.ctx == "gpu" and found.with_cuda:
        known += _driver_problems(found)
    yield from known
    if found.wrong and not known:
        yield Problem(found.wrong, f"see whether another program can use it, or {REPORT}")


def _build_problems(found: Findings) -> Iterator[Problem]:
    """What is wrong with MXNet itself."""
    if len(found.distributions) > 1:
        yield Problem(
            f"{' and '.join(found.distributions)} are installed, which write the same files",
            f"uninstall them all, then install one ({sys.executable} -m pip uninstall ...)",
        )
    missing = [row for row in found.libraries if row["error"]]
    if any(row["name"] == LIBCUDA for row in missing):
        yield Problem.of(NO_DRIVER)
    for row in missing:
        if row["name"] != LIBCUDA:
            remedy = f"install {row['brought_by']}" if row["brought_by"] else "install what brings it"
            yield Problem(f"this MXNet build needs {row['name']}, which does not load ({row['error']})", remedy)
    if found.refusal and not missing:
        yield Problem.of(found.refusal)
    if found.ctx == "gpu" and found.facts and not found.with_cuda:
        what = f"MXNet {found.facts['mxnet']} from {found.folder} is built without CUDA"
        yield Problem(what, INSTALL_GPU)


def _driver_problems(found: Findings) -> Iterator[Problem]:
    """What keeps a build for GPUs from using one."""
    driver = found.driver
    if driver["error"] and driver["found"]:
        yield Problem(
            f"the NVIDIA driver does not work: {driver['error']}",
            "see whether nvidia-smi works; after an update of the driver, restart the machine",
        )
        return
    yield from _too_old(found)
    if driver["found"] and not found.devices:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        shown = f" (CUDA_VISIBLE_DEVICES={hidden})" if hidden is not None else ""
        yield Problem(
            f"no GPU: the NVIDIA driver shows no device{shown}",
            "in a container or a virtual machine, pass one through; see whether nvidia-smi lists it",
        )
        return
    if found.devices and not any(device.usable for device in found.devices):
        yield from (Problem(device.problem, device.remedy) for device in found.devices)
    elif found.facts and (found.facts["gpu_error"] or not found.facts["gpus"]):
        counted = found.facts["gpu_error"] or f"the driver shows {len(found.devices)}, MXNet none"
        yield Problem(f"the GPUs cannot be counted: {counted}", REPORT)


def _too_old(found: Findings) -> Iterator[Problem]:
    """A driver must know the CUDA of the build's libraries.

    Within one major version an older driver runs machine code, but refuses the PTX of a newer runtime compiler, which
    MXNet asks for every operator that it fuses. Source: CUDA Compatibility, section 'Minor Version Compatibility'.
    """
    known, compiler = found.driver["version"], found.nvrtc
    fuses = os.environ.get("MXNET_USE_FUSION") != "0"
    wanted = compiler if fuses else compiler // 1000 * 1000
    if 0 < known < wanted:
        others = "" if known < compiler // 1000 * 1000 else ", set MXNET_USE_FUSION=0"
        yield Problem(
            f"the NVIDIA driver is too old: it knows CUDA {_cuda(known)}, and this build needs CUDA {_cuda(wanted)}",
            f"update the driver{others}, or name an older CUDA in GLUON_CONFORMANCE_CUDA",
        )


def _cuda(number: int) -> str:
    """``11.8`` for 11080."""
    return f"{number // 1000}.{number % 1000 // 10}"
