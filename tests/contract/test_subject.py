"""Subjects and cases: what fits together, what runs on what, and what pytest is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance import CHECKS, Case, Subject, parametrize_with_checks
from conformance.checks.catalogue import FAMILIES
from conformance.contract.check import Check
from conformance.contract.outcomes import Result
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import RequestError, parse_subjects
from conformance.contract.switches import Switches
from conformance.contract.task import Task
from conformance.session import cases as catalogue
from conformance.session.cases import cases, parameter
from reference.runtime.errors import cause

OWN = Subject("mine", build="my:Net", input_shape=(3, 8, 8))
CLAIM = Subject("vgg11", build="my:net")
REFERENCE = Subject("vgg11")
COUNTS = next(check for check in CHECKS if check.id == "parameters.counts")
LEARNS = next(check for check in CHECKS if check.id == "convergence.learns")


class Pool:
    """Stands for the pool of workers, and answers every check with one result."""

    def __init__(self, result: Result) -> None:
        """Keep the answer."""
        self.result = result

    def worker(self, subject: Subject, switches: Switches) -> Pool:
        """Be the subject's worker."""
        return self

    def run(self, task: Task) -> Result:
        """Answer."""
        return self.result


def end_of(monkeypatch: pytest.MonkeyPatch, result: Result, check: Check = COUNTS) -> str:
    """Run a case whose worker gives a result, and return what pytest is told."""
    monkeypatch.setattr(catalogue, "POOL", Pool(result))
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception)) as outcome:
        Case(Subject("vgg13", build="my:net"), check).run()
    return f"{type(outcome.value).__name__}: {outcome.value}"


@pytest.mark.parametrize(("subject", "kind"), [(OWN, "own"), (CLAIM, "claim"), (REFERENCE, "reference")])
def test_kind_follows_from_name_and_build(subject: Subject, kind: str) -> None:
    """A network's name alone is a reference, with a build function a claim, anything else one's own block."""
    assert kind == subject.kind


def test_claim_may_have_any_name() -> None:
    """A claim names its architecture, or is named after it; with an input shape it is one's own block."""
    assert "claim" == Subject("mine", build="my:net", architecture="vgg11").kind
    assert "own" == Subject("vgg11", build="my:net", input_shape=(3, 8, 8)).kind


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "a b"}, "allowed are letters"),
        ({"name": "mine"}, "is not a reference network"),
        ({"name": "mine", "build": "my:net"}, "is not a reference network"),
        ({"name": "mine", "build": "my:net", "architecture": "vgg12"}, "architecture 'vgg12': allowed are"),
        ({"name": "mine", "build": "my:net", "input_shape": (3, -1)}, "allowed are one to four positive integers"),
        ({"name": "mine", "build": "my:net", "input_shape": (1,) * 5}, "allowed are one to four positive integers"),
        ({"name": "mine", "build": "mynet", "input_shape": (3,)}, "expected mine=package.module:attribute"),
        ({"name": "vgg11", "weights": Path("absent")}, "no such file"),
        ({"name": "vgg11", "build": "my:net", "images": Path("absent")}, "--images absent: no such folder"),
        ({"name": "vgg11", "build": "absent.onnx"}, "subject vgg11=absent.onnx: no such file"),
    ],
)
def test_parts_that_do_not_fit_are_refused(arguments: dict[str, Any], says: str) -> None:
    """Every refusal names what is allowed."""
    with pytest.raises(RequestError, match=says):
        Subject(**arguments)


def test_file_is_a_claim(tmp_path: Path) -> None:
    """An ONNX file is known by its name, and has to claim to be a network."""
    path = tmp_path / "model.onnx"
    path.touch()
    subject = Subject("vgg11", build=str(path))
    assert (path, "claim") == (subject.onnx_file, subject.kind)
    with pytest.raises(RequestError, match=r"has to claim to be a network: name one of alexnet.* or give --reference"):
        Subject("mine", build=str(path), input_shape=(3, 8, 8))
    assert "claim" == Subject("mine", build=str(path), input_shape=(3, 8, 8), reference="my:Old").kind


