"""Files: parameters and exported networks come back bit for bit, and damaged files are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from conformance.contract.check import Check, one_of_a_family
from conformance.contract.measurement import note_exact
from conformance.contract.outcomes import Problem, Vacuous, owner, refuse
from conformance.tensors.comparison import Summary, compare

if TYPE_CHECKING:
    from conformance.experiments.files import Files

SAVING = "https://mxnet.apache.org/versions/1.9.1/api/python/docs/tutorials/packages/gluon/blocks/save_load_params.html"


def check_parameters_round_trip(files: Files) -> None:
    """Saved parameters load into a new instance bit for bit; a truncated or foreign file is refused.

    A refusal must be an exception, not a network with some of its parameters loaded.
    """
    with files.saved_parameters() as path:
        problems: list[str] = [*_unequal(files, files.loaded_parameters(path))]
        os.truncate(path, path.stat().st_size // 2)
        if files.loads(path):
            problems.append("a file cut in half was loaded without an error")
    with files.foreign_parameters() as path:
        if files.loads(path):
            problems.append("the parameters of another network were loaded without an error")
    refuse(problems)


def check_export_round_trip(files: Files) -> None:
    """An exported network comes back with every parameter bit for bit.

    What it computes is compared by the ``imported`` variant of the execution checks.
    """
    refuse(_unequal(files, files.exported_parameters()))


def check_export_after_cast(files: Files) -> None:
    """Cast to float64, an exported network computes after import what it computed before, bit for bit.

    A build that exports the type of a parameter wrongly gives a file that loads and computes something else.
    """
    expected, actual = files.logits_after_cast_and_export()
    if str(expected.dtype) != "float64":
        raise Vacuous(f"the network cast to float64 gives {expected.dtype}")
    refuse(compare("logits", expected, actual))


def _unequal(files: Files, loaded: Mapping[str, Summary]) -> list[Problem]:
    """Names that are missing or changed."""
    if not loaded:
        raise Vacuous("no parameter came back")
    changed = [name for name, summary in files.runs.initial.items() if loaded.get(name) != summary]
    note_exact("parameters", len(files.runs.initial), len(changed))
    return [
        Problem(f"{name}: " + ("missing" if name not in loaded else "not the saved values"), owner(name))
        for name in changed
    ]


CHECKS = (
    Check(check_parameters_round_trip, SAVING),
    Check(check_export_round_trip, SAVING),
    Check(check_export_after_cast, SAVING, unless=one_of_a_family),
)
