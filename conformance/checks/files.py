"""Files: parameters and exported networks come back bit for bit, and damaged files are refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from conformance.check import Check, Problem, Vacuous, one_of_a_family, owner, refuse
from conformance.comparison import compare
from conformance.measurement import note_exact

if TYPE_CHECKING:
    from conformance.workbench import Workbench

SAVING = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/tutorials/packages/gluon/blocks/save_load_params.html"


def check_parameters_round_trip(bench: Workbench) -> None:
    """Saved parameters load into a new instance bit for bit; a truncated or foreign file is refused.

    A refusal must be an exception, not a network with some of its parameters loaded.
    """
    with bench.saved_parameters() as path:
        problems: list[str] = [*_unequal(bench, bench.loaded_parameters(path))]
        os.truncate(path, path.stat().st_size // 2)
        if bench.loads(path):
            problems.append("a file cut in half was loaded without an error")
    with bench.foreign_parameters() as path:
        if bench.loads(path):
            problems.append("the parameters of another network were loaded without an error")
    refuse(problems)


def check_export_round_trip(bench: Workbench) -> None:
    """An exported network comes back with every parameter bit for bit.

    What it computes is compared by the ``imported`` variant of the execution checks.
    """
    refuse(_unequal(bench, bench.exported_parameters()))


def check_export_after_cast(bench: Workbench) -> None:
    """Cast to float64, an exported network computes after import what it computed before, bit for bit.

    A build that exports the type of a parameter wrongly gives a file that loads and computes something else.
    """
    expected, actual = bench.logits_after_cast_and_export()
    if str(expected.dtype) != "float64":
        raise Vacuous(f"the network cast to float64 gives {expected.dtype}")
    refuse(compare("logits", expected, actual))


def _unequal(bench: Workbench, loaded: dict) -> list[Problem]:  # type: ignore[type-arg]
    """Names that are missing or changed."""
    if not loaded:
        raise Vacuous("no parameter came back")
    changed = [name for name, summary in bench.initial.items() if loaded.get(name) != summary]
    note_exact("parameters", len(bench.initial), len(changed))
    return [
        Problem(f"{name}: " + ("missing" if name not in loaded else "not the saved values"), owner(name))
        for name in changed
    ]


CHECKS = (
    Check(check_parameters_round_trip, SAVING),
    Check(check_export_round_trip, SAVING),
    Check(check_export_after_cast, SAVING, unless=one_of_a_family),
)
