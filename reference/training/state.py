"""Where a run is, and its beginning: a network with weights and the trainer of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.runtime.mxnet_compat import HybridBlock, mx
from reference.training.devices import scale_losses
from reference.training.initialization import contexts_of, initialize
from reference.training.metrics import Tally
from reference.training.recipes import Recipe
from reference.training.workers import ALONE, Workers


@dataclass
class Progress:
    """Where a run is: with the network's weights and the trainer's states, all that its future depends on.

    Attributes:
        trainer: Gluon's Trainer with the optimizer's states.
        tally: What the steps of the epoch gave.
        epoch: That is being trained, the first being 1.
        step: Steps of it that are done.
        seconds: They took.
    """

    trainer: Any
    tally: Tally
    epoch: int = 1
    step: int = 0
    seconds: float = 0.0

    def settle(self) -> None:
        """Wait for the last step and count it.

        Raises:
            Divergence: If the loss is not finite; the message names the step and the learning rate.
        """
        self.tally.count()
        self.tally.require_finite(f"epoch {self.epoch}, step {self.step}", self.trainer.learning_rate)

    def next_epoch(self) -> None:
        """Go on to the first step of the next epoch."""
        self.epoch, self.step, self.tally, self.seconds = self.epoch + 1, 0, Tally(workers=self.tally.workers), 0.0


def begin(net: HybridBlock, recipe: Recipe, ctx: Any = None, workers: Workers = ALONE) -> Progress:
    """Give a network the weights it lacks, and return the beginning of a run; see `fit`."""
    return Progress(new_trainer(net, recipe, contexts_of(net, ctx), workers), Tally(workers=workers))


def new_trainer(net: HybridBlock, recipe: Recipe, ctx: Any, workers: Workers = ALONE) -> Any:
    """Give parameters without weights an initializer, and return a Trainer of all in the network's own order.

    Raises:
        ValueError: If the network has no parameter.
    """
    # By the network's structure: a Trainer sorts a dict by names, which carry a counter of the process.
    parameters = list(dict.fromkeys(net._collect_params_with_prefix().values()))
    if not parameters:
        raise ValueError(f"{type(net).__name__} has no parameter to train")
    initialize(parameters, recipe, ctx)
    settings = {"learning_rate": recipe.rate(1), **dict(recipe.optimizer_settings)}
    # Gradients are added up by the store and every device updates for itself: the states are where the weights are,
    # and a new learning rate acts, which a distributed store's own optimizer would not hear of.
    store = workers.store or "device"
    trainer = mx.gluon.Trainer(parameters, recipe.optimizer, settings, kvstore=store, update_on_kvstore=False)
    if recipe.mixed_precision:
        scale_losses(trainer)
    return trainer