def test_only_networks_have_a_specification() -> None:
    """A block that claims nothing has no specification; a claim has that of its architecture."""
    assert OWN.specification is None
    assert SPECIFICATIONS["vgg11"] == CLAIM.specification


def test_claim_may_be_about_any_block() -> None:
    """A claim with a reference of its own is fed as an own block, and compared with what the reference builds."""
    claim = Subject("mine", build="my:New", reference="my:Old", input_shape=(3, 8, 8))
    assert "claim" == claim.kind
    assert Subject("mine", build="my:Old", input_shape=(3, 8, 8)) == claim.original
    assert Subject("vgg11") == CLAIM.original


def test_no_subject_means_the_twelve_networks() -> None:
    """Without a subject the 12 reference networks are tested."""
    assert 12 == len(parse_subjects([], None, None))
    (claim,) = parse_subjects(["mine=my:New"], "3,8,8", None, "my:Old")
    assert "claim" == claim.kind


def test_cases_fit_the_kind_of_subject() -> None:
    """A block of one's own gets no check that needs a reference; a claim is not compared with a snapshot."""
    families = {subject.kind: {case.check.family for case in cases([subject])} for subject in (OWN, CLAIM, REFERENCE)}
    assert set(FAMILIES) - {"claim", "convergence", "device"} == families["own"]
    assert set(FAMILIES) - {"device"} == families["claim"]
    assert set(FAMILIES) - {"claim", "device"} == families["reference"]


def test_ids_are_unique_and_readable() -> None:
    """A case's id is subject, check and variant."""
    ids = [case.id for case in cases([OWN, CLAIM, Subject("resnet50")])]
    assert len(ids) == len(set(ids))
    assert "mine-execution.predict_mode-hybridized" in ids
    assert "vgg11-structure.graph" in ids


def test_case_becomes_a_parameter_in_its_subjects_group() -> None:
    """A subject's cases share an xdist group."""
    (group,) = parameter(Case(REFERENCE, COUNTS)).marks
    assert ("xdist_group", (REFERENCE.name,)) == (group.name, group.args)
    assert 4 == len(parametrize_with_checks([REFERENCE], families=["parameters"]).args[1])


def test_unknown_family_and_expected_failure_are_refused() -> None:
    """A family or an expected failure that names nothing is refused."""
    with pytest.raises(RequestError, match="family 'none': allowed are structure"):
        next(cases([REFERENCE], ["none"]))
    with pytest.raises(RequestError, match="expected failure 'x' of vgg11 names no check"):
        next(cases([Subject("vgg11", expected_failures={"x": "because"})]))


@pytest.mark.parametrize("outcome", ["not applicable", "not executed"])
def test_case_that_was_not_run_is_skipped(outcome: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not apply or was not executed is skipped with its reason."""
    assert f"Skipped: {outcome}: no GPU" == end_of(monkeypatch, Result(outcome, "no GPU"))


def test_case_that_cannot_apply_is_skipped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that does not apply to a subject needs no worker."""
    assert end_of(monkeypatch, Result("failed"), LEARNS).startswith("Skipped: not applicable: bounds are measured")


@pytest.mark.parametrize("outcome", ["failed", "crashed", "hung", "refused"])
def test_case_that_fails_says_all(outcome: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure names subject, check, what happened, what was expected, source and how to repeat it."""
    text = end_of(monkeypatch, Result(outcome, "one\ntwo", output="printed"))
    assert f"Failed: vgg13 · parameters.counts: {outcome}\n  one\n  two\n\nexpected: {COUNTS.title}" in text
    assert COUNTS.remedy in text
    assert f"source: {COUNTS.source}" in text
    assert 'repeat: pytest "tests/contract/test_subject.py::test_case_that_fails_says_all' in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback (most recent call last):\n  File a\nMXNetError: Check failed: x", "MXNetError: Check failed: x"),
        ("first\nsecond", "first"),
        ("", ""),
    ],
)
def test_cause_is_the_line_that_matters(text: str, line: str) -> None:
    """Of an error's lines the one that says what happened is given."""
    assert line == cause(ValueError(text))
