"""Without its engine a port is not executed, which is neither passed nor failed; the remedy is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benches import answer
from conformance import Subject
from conformance.contract.outcomes import Result

REMEDY = "pip install 'gluon-conformance[{}]'"


def ended(build: str) -> Result:
    """Run one check of a claim."""
    return answer(Subject("resnet50", build=build), "structure.graph")


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_onnx_file_without_engine_is_not_executed(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file needs both onnx and ONNX Runtime."""
    monkeypatch.setitem(sys.modules, "onnx", sys)  # as if it were there
    monkeypatch.setattr(sys, "load", lambda path: None, raising=False)
    monkeypatch.setattr(sys, "checker", type("Checker", (), {"check_model": lambda *_: None}), raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "model.onnx"
    path.touch()
    result = ended(str(path))
    assert "not executed" == result.outcome
    assert result.text.startswith(f"{module} cannot be imported")
    assert REMEDY.format("onnx") in result.text


def test_module_without_engine_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build function in a file that imports PyTorch is not executed without it."""
    (tmp_path / "needs_torch.py").write_text("import torch")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = ended("needs_torch:make")
    assert "not executed" == result.outcome
    assert REMEDY.format("torch") in result.text


def test_other_missing_module_is_a_wrong_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that imports what is no engine cannot be run at all."""
    (tmp_path / "needs_absent.py").write_text("import absent")
    monkeypatch.syspath_prepend(tmp_path)
    result = ended("needs_absent:make")
    assert ("refused", True) == (result.outcome, "No module named 'absent'" in result.text)
