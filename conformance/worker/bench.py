"""The bench of a subject: the parts that checks name in their parameters, or why there is no such part.

This is where all is put together that runs in the subject's process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from conformance.contract.outcomes import NotApplicable
from conformance.experiments.architecture import architecture_of
from conformance.experiments.behaviour import Behaviour, Statistics
from conformance.experiments.claim import GluonClaim
from conformance.experiments.devices.two_devices import TwoDevices
from conformance.experiments.divergence import Divergence
from conformance.experiments.drawing import draw
from conformance.experiments.files import Files
from conformance.experiments.network import Network
from conformance.experiments.numerics import Numerics
from conformance.experiments.runs import Runs
from conformance.experiments.training.courses import Lessons
from conformance.experiments.training.rehearsal import Rehearsals
from conformance.ports.claim import PortClaim
from conformance.ports.opening import port_claim_of

NOT_OF_PORTS = {
    "network": "types, initializers and training settings are Gluon's own",
    "runs": "the variants of execution are Gluon's",
    "divergence": "the variants of execution are Gluon's",
    "behaviour": "a port is compared with the reference in claim.node_outputs and claim.training",
    "numerics": "it is about MXNet's types and autograd",
    "files": "it is about MXNet's files",
    "rehearsals": "it is about the training loop of reference, which trains Gluon blocks",
    "lessons": "it trains with the loop of reference, which trains Gluon blocks",
    "devices": "MXNet on a device is compared with MXNet on the CPU",
    "recordable": "only Gluon blocks are recorded",
}
"""Why a port has no such part."""


class Bench:
    """The parts of one subject, each made when it is first asked for.

    Args:
        makers: Part -> what makes it.
        missing: Part -> why this subject has none.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Any]], missing: Mapping[str, str]) -> None:
        """Keep what makes the parts; none is made yet."""
        self._makers, self._missing = makers, missing
        self._made: dict[str, Any] = {"bench": self}

    def part(self, name: str) -> Any:
        """One part.

        Raises:
            NotApplicable: If this subject has none; the text is the reason.
        """
        if name in self._missing:
            raise NotApplicable(self._missing[name])
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the parts that its first parameters name, and with arguments for its last ones."""
        parameters = [*inspect.signature(function).parameters]
        names = parameters[: len(parameters) - len(arguments)]
        return function(*(self.part(name) for name in names), *arguments)


def bench_of(network: Network, reference: Runs | None = None) -> Bench:
    """Put the bench of a subject together, be it a Gluon block or a port.

    Args:
        network: The subject.
        reference: Runs of the network that a claim claims to be, where they are at hand.

    Raises:
        NotExecuted, RequestError: See :func:`conformance.ports.opening.port_claim_of`.
    """
    port = port_claim_of(network)
    return _gluon_bench(network, reference) if port is None else _port_bench(port)


def _gluon_bench(network: Network, reference: Runs | None) -> Bench:
    runs = Runs(network)
    no_claim = "it claims to be no other network"
    return Bench(
        {
            "network": lambda: network,
            "runs": lambda: runs,
            "recordable": lambda: runs,
            "architecture": lambda: architecture_of(network),
            "divergence": lambda: Divergence(runs),
            "claim": lambda: GluonClaim(reference or Runs(network.original), runs),
            "behaviour": lambda: Behaviour(runs),
            "statistics": lambda: Statistics(runs),
            "numerics": lambda: Numerics(runs),
            "files": lambda: Files(runs),
            "rehearsals": lambda: Rehearsals(runs),
            "lessons": lambda: Lessons(network),
            "devices": lambda: TwoDevices(Runs(network.on("cpu")), runs),
        },
        {} if network.subject.kind == "claim" else {"claim": no_claim},
    )


def _port_bench(port: PortClaim) -> Bench:
    reasons = {part: f"{port.port.engine} runs it: {reason}" for part, reason in NOT_OF_PORTS.items()}
    return Bench(
        {"claim": lambda: port, "statistics": lambda: port, "architecture": lambda: port.architecture}, reasons
    )


def prepare(network: Network, rehearsals: Rehearsals) -> None:
    """Build, trace and load what is asked for, so that a wrong request is known before anything runs."""
    _ = network.graph
    _ = rehearsals.loop
    if network.subject.weights is not None:
        _ = network.values


def drawn(bench: Bench, runs: Runs) -> str:
    """What a report draws of the subject, see `conformance.experiments.drawing`."""
    return draw(runs, bench.part("claim") if runs.network.subject.kind == "claim" else None)
