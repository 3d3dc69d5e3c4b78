"""The catalogue as a user runs it: exit codes, settings, snapshots, node ids, the summary."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

import conformance
from catalogue_runs import SUBJECT, Project, Run, new_project

STRUCTURE = (*SUBJECT, "--family", "structure")
EXECUTION = ("--subject", "mine=my_block:Unsure", "--input-shape", "3,32,32", "--family", "execution")
HIDING = """
[pytest]
addopts = --doctest-modules --strict-markers --strict-config -ra
python_files = check_*.py
python_functions = verify_*
python_classes = Verify
testpaths = nowhere
xfail_strict = true
filterwarnings = error
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a new project."""
    return new_project(tmp_path)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run every check on a right block, under settings that hide tests."""
    project = new_project(tmp_path_factory.mktemp("whole"))
    project.write("pytest.ini", HIDING)
    return project.catalogue(*SUBJECT)


@pytest.fixture(scope="module")
def failing_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the execution checks on a wrong block."""
    return new_project(tmp_path_factory.mktemp("failing")).catalogue(*EXECUTION)


def test_right_block_ends_in_0_whatever_the_settings(whole_run: Run) -> None:
    """A right block passes with exit code 0 under settings that hide tests and make warnings errors."""
    assert 0 == whole_run.code, whole_run.text
    applicable = [check for check in conformance.CHECKS if "own" in check.kinds and not check.ctx]
    count = sum(len(check.variants or ("",)) for check in applicable)
    assert f"{count - 1} passed, 1 skipped" in whole_run.text


def test_header_says_what_is_tested(whole_run: Run) -> None:
    """The header names the suite, MXNet and its features, NumPy, Python and numeric switches."""
    for word in (
        "conformance 0",
        "1 subject(s)",
        "MXNet 1.",
        "features:",
        "NumPy 1.",
        "Python 3.",
        "OMP_NUM_THREADS=1",
    ):
        assert word in whole_run.text


def test_summary_has_a_row_a_subject(whole_run: Run) -> None:
    """The run ends with a table of subjects and families."""
    assert re.search(r"^  subject +structure +.* +seconds *$", whole_run.text, re.MULTILINE)
    assert re.search(r"^  mine( +(\d+|-))+ *$", whole_run.text, re.MULTILINE)
    assert "1 skipped" in whole_run.text


def test_check_without_its_snapshot_is_skipped(whole_run: Run) -> None:
    """A check whose snapshot is not recorded is not applicable, and says how to record it."""
    assert "not applicable: no snapshot" in whole_run.text
    assert "record it with --family structure --snapshot-update" in whole_run.text


def test_wrong_block_ends_in_1(failing_run: Run) -> None:
    """A block that computes something else when hybridized ends in exit code 1."""
    assert 1 == failing_run.code, failing_run.text
    assert "FAILED" in failing_run.text


def test_failure_says_what_was_expected_and_where(failing_run: Run) -> None:
    """A failure names subject, check and variant, the numbers, the first layer, the remedy and the source."""
    for words in (
        "mine · execution.predict_mode · hybridized: failed",
        "logits of run 1 (1, 3, 32, 32): expected ",
        "allowed 0 (bit for bit)",
        "first diverging layer: node 7 _mul_scalar",
        "expected: In predict mode a variant gives the imperative logits",
        "source: https://mxnet.apache.org",
    ):
        assert words in failing_run.text


def test_failure_can_be_repeated_as_it_says(failing_run: Run, project: Project) -> None:
    """The command a failure gives runs just that check again, and fails again."""
    line = next(line for line in failing_run.text.splitlines() if line.startswith("repeat: pytest --pyargs"))
    arguments = line.removeprefix("repeat: pytest ").replace('"', "").split()
    run = project.pytest(*arguments)
    assert 1 == run.code, run.text
    assert "1 failed in" in run.text


def test_nothing_selected_ends_in_5(project: Project) -> None:
    """A run that executes nothing is not green."""
    assert 5 == project.catalogue(*STRUCTURE, "-k", "nothing").code


def test_everything_skipped_ends_in_5(project: Project) -> None:
    """A run whose checks are all skipped is not green."""
    run = project.catalogue(*STRUCTURE)
    assert 5 == run.code, run.text
    assert "1 skipped" in run.text


def test_snapshot_of_an_own_block_belongs_to_its_project(project: Project) -> None:
    """A user's snapshot is recorded in the user's folder, compared after that, and fails where the block changed."""
    package = Path(conformance.__file__).parent
    before = {path for path in package.rglob("*") if path.suffix != ".pyc"}
    assert 0 == project.catalogue(*STRUCTURE, "--snapshot-update").code
    assert ["mine.txt"] == [path.name for path in (project.folder / "snapshots").iterdir()]
    assert 0 == project.catalogue(*STRUCTURE).code
    project.write("my_block.py", (project.folder / "my_block.py").read_text().replace("pass", "LAYERS = 1"))
    recorded = project.folder / "snapshots" / "mine.txt"
    recorded.write_text(recorded.read_text().replace("kernel=(3,3)", "kernel=(5,5)"))
    run = project.catalogue(*STRUCTURE)
    assert 1 == run.code
    assert "first diverging layer: 0 | conv | Convolution" in run.text
    assert before == {path for path in package.rglob("*") if path.suffix != ".pyc"}


def test_collecting_does_not_import_mxnet(project: Project) -> None:
    """The 12 networks are collected in under 3 seconds of work, without MXNet in pytest's process."""
    project.write("probe.py", "import sys\ndef pytest_unconfigure():\n    print('imported:', 'mxnet' in sys.modules)\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = project.catalogue("--collect-only", "-q", "-p", "probe")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert 0 == run.code, run.text
    assert "imported: False" in run.text
    assert "test_check[densenet201-structure.snapshot]" in run.text
    assert 3 > after.ru_utime - before.ru_utime
