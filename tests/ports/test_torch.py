"""PyTorch, written independently, says what MXNet says: the 12 networks at full depth and width."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.tolerances import TORCH_LAYERS, TORCH_UPDATES
from conformance.graphs.cancelled import cancelled_biases
from conformance.ports.step import SIDES, step_differences
from conformance.tensors.comparison import compare
from conformance.tensors.fill import uniform
from engine_pairs import Pair, pair
from two_trainings import port_trained, reference_trained


@pytest.fixture(scope="module", params=SPECIFICATIONS)
def network(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return each network's name; what was built of it is let go of behind the last test."""
    yield request.param
    built.cache_clear()


@cache
def built(network: str, small: bool) -> Pair:
    """Return a network in both engines; the small one is another where images fix the layers."""
    return pair(network, small=small)


def for_training(network: str) -> Pair:
    """Return a network in both engines for small images."""
    if SPECIFICATIONS[network].family in SIDES:
        built.cache_clear()
        return built(network, True)
    return built(network, False)


def test_torch_gives_every_layer_in_predict_mode(network: str) -> None:
    """Every operator's output is MXNet's within the measured bound, for a real image and for a random one."""
    both = built(network, False)
    shape = both.runs.network.shape()
    images = np.concatenate([both.runs.network.images(shape).asnumpy(), uniform(shape, -2, 2, 1)])
    problems = [
        line
        for node, expected, actual in both.layers(images)
        for line in compare(str(node), expected, actual, TORCH_LAYERS.bound, TORCH_LAYERS.provenance)
    ]

    assert [] == problems
    assert len(both.runs.graph.nodes) == len(both.nodes)


def test_torch_takes_one_step_as_mxnet(network: str) -> None:
    """In float64 logits, loss, every gradient and the running statistics are MXNet's."""
    both = for_training(network)

    assert [] == list(step_differences(both.runs, both.port, both.names))


@pytest.mark.parametrize("optimizer", TORCH_UPDATES)
def test_torch_takes_three_steps_as_mxnet(network: str, optimizer: str) -> None:
    """Three steps of an optimizer change every parameter and running statistic as MXNet's optimizer does."""
    both = for_training(network)
    bound = TORCH_UPDATES[optimizer]
    frozen = {both.names[name] for name in cancelled_biases(both.runs.graph)}
    expected = reference_trained(both.runs, optimizer)
    places = {twin: name for name, twin in both.names.items()}
    problems: list[str] = []
    for twin, actual in port_trained(both.port, both.runs, optimizer, frozen):
        name = places[twin]
        before = both.runs.network.values[name].astype(np.float64)
        change = expected.pop(name) - before
        assert change.any() != (twin in frozen), f"{twin} must move unless a BatchNorm cancels it"
        problems += compare(f"change of {twin}", change, actual - before, bound.bound, bound.provenance)

    assert [] == problems
    assert {} == expected
