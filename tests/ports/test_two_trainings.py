"""Three training steps are compared so closely that another optimizer, or another convention of one, is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import small_networks
import two_trainings
from benches import runs_of
from conformance.contract.tolerances import TORCH_UPDATES
from conformance.graphs.cancelled import cancelled_biases
from conformance.ports.torch.port import TorchPort
from conformance.tensors.comparison import largest_difference
from engine_pairs import Pair
from torch_nets import resnet
from two_trainings import BETA1, BETA2, LEARNING_RATE, MOMENTUM, OPTIMIZERS, WEIGHT_DECAY, port_trained


@pytest.fixture(scope="module")
def both() -> Pair:
    """Return the small ResNet in both engines."""
    runs = runs_of(small_networks.claim("resnet", small_networks.BUILD["resnet"]).original)
    return Pair(runs, TorchPort(resnet(), runs.network.shape(2, train=True)))


@pytest.fixture(scope="module")
def expected(both: Pair) -> dict[str, dict[str, Any]]:
    """Return what three steps of each optimizer make of the reference's parameters."""
    return {optimizer: two_trainings.reference_trained(both.runs, optimizer) for optimizer in TORCH_UPDATES}


def worst(both: Pair, expected: dict[str, Any], optimizer: str) -> float:
    """Return the largest difference of a parameter's change, relative to that change."""
    frozen = {both.names[name] for name in cancelled_biases(both.runs.graph)}
    found = dict(port_trained(both.port, both.runs, optimizer, frozen))
    errors = []
    for name, parameter in both.runs.graph.parameters.items():
        if parameter.slot in ("weight", "gamma", "beta") or (
            parameter.slot == "bias" and both.names[name] not in frozen
        ):
            before = both.runs.network.values[name].astype(np.float64)
            change = expected[name] - before
            errors.append(largest_difference(change, found[both.names[name]] - before)[0] / np.abs(change).max())
    return float(max(errors))


@pytest.mark.parametrize("optimizer", TORCH_UPDATES)
def test_same_optimizer_takes_the_same_steps(both: Pair, expected: dict[str, dict[str, Any]], optimizer: str) -> None:
    """The small network's steps agree as the large ones' do."""
    assert worst(both, expected[optimizer], optimizer) < TORCH_UPDATES[optimizer].bound


def _plain(make: Callable[..., Any]) -> Callable[[list[Any]], Callable[[int], None]]:
    def steps(learning: list[Any]) -> Callable[[int], None]:
        optimizer = make(learning)
        return lambda step: optimizer.step()

    return steps


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("sgd", partial(torch.optim.SGD, lr=LEARNING_RATE, momentum=0.9, weight_decay=WEIGHT_DECAY, nesterov=True)),
        ("sgd", partial(torch.optim.SGD, lr=LEARNING_RATE, momentum=0.0, weight_decay=WEIGHT_DECAY)),
        ("sgd", partial(torch.optim.SGD, lr=LEARNING_RATE, momentum=MOMENTUM)),
        ("adam", partial(torch.optim.Adam, lr=LEARNING_RATE, betas=(BETA1, 0.99))),
        ("adam", partial(torch.optim.Adam, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=1e-4)),
    ],
)
def test_other_optimizer_is_found(
    both: Pair, expected: dict[str, dict[str, Any]], optimizer: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another momentum, decay, beta or epsilon changes an update by more than the bound."""
    monkeypatch.setitem(OPTIMIZERS, optimizer, _plain(make))

    assert worst(both, expected[optimizer], optimizer) > 10 * TORCH_UPDATES[optimizer].bound
