"""What the header says about MXNet."""

from __future__ import annotations

import pytest

from conformance.machine import build as describe

FACTS = {"folder": "/there", "numpy": "1.23.5", "features": ["LAPACK", "MKLDNN"], "gpus": 0}


@pytest.mark.parametrize(("version", "lines"), [("1.9.1", 2), ("1.9.1+local", 2), ("1.8.0", 3)])
def test_header_says_which_version_is_specified(version: str, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version other than the specified one is tested, and the header says so."""
    monkeypatch.setattr(describe, "facts", lambda: {**FACTS, "mxnet": version})
    said = describe.describe()
    assert lines == len(said)
    assert f"MXNet {version} from /there, NumPy 1.23.5, 0 GPU(s)" == said[0]
    if lines == 3:
        assert "MXNet 1.8.0 is under test; what is expected of it is specified for 1.9.1" == said[1]
    assert "features: LAPACK MKLDNN" == said[-1]
