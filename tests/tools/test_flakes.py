"""The search for false alarms: orders that differ, and the bound that follows from runs without a failure."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from conformance import Subject
from conformance.contract.specification import SPECIFICATIONS
from conformance.session.cases import cases
from flakes import Round, main, pytest_collection_modifyitems, read, summary, upper_bound

ITEMS = [
    SimpleNamespace(nodeid=f"x::test_check[{case.id}]", callspec=SimpleNamespace(params={"case": case}))
    for case in cases([Subject("vgg11"), Subject("alexnet")], ["structure", "parameters"])
]


def shuffled(seed: int) -> list[str]:
    """Return the items' ids in the order of a seed."""
    items = list(ITEMS)
    pytest_collection_modifyitems(SimpleNamespace(option=SimpleNamespace(conformance_seed=seed)), items)
    return [item.nodeid for item in items]


def test_order_follows_from_the_seed_and_keeps_subjects_together() -> None:
    """The same seed gives the same order in every worker; a subject's checks stay beside each other."""
    assert shuffled(1) == shuffled(1)
    assert len({tuple(shuffled(seed)) for seed in range(5)}) > 1
    subjects = ["vgg11" in name for name in shuffled(3)]
    assert 1 == sum(before != after for before, after in pairwise(subjects))


def test_upper_bound_is_the_rule_of_three() -> None:
    """200 runs without a failure exclude a rate of 1.5 % with 95 % confidence."""
    assert upper_bound(200) == pytest.approx(0.01487, abs=1e-5)
    with pytest.raises(ValueError, match="1 failures in 200 runs"):
        upper_bound(200, 1)


def test_failures_are_counted_by_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two failed checks of one network are one failed network-run, and the exit code is 1."""
    failed = ("test_check[vgg11-a.b]", "test_check[vgg11-a.c]")
    monkeypatch.setattr(
        "flakes.run",
        lambda seed, networks, workers: Round(seed, workers, tuple(networks), 10, failed * (seed == 1), seed == 1),
    )
    with pytest.raises(SystemExit):
        main(2, ["vgg11", "alexnet"])
    assert "1 failures in 4 network-runs (20 cases)" in capsys.readouterr().out


def test_log_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A second search goes on with the next seed, and its result is about the rounds of both."""
    monkeypatch.setattr("flakes.run", lambda seed, networks, workers: Round(seed, workers, tuple(networks), 10, (), 0))
    log = tmp_path / "flakes.jsonl"
    main(1, ["vgg11"], log)
    main(2, ["vgg11"], log)
    assert [(1, 2), (2, 1), (3, 2)] == [(each.seed, each.workers) for each in read(log)]
    assert "0 failures in 3 network-runs (30 cases); below 63.16% a network-run" in capsys.readouterr().out


def test_committed_search_found_nothing() -> None:
    """The log in the repository has at least 200 network-runs over all networks, none of them failed."""
    rounds = read(Path(__file__).parents[2] / "docs" / "results" / "flakes.jsonl")
    assert set(SPECIFICATIONS) == {name for each in rounds for name in each.networks}
    assert {1, 2} == {each.workers for each in rounds}
    assert len(rounds) == len({each.seed for each in rounds})
    assert 0 == sum(each.failures for each in rounds)
    assert 200 <= sum(len(each.networks) for each in rounds)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert summary(rounds) in " ".join(readme.split())
