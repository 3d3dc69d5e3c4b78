"""Faults of the training loop, each a patch of the real loop that a subject's build function puts in place.

The build function runs in the worker process, where the loop runs too. In the tests' own process `restore` takes the
patches back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance import Subject
from flaws import Small
from loop_patches import (
    CountingFullBatches,
    LastBatch,
    accumulating,
    averaged_twice,
    changed_batches,
    doubled,
    evaluate,
    fit,
    forgetting_moments,
    in_predict_mode,
    in_stored_order,
    made_twice,
    moving_statistics,
    predicted_in_train_mode,
    put,
    reporting_the_next_rate,
    restore,
    rolled,
    shifted,
    skipped_if_small,
    trained_on_test_images,
    unseeded,
    with_adam,
    without_momentum,
    without_the_first_loaded,
)
from reference.training.batches import Batch, Examples


@dataclass(frozen=True)
class LoopFault:
    """A fault of the loop.

    Attributes:
        wrong: What is wrong.
        check: Id of the check that must fail.
        says: What the failure must say.
        patches: What takes the place of the loop's functions of these names.
        variant: The check's variant that must fail, where it has variants.
    """

    wrong: str
    check: str
    says: str
    patches: dict[str, Any]
    variant: str = ""

    @property
    def subject(self) -> Subject:
        """A right block whose build function patches the loop."""

        def build() -> Small:
            restore()
            put(self.patches)
            return Small()

        return Subject("small", build=build, input_shape=(3, 32, 32))


TRAIN_IMAGES, TEST_IMAGES, ORDER, RATE, METRICS, WORKERS = (
    f"training.{name}"
    for name in ("train_images", "test_images", "order", "learning_rate", "metrics", "loader_workers")
)
STEP_1, STEP_3 = "epoch 1, step 1 (8 images): update of conv.weight", "epoch 1, step 3 (4 images): update of conv."

STEP_2 = "epoch 1, step 2 (8 images): update of conv."


def wrong_update(wrong: str, says: str, patches: dict[str, Any], variant: str = "sgd") -> LoopFault:
    """A fault that shows in what a step does to the parameters."""
    return LoopFault(wrong, "training.updates", says, patches, variant)


LOOP_FAULTS: tuple[LoopFault, ...] = (
    LoopFault(
        "last batch dropped",
        TRAIN_IMAGES,
        "epoch 1, training: training image 8: expected 1 times, actual 0 times",
        {"batches_of": changed_batches(lambda batch: batch if len(batch.labels) == 8 else None)},
    ),
    LoopFault(
        "an image twice, another never",
        TRAIN_IMAGES,
        "epoch 1, training: training image 7: expected 1 times, actual 2 times",
        {"batches_of": changed_batches(doubled)},
    ),
    LoopFault(
        "test images in training",
        TRAIN_IMAGES,
        "epoch 1, training: test image 0: expected 0 times, actual 1 times",
        {"fit": trained_on_test_images},
    ),
    LoopFault(
        "images from 0 to 255",
        TRAIN_IMAGES,
        "epoch 1, training: an image that was not handed out: expected 0 times, actual 20 times",
        {"batches_of": changed_batches(lambda batch: Batch(batch.images * np.float32(255), batch.labels))},
    ),
    LoopFault(
        "training in predict mode",
        TRAIN_IMAGES,
        "epoch 1, step 1: expected train mode, actual predict mode",
        {"train_step": in_predict_mode},
    ),
    LoopFault(
        "evaluation in train mode",
        TEST_IMAGES,
        "epoch 1, test batch 1: expected predict mode, actual train mode",
        {"predictions": predicted_in_train_mode},
    ),
    LoopFault(
        "evaluation on the training images",
        TEST_IMAGES,
        "epoch 1, evaluation: training image 0: expected 0 times, actual 1 times",
        {"fit": lambda net, train, test, *arguments, **options: fit(net, train, train, *arguments, **options)},
    ),
    LoopFault(
        "evaluation drops the last batch",
        TEST_IMAGES,
        "epoch 1, evaluation: test image 8: expected 1 times, actual 0 times",
        {"evaluate": lambda net, data, *rest: evaluate(net, Examples(data.images[:8], data.labels[:8]), *rest)},
    ),
    LoopFault(
        "evaluation moves statistics",
        TEST_IMAGES,
        "epoch 1, test batch 1: norm.running_mean is not what it is at the end of the epoch",
        {"predictions": moving_statistics},
    ),
    LoopFault(
        "no shuffling", ORDER, "the images come in the order they are stored in", {"batches_of": in_stored_order}
    ),
    LoopFault(
        "the same order in every epoch",
        ORDER,
        "epoch 2: expected another order than epoch 1",
        {"order_of": lambda seed, epoch: np.random.default_rng(seed)},
    ),
    LoopFault(
        "an order without a seed",
        ORDER,
        "the same seed: expected the order",
        {"order_of": lambda seed, epoch: np.random.default_rng()},
    ),
    LoopFault(
        "an order that ignores the seed",
        ORDER,
        "another seed: expected another order",
        {"order_of": lambda seed, epoch: np.random.default_rng(epoch)},
    ),
    wrong_update("loss averaged twice", STEP_1, {"train_step": averaged_twice}),
    wrong_update("last batch weighted as a full one", STEP_3, {"divisor": lambda recipe, images: 8}),
    wrong_update("gradients never cleared", "step 2 (8 images): update of conv.", {"complete": accumulating}),
    wrong_update("a step without an update", STEP_3, {"train_step": skipped_if_small}),
    wrong_update("every update made twice", STEP_1, {"train_step": made_twice}),
    wrong_update("momentum lost after an epoch", "epoch 2, step 1", {"train_epoch": without_momentum}),
    wrong_update(
        "labels of the next image",
        STEP_1,
        {"batches_of": changed_batches(rolled)},
    ),
    wrong_update(
        "the same dropout in every step",
        "epoch 1, step 1 (8 images): logits",
        {"step_seed": lambda seed, epoch, step: seed},
    ),
    wrong_update("beta2 of 0.99", STEP_2, {"new_trainer": with_adam(beta2=0.99)}, "adam"),
    wrong_update("moments lost after a step", STEP_2, {"train_step": forgetting_moments}, "adam"),
    LoopFault(
        "learning rate an epoch early",
        RATE,
        "epoch 1, step 1 (8 images): expected learning rate 0.01, actual 0.005",
        {"train_epoch": shifted(1)},
    ),
    LoopFault(
        "learning rate an epoch late",
        RATE,
        "epoch 2, step 1 (8 images): expected learning rate 0.005, actual 0.01",
        {"train_epoch": shifted(-1)},
    ),
    LoopFault(
        "the next epoch's learning rate reported",
        RATE,
        "epoch 1: expected a report of learning_rate 0.01, actual 0.005",
        {"fit": reporting_the_next_rate},
    ),
    LoopFault("metrics over full batches", METRICS, "epoch 1, training loss: expected", {"Tally": CountingFullBatches}),
    LoopFault("metrics of the last batch", METRICS, "epoch 1, training loss: expected", {"Tally": LastBatch}),
    LoopFault("a loader's order without a seed", WORKERS, "1 workers: expected the order", {"batches_of": unseeded}),
    LoopFault(
        "a loader's first batch lost", WORKERS, "0 workers: training image", {"batches_of": without_the_first_loaded}
    ),
)
