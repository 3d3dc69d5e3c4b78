"""What the network is: every operator, attribute and parameter, against a snapshot or the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.contract.check import CLAIMS, Check
from conformance.contract.outcomes import Problem, owner, refuse
from conformance.graphs.manifest import manifest
from conformance.graphs.matching import differences, pair_parameters

if TYPE_CHECKING:
    from conformance.experiments.claim import Claim
    from conformance.experiments.network import Network


def check_snapshot(network: Network) -> str:
    """The network's manifest equals its snapshot.

    The snapshot is the reviewed record of every operator in order, its attributes, its output shape at two
    image sizes, and every parameter. When it differs and the change is wanted, re-record it with
    ``--family structure --snapshot-update`` and review the diff; else the first line that differs names the
    layer to mend.
    """
    shape = network.shape(2, other=True)
    if network.subject.specification is not None:
        shape = (shape[0], 1, *shape[2:])  # another number of channels, too
    return manifest(network.subject.name, network.graph, network.shape(), network.graph_at(shape), shape)


def check_graph(claim: Claim) -> None:
    """The claim's canonical graph is the reference's.

    Names, class layout and the order of calls do not matter; operators, attributes and wiring do. The first
    line names the first operator that differs, in graph order: mend it there.
    """
    refuse(differences(claim.expected, claim.graph))


def check_parameter_settings(network: Network) -> None:
    """The claim's parameters have the reference's shapes, types, initializers and training settings.

    A parameter that is frozen, of another type or scaled in its learning rate computes the same today and
    trains differently. Parameters are matched through the operators that read them.
    """
    expected, actual = network.original.graph, network.graph
    pairs = pair_parameters(expected, actual)
    problems: list[str] = []
    for name, twin in pairs.items():
        left, right = expected.parameters[name], actual.parameters[twin]
        wanted, seen = ({"shape": p.shape, **p.settings} for p in (left, right))
        problems += [
            Problem(f"{twin}: expected {key} {wanted[key]!r}, actual {seen[key]!r} (reference: {name})", owner(twin))
            for key in wanted
            if wanted[key] != seen[key]
        ]
    if not pairs:
        problems.append("no parameter could be matched: see structure.graph")
    refuse(problems)


CHECKS = (
    Check(
        check_snapshot,
        "https://arxiv.org/abs/1512.03385 and the other papers named in reference/",
        kinds=frozenset({"reference", "own"}),
    ),
    Check(check_graph, "the architecture tables in reference/", kinds=CLAIMS),
    Check(
        check_parameter_settings,
        "https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/gluon/parameter.html",
        kinds=CLAIMS,
    ),
)
