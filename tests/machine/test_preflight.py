"""What the preflight makes of a driver and its devices, and of a build: the first problem, with a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import stub_gpu
from conformance.machine import preflight
from conformance.machine.devices import devices_of
from conformance.machine.findings import Findings, Problem
from conformance.machine.machine_code import MachineCode
from conformance.machine.remedies import problems_of

BUILD = MachineCode(((5, 0), (6, 0), (7, 0), (8, 0), (8, 6)))
FACTS = {"mxnet": "1.9.1", "folder": "/builds/mxnet", "numpy": "1.23.5", "features": ["CUDA"], "gpus": 1}
HAS = "it has machine code for 5.0, 6.0, 7.0, 8.0, 8.6, and no PTX that fits"
STUBS: dict[str, tuple[dict[str, str], str]] = {
    "7.5": ({"STUB_DEVICES": "7.5"}, ""),
    "8.6": ({"STUB_DEVICES": "8.6"}, ""),
    "8.9": ({"STUB_DEVICES": "8.9"}, ""),
    "9.0": (
        {"STUB_DEVICES": "9.0"},
        f"GPU 0 (Stub 9.0, compute capability 9.0) is too new for this MXNet build: {HAS}",
    ),
    "12.0": (
        {"STUB_DEVICES": "12.0"},
        f"GPU 0 (Stub 12.0, compute capability 12.0) is too new for this MXNet build: {HAS}",
    ),
    "3.5": (
        {"STUB_DEVICES": "3.5"},
        f"GPU 0 (Stub 3.5, compute capability 3.5) is too old for this MXNet build: {HAS}",
    ),
    "one of two": ({"STUB_DEVICES": "12.0,8.6"}, ""),
    "little memory": (
        {"STUB_DEVICES": "8.6", "STUB_FREE_MIB": "700"},
        "GPU 0 (Stub 8.6, compute capability 8.6) is out of memory: 700 MiB of 24576 MiB are free, 1024 are needed",
    ),
    "no memory": (
        {"STUB_DEVICES": "8.6", "STUB_CONTEXT": "2"},
        "GPU 0 (Stub 8.6, compute capability 8.6) is busy or out of memory: "
        "cuDevicePrimaryCtxRetain: out of memory (2)",
    ),
    "busy": (
        {"STUB_DEVICES": "8.6", "STUB_CONTEXT": "46"},
        "GPU 0 (Stub 8.6, compute capability 8.6) is busy or out of memory: cuDevicePrimaryCtxRetain: "
        "CUDA-capable device(s) is/are busy or unavailable (46)",
    ),
    "old driver": (
        {"STUB_DEVICES": "8.6", "STUB_VERSION": "10020"},
        "the NVIDIA driver is too old: it knows CUDA 10.2, and this build needs CUDA 11.8",
    ),
    "old driver without fusion": (
        {"STUB_DEVICES": "8.6", "STUB_VERSION": "10020", "MXNET_USE_FUSION": "0"},
        "the NVIDIA driver is too old: it knows CUDA 10.2, and this build needs CUDA 11.0",
    ),
    "older than the compiler": (
        {"STUB_DEVICES": "8.6", "STUB_VERSION": "11040"},
        "the NVIDIA driver is too old: it knows CUDA 11.4, and this build needs CUDA 11.8",
    ),
    "older, without fusion": ({"STUB_DEVICES": "8.6", "STUB_VERSION": "11040", "MXNET_USE_FUSION": "0"}, ""),
    "no device": ({}, "no GPU: the NVIDIA driver shows no device"),
    "hidden": ({"CUDA_VISIBLE_DEVICES": "7"}, "no GPU: the NVIDIA driver shows no device (CUDA_VISIBLE_DEVICES=7)"),
    "broken driver": ({"STUB_INIT": "999"}, "the NVIDIA driver does not work: cuInit: unknown error (999)"),
    "crash": (
        {"STUB_DEVICES": "8.6", "STUB_CRASH": "abort"},
        "the NVIDIA driver does not work: the NVIDIA driver ended its process with SIGABRT while it was imported or "
        "first used",
    ),
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the stub of the driver."""
    return stub_gpu.driver(tmp_path_factory.mktemp("driver"))


@pytest.mark.parametrize("case", STUBS)
def test_driver_and_its_devices_are_judged(case: str, driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a driver says of itself and its devices leads to the right first problem, or to none."""
    environment, expected = STUBS[case]
    for key, value in {"LD_PRELOAD": str(driver), **environment}.items():
        monkeypatch.setenv(key, value)

    found = preflight.ask_driver()

    devices = devices_of(found.pop("devices"), BUILD)
    facts = {**FACTS, "gpus": len(devices), "gpu_error": ""}
    problems = list(problems_of(Findings("gpu", facts=facts, code=BUILD, nvrtc=11080, driver=found, devices=devices)))
    assert expected == (problems[0].problem if problems else "")
    assert all(problem.remedy for problem in problems)


def test_driver_that_hangs_is_stopped(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that never answers is stopped at the time limit."""
    monkeypatch.setenv("LD_PRELOAD", str(driver))
    monkeypatch.setenv("STUB_CRASH", "hang")
    monkeypatch.setenv("STUB_DEVICES", "8.6")
    monkeypatch.setattr(preflight, "DRIVER_LIMIT", 3)

    assert "the NVIDIA driver gave no answer within 3 s and was stopped" == preflight.ask_driver()["error"]


def test_two_distributions_of_one_module_are_refused() -> None:
    """The CPU and the GPU build in one environment, which write the same files, are named."""
    (problem,) = problems_of(Findings("cpu", distributions=["mxnet 1.9.1", "mxnet-cu112 1.9.1"], facts=FACTS))
    assert "mxnet 1.9.1 and mxnet-cu112 1.9.1 are installed, which write the same files" == problem.problem


def test_library_that_cannot_be_read_is_a_problem() -> None:
    """A damaged library is named where nothing else is known to be missing."""
    assert [Problem.of("libmxnet.so: not a 64-bit ELF file")] == list(
        problems_of(Findings("cpu", refusal="libmxnet.so: not a 64-bit ELF file"))
    )


def test_devices_that_mxnet_does_not_count_are_a_problem() -> None:
    """A device that the driver shows and MXNet does not is a problem of its own."""
    row: dict[str, Any] = {
        "number": 0,
        "name": "A",
        "capability": [8, 6],
        "total": 8 << 30,
        "free": 8 << 30,
        "error": "",
    }
    found = {"found": True, "version": 12040, "error": ""}
    facts = {**FACTS, "gpus": 0, "gpu_error": ""}
    (problem,) = problems_of(Findings("gpu", facts=facts, code=BUILD, driver=found, devices=devices_of([row], BUILD)))
    assert "the GPUs cannot be counted: the driver shows 1, MXNet none" == problem.problem
