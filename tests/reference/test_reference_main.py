"""``python -m reference``: the tables it shows and the one line of each refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reference import list_models
from reference.__main__ import main

REFUSALS = {
    "": ": the following arguments are required: command",
    "nothing": ": argument command: invalid choice: 'nothing'",
    "summary": " summary: the following arguments are required: NAME",
    "summary resnet51": ": name='resnet51': allowed are alexnet, vgg11,",
    "summary vgg11 --classes 0": " summary: argument --classes: '0': allowed is an integer from 1 to 32768",
    "summary vgg11 --channels x": " summary: argument --channels: 'x': allowed is an integer",
    "summary vgg11 --batch-size 1.5": " summary: argument --batch-size: '1.5': allowed is an integer",
    "summary vgg11 --image-size 99999": " summary: argument --image-size: '99999': allowed is an integer",
    "summary vgg11 --image-size 31": ": VGG takes images of shape (N, C, H, W), H and W at least 32, not",
    "summary vgg11 --no-conv-bias": ": --no-conv-bias: vgg11 has no convolutions without a bias",
}


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of every row of a printed table by the row's first cell."""
    lines = [line.strip("│┃ ") for line in text.splitlines() if line.startswith(("│", "┃"))]
    cells = [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_list_shows_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a row a network: parameters, multiply-adds, smallest input and paper."""
    main(["list"])

    rows = table_rows(capsys.readouterr().out)
    assert ["network", *list_models()] == list(rows)
    assert ["61,100,840", "714,188,480", "63x63", "https://arxiv.org/abs/1404.5997"] == rows["alexnet"]
    assert ["20,260,008", "4,291,365,888", "29x29", "https://arxiv.org/abs/1608.06993"] == rows["densenet201"]


def test_summary_shows_layers_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    """The summary has a row a layer under its structural name, and the totals last."""
    main(["summary", "resnet50"])

    rows = table_rows(capsys.readouterr().out)
    assert ["Conv2D", "(1, 64, 56, 56)", "4,160", "12,845,056"] == rows["features.4.0.body.0"]
    assert ["BatchNorm", "(1, 256, 56, 56)", "1,024"] == rows["features.4.0.projection.1"][:3]
    assert ["", "", "25,636,712", "3,857,973,248"] == rows["total, 25,583,592 trainable"]
    assert "total, 25,583,592 trainable" == list(rows)[-1]


def test_summary_options_change_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    """Classes, channels, image size, batch size and biases are those asked for."""
    sizes = ["--classes", "10", "--channels", "1", "--image-size", "64", "--batch-size", "2"]
    main(["summary", "resnet50", *sizes, "--no-conv-bias"])

    rows = table_rows(capsys.readouterr().out)
    assert ["Conv2D", "(2, 64, 32, 32)", "3,136", "6,422,528"] == rows["features.0"]
    assert ["Dense", "(2, 10)", "20,490", "40,960"] == rows["output"]


@pytest.mark.parametrize("command", REFUSALS)
def test_bad_command_is_refused_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command is answered by one line on stderr and exit code 2."""
    with pytest.raises(SystemExit) as refusal:
        main(command.split())

    output = capsys.readouterr()
    assert (2, "") == (refusal.value.code, output.out)
    assert output.err.startswith(f"python -m reference{REFUSALS[command]}")
    assert 1 == output.err.count("\n")


def test_module_runs_as_a_command() -> None:
    """``python -m reference`` prints the table and nothing else, and succeeds."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "reference", "summary", "alexnet"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("", 0) == (result.stderr, result.returncode)
    assert ["", "", "61,100,840", "714,188,480"] == table_rows(result.stdout)["total, 61,100,840 trainable"]


@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("2", "2")])
def test_commands_keep_one_scratch_space(
    given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MXNet is told to keep one scratch space, unless the environment says how many."""
    monkeypatch.setenv("MXNET_CPU_TEMP_COPY", given or "")
    if given is None:
        monkeypatch.delenv("MXNET_CPU_TEMP_COPY")
    with pytest.raises(SystemExit):
        main(["summary"])
    assert kept == os.environ["MXNET_CPU_TEMP_COPY"]
    capsys.readouterr()
