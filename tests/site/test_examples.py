"""The downstream example does what its README says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from catalogue_runs import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "downstream"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a copy of the example."""
    return Project(
        Path(shutil.copytree(EXAMPLE, tmp_path / "downstream", ignore=shutil.ignore_patterns(".*", "__py*")))
    )


def test_small_block_passes(project: Project) -> None:
    """The example's own block has every property that applies to it."""
    run = project.pytest("-W", "ignore::DeprecationWarning")
    assert 0 == run.code, run.text


def test_claim_passes(project: Project) -> None:
    """The example's ResNet-50 is a ResNet-50."""
    assert "--subject resnet50=my_nets:make_resnet50" in (EXAMPLE / "README.md").read_text()
    chosen = ("--family", "structure,parameters,files")
    run = project.catalogue("--subject", "resnet50=my_nets:make_resnet50", *chosen)
    assert 0 == run.code, run.text
    assert "9 passed" in run.text


@pytest.mark.parametrize(
    ("factory", "says"), [("crash", "ended the worker process with SIGSEGV"), ("hang", "gave no answer within 8 s")]
)
def test_claim_that_ends_its_process_fails_by_name(factory: str, says: str, project: Project) -> None:
    """A claim that crashes or hangs fails by name, beside the checks that need not run it."""
    subject = ("--subject", f"resnet50=broken_blocks:{factory}", "--time-limit", "8")
    run = project.catalogue(*subject, "--family", "structure,execution", "-k", "structure or same_operators")
    assert 1 == run.code, run.text
    assert f"resnet50 {says}" in run.text
    assert "resnet50 · structure.graph: failed" in run.text
