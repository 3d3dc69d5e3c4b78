"""Benches of subjects in the process of the tests, and checks run on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broken_blocks import INPUT_SHAPE
from conformance import CHECKS, Check, Subject
from conformance.contract.outcomes import Result
from conformance.experiments.network import Network
from conformance.experiments.runs import Runs
from conformance.worker.bench import Bench, bench_of
from conformance.worker.serving import Server

CHECK: dict[str, Check] = {check.id: check for check in CHECKS}


def runs_of(subject: Subject, number: int = 0) -> Runs:
    """Return runs of a subject on the CPU."""
    return Runs(Network(subject, number=number))


def bench(subject: Subject, place: str = "cpu", reference: Runs | None = None) -> Bench:
    """Return the bench of a subject.

    Args:
        subject: What is tested.
        place: The device.
        reference: Runs of the network that a claim claims to be, where they are shared.
    """
    original = None if reference is None else reference.network
    return bench_of(Network(subject, place, original=original), reference)


def run_check(check: Check | str, on: Bench, variant: str = "") -> Any:
    """Run a check on a bench; its failures are raised."""
    found = CHECK[check] if isinstance(check, str) else check
    return on.run(found.function, *filter(None, [variant]))


def server(subject: Subject, reference: Runs | None = None) -> Server:
    """Return what does tasks on a subject in this process."""
    original = None if reference is None else reference.network
    network = Network(subject, original=original)
    return Server(network, None if reference is None else bench_of(network, reference))


def answer(subject: Subject | Server, check: str, variant: str = "") -> Result:
    """Run a check and return its result."""
    return (server(subject) if isinstance(subject, Subject) else subject).answer(CHECK[check].task(variant))


def bench_of_block(build: Callable[[], Any]) -> Bench:
    """Return a bench of a block of one's own."""
    return bench(Subject("small", build=build, input_shape=INPUT_SHAPE))
