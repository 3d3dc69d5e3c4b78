"""``python -m conformance record``: write down what this build, device and machine computes."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from conformance.contract.subject import RequestError, parse_subjects
from conformance.contract.switches import REPEATABLE
from conformance.contract.task import Task
from conformance.machine.asking import ask
from conformance.machine.environment import numeric_switches, processor
from conformance.machine.preflight import place, preflight, require_device
from conformance.tensors.recording_file import WHOLE_SUFFIX, SubjectRecord, Tensor, replacing
from conformance.worker.process import Settings, Worker, share_of_cores

TIME_LIMIT = 900.0
RECORD = "conformance.experiments.layers:record_layers"


class NotRecorded(Exception):
    """A subject that could not be recorded; the text says why, in one line."""


def add_record_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``record``; those it shares with the catalogue mean the same."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write; subjects already there are replaced")
    parser.add_argument("--subject", action="append", default=[], metavar="NAME[=MODULE:ATTRIBUTE]", help="what to run")
    parser.add_argument("--input-shape", metavar="C,H,W", help="shape of one input of your own block")
    parser.add_argument("--weights", metavar="FILE.params", help="trained weights of the subject")
    parser.add_argument("--ctx", choices=("cpu", "gpu"), default="cpu", help="the device, default: cpu")
    parser.add_argument("--tensors", action="store_true", help="write all tensors in full as well: gigabytes")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=TIME_LIMIT,
        metavar="SECONDS",
        help="seconds one subject may take before it counts as hung (default: %(default)g)",
    )


def run_record(arguments: argparse.Namespace) -> int:
    """Record subject by subject, and report each that could not be.

    Returns:
        0, or 1 if a subject could not be recorded.

    Raises:
        RequestError: If the request is wrong.
        OSError: If the folder cannot be written.
        Unusable: If MXNet or the device cannot be used.
    """
    subjects = parse_subjects(arguments.subject, arguments.input_shape, arguments.weights)
    if arguments.time_limit <= 0:
        raise RequestError(f"--time-limit {arguments.time_limit:g}: allowed are positive seconds")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(arguments.ctx)
    code = 0
    for subject in subjects:
        worker = Worker(subject, Settings(place(arguments.ctx), arguments.time_limit))
        try:
            path = record_subject(worker, machine, arguments.folder, whole=arguments.tensors)
            print(f"{path}: {path.stat().st_size:,} bytes", flush=True)
        except NotRecorded as reason:
            print(f"{subject.name}: not recorded: {reason}", file=sys.stderr, flush=True)
            code = 1
        finally:
            worker.close()
    return code


def describe_machine(ctx: str) -> dict[str, str]:
    """Everything that may change numbers: build, libraries, device, threads, switches, machine.

    Raises:
        Unusable: If MXNet or the device cannot be used.
    """
    if ctx != "cpu":
        require_device(ctx)
    facts = ask("facts")
    return {
        "suite": version("gluon-conformance"),
        "MXNet": facts["mxnet"],
        "features": " ".join(facts["features"]),
        "NumPy": facts["numpy"],
        "Python": platform.python_version(),
        "ctx": ctx,
        **({} if ctx == "cpu" else _device(place(ctx))),
        "threads": os.environ.get("OMP_NUM_THREADS", str(share_of_cores())),
        "numeric switches": " ".join(numeric_switches()) or "none set",
        "machine": f"{platform.platform()}, {processor()}",
    }


def _device(chosen: str) -> dict[str, str]:
    """The GPU, the driver, and the switches that its runs have where the environment has no other."""
    found = preflight("gpu")
    (device,) = (device for device in found.devices if chosen == f"gpu:{device.number}")
    switches = " ".join(f"{name}={os.environ.get(name, value)}" for name, value in REPEATABLE)
    return {"device": device.words, "driver": f"CUDA {found.driver['version']}", "on the device": switches}


def record_subject(worker: Worker, machine: Mapping[str, str], folder: Path, *, whole: bool) -> Path:
    """Record one subject; its old recording stays until the new one is complete.

    Args:
        worker: The subject's worker.
        machine: What :func:`describe_machine` gives.
        folder: Where to write.
        whole: Whether to write all tensors in full as well.

    Returns:
        The recording's file.

    Raises:
        NotRecorded: If the subject fails, crashes, hangs or cannot be built.
        OSError: If a file cannot be written.
    """
    tensors = folder / f"{worker.subject.name}{WHOLE_SUFFIX}"
    if whole:
        with replacing(tensors) as file:
            rows = _rows(worker, file.name)
    else:
        rows = _rows(worker, "")
    path = SubjectRecord(worker.subject.name, machine, tuple(map(Tensor.from_row, rows)), whole).write(folder)
    if not whole:
        tensors.unlink(missing_ok=True)
    return path


def _rows(worker: Worker, whole: str) -> list[list[object]]:
    """Let the worker record; returns the lines of the file."""
    result = worker.run(Task(RECORD, (whole,), "record"))
    if result.outcome != "passed" or result.payload is None:
        raise NotRecorded(f"{result.outcome}: {' '.join(result.text.split())}")
    rows: list[list[object]] = json.loads(result.payload)
    return rows
