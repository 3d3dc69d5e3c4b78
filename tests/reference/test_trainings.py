"""The committed trainings: the page says what their logs say, and what the recipe promises was reached."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reference.training.metrics import EpochMetrics

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGE = (RESULTS / "trainings.md").read_text()
LOGS = sorted(RESULTS.glob("trainings/*.jsonl"))
ROW = "| {epoch} | {learning_rate:g} | {loss:.4f} | {train_accuracy:.4f} | {test_loss:.4f} | {test_accuracy:.4f} |"


def epochs(log: Path) -> list[dict[str, Any]]:
    """Read the metrics of a run's epochs."""
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_page_shows_the_log(log: Path) -> None:
    """Under a run's heading are its curves and its epochs, in the log's numbers."""
    rows = epochs(log)
    assert [*range(1, len(rows) + 1)] == [row["epoch"] for row in rows]
    assert set(EpochMetrics._fields) == set(rows[0])
    (section,) = re.findall(rf"^### {log.stem}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert [ROW.format(**row) for row in rows] == re.findall(r"^\| \d.*$", section, re.MULTILINE)
    assert f"(trainings/{log.stem}.png)" in section
    assert log.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_every_run_of_the_page_has_its_log() -> None:
    """A section is about a log that is there."""
    assert [log.stem for log in LOGS] == sorted(re.findall(r"^### (.*)$", PAGE, re.MULTILINE))


def test_reference_recipe_reaches_what_it_is_for() -> None:
    """AlexNet at full size passes the article's best train accuracy in epoch 1, and 0.90 on the test set within 3."""
    rows = epochs(RESULTS / "trainings" / "alexnet-reference.jsonl")
    assert rows[0]["train_accuracy"] > 0.809
    assert max(row["test_accuracy"] for row in rows[:3]) >= 0.90
