"""The benchmark of the training loop: it measures in turns, counts right and refuses what it cannot measure."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SMALL = "--network resnet50 --contenders article,ours --blocks 1 --steps 1 --batch-size 2 --image-size 32 --images 20"
PACKAGED = ROOT / "reference" / "fashion_mnist"
PART = ("--data", str(PACKAGED))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python find the benchmarks' modules."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def measured(kind: str, *blocks: tuple[float, float, float]) -> Any:
    """Return a contender with blocks of one step of 12 images: seconds, peak and workers."""
    task = import_module("contenders").Task(kind, "alexnet", 12, 224, 1, "")
    return import_module("training").Contender(task, [import_module("contenders").Block(*block) for block in blocks])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark."""
    command = [sys.executable, str(ROOT / "benchmarks" / "training.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_benchmark_measures_in_turns() -> None:
    """A run of two contenders prints a row of each and how they compare."""
    done = run(*SMALL.split(), *PART)

    assert 0 == done.returncode, done.stderr
    assert "## resnet50, batches of 2, 32x32" in done.stdout
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert ["loop", "---", "article", "ours"] == rows
    assert "- ours / article: " in done.stdout
    assert "round 1 of 1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--contenders ours,theirs", "--contenders 'theirs': allowed are article, ours, pytorch, network, loader"),
        ("--contenders ours --blocks 0", "--blocks 0: allowed are integers from 1 on"),
    ],
)
def test_wrong_argument_is_refused(arguments: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is named with what is allowed."""
    with pytest.raises(SystemExit):
        import_module("training").parse(arguments.split())
    assert says in capsys.readouterr().err


def test_missing_pytorch_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without PyTorch the remedies are said in a line, before anything is measured."""
    monkeypatch.setattr(import_module("training"), "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        import_module("training").parse([])
    assert "PyTorch is not installed: use `nox -s benchmarks`" in capsys.readouterr().err


def test_table_has_median_spread_and_memory() -> None:
    """A row has the median block's images a second, the extremes, and the largest memory."""
    contender = measured("article", (1.0, 500.0, 90.0), (2.0, 600.0, 100.0), (3.0, 600.0, 80.0))
    assert "| article | 6.0 | 4.0 to 12.0 | 600 | 100 |" == import_module("training").table({"article": contender})[2]


def test_ratios_compare_rounds() -> None:
    """Loops are compared round by round, so that a slow minute of the machine counts for both."""
    contenders = {
        "ours": measured("ours", (1.0, 500, 0), (10.0, 500, 0), (2.0, 500, 0)),
        "article": measured("article", (1.5, 1000, 0), (12.0, 1000, 0), (2.6, 1000, 0)),
    }
    assert [
        "- ours / article: 1.300 (1.200 to 1.500); goal: at least 1.15",
        "- peak memory, ours / article: 0.500; goal: at most 1",
    ] == import_module("training").ratios(contenders)
    assert [] == import_module("training").ratios({"article": contenders["article"]})


def test_clock_ends_blocks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A block ends after its steps, once all is computed; the process ends where no further block is asked for."""
    finished = list[int]()
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    clock = import_module("contenders").Clock(2, lambda: finished.append(1))
    for _ in range(3):
        clock()
    with pytest.raises(EOFError):
        clock()
    blocks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 2 == len(blocks) == len(finished)
    assert all(block["seconds"] > 0 and block["peak"] > 10 and block["workers"] == 0 for block in blocks)


def test_profile_sums_operators_by_part() -> None:
    """Operators are summed by part, and what no operator took is told."""
    times = {"Convolution": 200.0, "_backward_Convolution": 400.0, "adam_update": 100.0, "pick": 40.0, "mean": 10.0}
    lines = import_module("profiling").table(times, 1.0, 2)
    assert [
        "| part | seconds a step | share of 0.500 s |",
        "| convolution, backward | 0.200 | 40.0% |",
        "| no operator at work | 0.125 | 25.0% |",
    ] == [lines[0], *lines[2:4]]
    assert "| other operators | 0.025 | 5.0% |" == lines[-1]


def test_operations_follow_from_the_specification() -> None:
    """Forward is two operations a multiply-add, backward twice that without the first convolution's input."""
    task = import_module("contenders").Task("ours", "alexnet", 1, 224, 1, "")
    multiply_adds, first = 714_188_480 - 990 * 4096, 64 * 3 * 11 * 11 * 55 * 55
    assert 2 * (3 * multiply_adds - first) == import_module("profiling").operations(task)


@pytest.mark.parametrize(("network", "norms"), [("alexnet", 0), ("resnet50", 53)])
def test_pytorch_trains_the_same_network(network: str, norms: int) -> None:
    """PyTorch's network is prepared with PyTorch's own BatchNorm and the article's weights, and takes a step."""
    torch = pytest.importorskip("torch", reason="the extra torch brings it, which the session tests has not")
    from conformance.ports.torch.networks import build

    net = build(network, classes=10)
    import_module("contenders").prepare(net)
    found = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [torch.nn.BatchNorm2d] * norms == [type(module) for module in found]
    biases = [module.bias for module in net.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    assert not any(bias.any() for bias in biases)

    options = f"--network {network} --contenders pytorch --blocks 1 --steps 1 --batch-size 2 --images 20"
    done = run(*options.split(), "--image-size", "64", *PART)
    assert 0 == done.returncode, done.stderr
    assert "| pytorch | " in done.stdout
