"""The study of the article's loss: its reports have their rows, and begin and go on as they must."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PART = ("--data", str(ROOT / "reference" / "fashion_mnist"))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python find the study's modules."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "article")


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ("memory --steps 2", ["| 1 | 2.30", "| 2 |"]),
        ("update --seeds 1", ["| 0 | 2.30"]),
        (
            "first --steps 2 --only 1",
            ["### the article: rate", "| 1 | 2.30", "| 2 |", "Sum of the losses of 2"],
        ),
    ],
)
def test_article_loss_is_followed(arguments: str, rows: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each report has its rows, and begins where weights Normal(0.01) begin, at the logarithm of 10."""
    import_module("article_loss").main([*arguments.split(), "--image-size", "63", "--batch-size", "8", *PART])
    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        assert any(line.startswith(row) for line in lines), row


@pytest.mark.parametrize(("report", "rates"), [("epochs", ["0.01", "0.01"]), ("rising", ["0.0002", "0.00025"])])
def test_epochs_are_followed(report: str, rates: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An epoch's brake is 1 while the memory holds nothing but that epoch, and a memory of two is told against one."""
    import_module("article_loss").main(
        [report, "--epochs", "2", "--seed", "1", "--images", "12", "--image-size", "63", "--batch-size", "4", *PART]
    )
    first, second = ([cell.strip() for cell in row.split("|")] for row in capsys.readouterr().out.splitlines()[-2:])
    assert [["1", "2"], rates] == [[first[column], second[column]] for column in (1, 2)]
    assert "" == first[6]
    assert 7 == len(first[5].split()) == len(second[6].split()) == len(second[7].split())
    assert {1.0} == {float(brake) for brake in first[7].split()}
    assert all(float(kept) > 0.99 for kept in second[6].split()) or "rising" == report
