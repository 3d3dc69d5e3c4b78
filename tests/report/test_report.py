"""The report of a run of the public command: complete, as its schema says, written whole or not at all."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

import conformance
from a_report import report, result
from catalogue_runs import Project, Run, new_project
from conformance.contract.measurement import Measurement
from conformance.contract.outcomes import Result
from conformance.contract.subject import RequestError, Subject
from conformance.report.document import UnreadableReport, details, read_report
from conformance.session import report_writer as reporting

SCHEMA = json.loads((Path(conformance.__file__).parent / "report" / "report.schema.json").read_text())
SUBJECTS = ("mine=my_block:Mine", "unsure=my_block:Unsure", "fatal=broken_blocks:crash")
REPORT = ("--input-shape", "3,32,32", "--family", "execution,numerics", "--conformance-report", "report")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project."""
    return new_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def run(project: Project) -> Run:
    """Run a right block, a wrong one and one that crashes, in two processes, and write the report."""
    subjects = [word for subject in SUBJECTS for word in ("--subject", subject)]
    return project.catalogue(*subjects, *REPORT, "-n", "2", "--junitxml", "report/report.xml")


@pytest.fixture(scope="module")
def written(project: Project, run: Run) -> dict[str, Any]:
    """Read the report of that run."""
    assert 1 == run.code, run.text
    return read_report(project.folder / "report")


@pytest.fixture(scope="module")
def results(written: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give its results by id."""
    return {each["id"]: each for each in written["results"]}


def test_report_is_what_its_schema_says(written: dict[str, Any]) -> None:
    """A report is valid by the schema that the package brings, which allows nothing that it does not describe."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(written, SCHEMA, format_checker=jsonschema.FormatChecker())


def test_report_has_every_case_with_its_outcome(run: Run, results: dict[str, dict[str, Any]]) -> None:
    """What pytest counts is what the report has."""
    assert 3 * 13 == len(results)
    counts = {kind: sum(each["outcome"] == kind for each in results.values()) for kind in ("passed", "not executed")}
    assert f" {counts['passed']} passed, {counts['not executed']} skipped" in run.text
    assert "report: " in run.text.partition("executed ")[2]


def test_failure_carries_what_a_stranger_needs(results: dict[str, dict[str, Any]]) -> None:
    """Expected and actual, the first layer that diverges, the number beside its bound, and how to repeat it."""
    failed = results["unsure-execution.predict_mode-hybridized"]
    assert ("failed", "the network itself") == (failed["outcome"], failed["first_diverging_layer"])
    assert re.search(r"expected -?\d.*, actual -?\d", failed["text"])
    assert any(each["value"] > 0 == each["allowed"] for each in failed["measurements"])
    assert '[unsure-execution.predict_mode-hybridized]" --subject unsure=my_block:Unsure' in failed["repeat"]


def test_check_that_passes_carries_its_numbers(results: dict[str, dict[str, Any]]) -> None:
    """Errors and tolerances with provenance, layer by layer where the check looks at layers."""
    fused, layers = results["mine-execution.predict_mode-fused"], results["mine-numerics.float64"]
    for each in fused["measurements"] + layers["measurements"]:
        assert 0 <= each["value"] <= each["allowed"]
        assert "largest seen" in each["origin"]
    assert ["conv", "norm"] == [each["place"] for each in layers["measurements"]][:2]
    assert 3 <= results["mine-execution.train_mode-imported"]["compared"]


def test_crash_says_what_ended_it(results: dict[str, dict[str, Any]]) -> None:
    """A process that ends fails one case by name, and what could not be tried says why."""
    outcomes = [each for each in results.values() if each["subject"] == "fatal"]
    assert "SIGSEGV" in next(each["text"] for each in outcomes if each["outcome"] == "crashed")
    assert all("crashed in" in each["reason"] for each in outcomes if each["outcome"] == "not executed")


def test_subjects_are_drawn_and_weighed(written: dict[str, Any]) -> None:
    """A subject has its graph with the fused graph's error, its time and its peak memory; one that crashed has none."""
    mine, _, fatal = written["subjects"]
    assert "Convolution" == mine["graph"]["nodes"][0]["operator"]
    assert all(0 <= error < 1e-5 for error in mine["graph"]["fused"].values())
    assert len(mine["graph"]["fused"]) > 3
    assert 2**27 < mine["peak_memory_bytes"] < 2**32
    assert mine["seconds"] > 0
    assert fatal["graph"] is None


def test_page_begins_with_what_is_wrong(project: Project, written: dict[str, Any]) -> None:
    """The page needs nothing beside it, and failures stand before everything else."""
    page = (project.folder / "report" / "index.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"|@import|url\((?!#)', page)
    first = page.partition('id="matrix"')[0]
    for word in ("unsure · execution.same_operators", "diverges first in", "actual", "Repeat", "fatal", "SIGSEGV"):
        assert word in first


def test_junit_file_has_the_cases_and_no_numbers(project: Project, run: Run) -> None:
    """Pytest's own file stays what it is without a report."""
    cases = ET.parse(project.folder / "report" / "report.xml").getroot().iter("testcase")
    assert [False] * 39 == [any(part.tag == "properties" for part in case) for case in cases]


def test_folder_that_cannot_be_written_is_refused_before_anything_runs(project: Project) -> None:
    """One line names it, with exit code 4."""
    refused = project.catalogue("--subject", "alexnet", "--conformance-report", "my_block.py")
    assert 4 == refused.code
    assert "ERROR: --conformance-report my_block.py: cannot be written to: File exists" in refused.text


def test_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, one line says what to install."""
    monkeypatch.setattr(reporting, "NEEDS", ("jinja2", "absent_library"))
    with pytest.raises(RequestError, match=r"needs absent_library: pip install 'gluon-conformance\[report\]'$"):
        reporting.prepare_folder(tmp_path)


def test_report_that_cannot_be_written_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at the end is said in one line, and the run is not green."""
    writer = reporting.Writer(tmp_path / "gone", (Subject("alexnet"),), {})
    writer.facts = {}
    monkeypatch.setattr(writer, "_document", lambda *_: report(result()))
    plugins = SimpleNamespace(get_plugin=lambda _: object())
    config = SimpleNamespace(pluginmanager=plugins, option=SimpleNamespace(collectonly=False))
    session: Any = SimpleNamespace(config=config, exitstatus=0)
    writer.pytest_sessionfinish(session)
    assert 1 == session.exitstatus
    assert f"report: cannot be written to {tmp_path / 'gone'}: No such file or directory" == writer.end


def test_details_have_nothing_that_json_cannot_say() -> None:
    """What is not finite is null."""
    carried = details(Result("failed", "text", measurements=(Measurement("x", float("inf"), 0.0),)), "pytest")
    assert [None] == [each["value"] for each in carried["measurements"]]
    assert json.loads(json.dumps(carried, allow_nan=False)) == carried


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "damaged, or no report: Expecting"),
        ('{"format": "other"}', "no report of --conformance-report"),
        ('{"format": "gluon-conformance report", "version": 2}', "version 2 of the format; this suite reads 1"),
        ('{"format": "gluon-conformance report", "version": 1}', "damaged: KeyError: 'results'"),
    ],
)
def test_damaged_report_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    """The line names the file and what is wrong with it."""
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(UnreadableReport, match=re.escape(f"{path}: {says}")):
        read_report(tmp_path)
