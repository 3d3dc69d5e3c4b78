"""A subject that crashes or hangs fails by name; runs that do not ask for the catalogue are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogue_runs import Project, new_project

SHAPE = ("--input-shape", "3,32,32")
FOREIGN = """
import sys

def pytest_addoption(parser):
    for name in ("--subject", "--ctx", "--family", "--weights", "--input-shape", "--time-limit", "--snapshot-dir"):
        parser.addoption(name, default="theirs")

def pytest_sessionfinish(session):
    print("imported:", sorted({"mxnet", "conformance.session.request"} & set(sys.modules)))
"""
BROKEN_BUILD = """
import os, pathlib, sys, time

mine = pathlib.Path(__file__).parent
real = next(p for p in (pathlib.Path(p, "mxnet") for p in sys.path) if p != mine and (p / "libinfo.py").exists())
__path__ = [str(real)]
exec(compile((real / "__init__.py").read_text(), str(real / "__init__.py"), "exec"))
gluon.SymbolBlock.imports = staticmethod(lambda *args, **kwargs: {does})
"""
PARAMETRIZED = """
from conformance import Subject, parametrize_with_checks
from my_block import Mine, Unsure

class Local:
    shape = (3, 32, 32)

def make(block):
    return lambda: block()

SUBJECTS = [
    Subject("a_class", build=Mine, input_shape=Local.shape),
    Subject("a_lambda", build=lambda: Mine(), input_shape=Local.shape),
    Subject("a_closure", build=make(Mine), input_shape=Local.shape),
    Subject("unsure", build=Unsure, input_shape=Local.shape, expected_failures={
        "execution.same_operators": "https://example.org/1", "files.export_round_trip": "https://example.org/2"}),
]

@parametrize_with_checks(SUBJECTS, families=("structure", "files"))
def test_block(case, snapshot):
    case.run(snapshot)

@parametrize_with_checks(SUBJECTS[-1:], families=("execution",))
def test_again(case):
    case.run()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a new project."""
    return new_project(tmp_path)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("crash", "ended the worker process with SIGSEGV while running the network imperatively"),
        ("hang", "gave no answer within 4 s (--time-limit) and was stopped while running the network imperatively"),
    ],
)
def test_subject_that_ends_its_process_fails_by_name(factory: str, says: str, project: Project) -> None:
    """A crash and a hang fail the check they happen in, the rest runs, and the exit code is 1."""
    subject = ("--subject", f"mine=broken_blocks:{factory}", *SHAPE, "--time-limit", "4")
    run = project.catalogue(*subject, "--family", "structure,execution", "-rs")
    assert 1 == run.code, run.text
    assert f"mine {says}" in run.text
    assert "mine · execution.same_operators: " in run.text
    assert "not executed: running the network imperatively" in run.text


def test_build_that_ends_its_process_fails_by_name(project: Project) -> None:
    """A build function that crashes fails one check by name, with exit code 1."""
    project.write("fatal.py", "import os\ndef build():\n    os.abort()\n")
    run = project.catalogue("--subject", "mine=fatal:build", *SHAPE, "--family", "files")
    assert 1 == run.code, run.text
    assert "mine ended the worker process with SIGABRT while " in run.text


@pytest.mark.parametrize(
    ("does", "says", "outcome"),
    [
        ("os.abort()", "mine ended the worker process with SIGABRT", "crashed"),
        ("time.sleep(60)", "mine gave no answer within 5 s (--time-limit) and was stopped", "hung"),
    ],
)
def test_build_of_mxnet_that_fails_in_one_function_fails_by_name(
    does: str, says: str, outcome: str, project: Project
) -> None:
    """Where MXNet itself crashes or hangs, the checks that use that part of it fail by name, and the rest runs."""
    (project.folder / "mxnet").mkdir()
    project.write("mxnet/__init__.py", BROKEN_BUILD.format(does=does))
    run = project.catalogue(
        "--subject", "mine=my_block:Mine", *SHAPE, "--family", "execution,files", "--time-limit", "5"
    )
    assert 1 == run.code, run.text
    for check in ("execution.predict_mode · imported", "execution.train_mode · imported", "files.export_round_trip"):
        assert f"mine · {check}: {outcome}\n  {says}" in run.text
    assert f"executed 9 of 13 checks (69.2 %); 0 not applicable, 0 not executed, 4 {outcome}" in run.text


def test_other_project_is_left_alone(project: Project) -> None:
    """A run of another project keeps its own options of the same names, and imports no MXNet."""
    project.write("conftest.py", FOREIGN)
    project.write(
        "test_theirs.py", "def test_option(pytestconfig):\n    assert 'theirs' == pytestconfig.getoption('ctx')\n"
    )
    run = project.pytest("-s")
    assert 0 == run.code, run.text
    assert "imported: []" in run.text
    assert "conformance 0" not in run.text


def test_subject_stays_in_one_process_under_xdist(project: Project) -> None:
    """With two processes each subject runs in one of them."""
    two = ("--subject", "mine=my_block:Mine", "--subject", "other=my_block:Mine")
    run = project.catalogue(*two, *SHAPE, "--family", "execution,files", "-n", "2", "-v")
    assert 0 == run.code, run.text
    lines = [line for line in run.text.splitlines() if " PASSED " in line and "::test_check[" in line]
    pairs = {(line.split("[gw")[1][0], line.split("test_check[")[1].split("-")[0]) for line in lines}
    assert 2 == len(pairs)
    assert {"mine", "other"} == {subject for _, subject in pairs}


def test_subjects_of_a_test_file_are_parametrized(project: Project) -> None:
    """Classes, lambdas and closures reach their own process; expected failures are strict."""
    project.write("test_mine.py", PARAMETRIZED)
    run = project.pytest("-rA", "-o", "xfail_strict=true")
    assert 1 == run.code, run.text
    assert "unsure · files.export_round_trip: expected to fail, actual passed" in run.text
    assert "FAILED test_mine.py::test_block[unsure-files.export_round_trip]" in run.text
    assert "XFAIL test_mine.py::test_again[unsure-execution.same_operators]" in run.text
    for name in ("a_class", "a_lambda", "a_closure", "unsure"):
        assert f"PASSED test_mine.py::test_block[{name}-files.parameters_round_trip]" in run.text


def test_expected_failure_must_name_a_check(project: Project) -> None:
    """An expected failure that names no check is an error."""
    project.write("test_mine.py", PARAMETRIZED.replace("files.export_round_trip", "files.absent"))
    run = project.pytest()
    assert 2 == run.code, run.text
    assert "expected failure 'files.absent' of unsure names no check" in run.text
