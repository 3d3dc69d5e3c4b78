"""A step on several devices is the step of one: its images divided, gradients added up, all devices left the same."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a_run import SETTING, TEST, TRAIN
from a_worker import RECIPE, ROUNDING, Plain
from conformance.tensors.comparison import Array
from flaws import Small
from reference.runtime.mxnet_compat import mx
from reference.training import checkpoints, devices, fit
from reference.training import loop as training
from reference.training.batches import Batch, Examples
from reference.training.checkpoints import Checkpoint
from reference.training.randomness import seed_of
from reference.training.recipes import Recipe
from reference.training.runs import Run

ONE, TWO = [mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]
IMAGES = np.random.default_rng(0).random((40, 3, 16, 16), np.float32)
LABELS = np.arange(40) % 5
#: 33 images in batches of 15: steps of 8 and 7, 8 and 7, and 2 and 1 images on two devices; one device has the last
#: test image to itself.
PARTS = Examples(IMAGES[:33], LABELS[:33]), Examples(IMAGES[24:], LABELS[24:])


def values(net: Any, place: int = 0) -> dict[str, Array]:
    """Return the parameters on one of a network's devices."""
    return {name: p.list_data()[place].asnumpy() for name, p in net._collect_params_with_prefix().items()}


def trained(net: Any, contexts: list[Any], recipe: Recipe = RECIPE, seed: int = 0) -> list[Any]:
    """Train a network and return the metrics."""
    return list(fit(net, *PARTS, replace(recipe, batch_size=15), seed=seed, ctx=contexts))


@pytest.mark.parametrize("hybridized", [False, True])
def test_two_devices_equal_one(hybridized: bool) -> None:
    """Parameters and metrics of two devices are those of one up to rounding, and the same on both devices."""
    nets = [Plain(5), Plain(5)]
    for net in nets:
        net.hybridize(hybridized, static_alloc=True)
    runs = [trained(net, contexts) for net, contexts in zip(nets, (ONE, TWO), strict=True)]
    for expected, actual in zip(*runs, strict=True):
        assert expected.loss == pytest.approx(actual.loss, rel=1e-6)
        assert expected.test_loss == pytest.approx(actual.test_loss, rel=1e-6)
        assert (expected.train_accuracy, expected.test_accuracy) == (actual.train_accuracy, actual.test_accuracy)
    other = values(nets[1], 1)
    for name, value in values(nets[0]).items():
        np.testing.assert_allclose(value, other[name], rtol=0, atol=ROUNDING, err_msg=name)
        np.testing.assert_array_equal(values(nets[1])[name], other[name], err_msg=name)


def one_step(net: Any, images: Array, labels: Array, contexts: list[Any]) -> Any:
    """Make one step and return the trainer."""
    trainer = training.new_trainer(net, RECIPE, contexts)
    training.train_step(net, trainer, Batch(mx.nd.array(images), labels), len(labels))
    return trainer


def test_devices_share_the_mean_of_their_statistics() -> None:
    """After a step every device has the mean of the running statistics that the parts of the batch give alone."""
    start = Small()
    start.initialize(mx.init.Xavier())
    start(mx.nd.array(IMAGES[:1]))

    def after_step(images: Array, labels: Array, contexts: list[Any]) -> Any:
        net = Small()
        checkpoints.apply_parameters(Checkpoint({}, {}, (), values(start), b""), net, contexts)
        one_step(net, images, labels, contexts)
        return net

    parts = [values(after_step(IMAGES[part], LABELS[part], ONE)) for part in (slice(4), slice(4, 7))]
    net = after_step(IMAGES[:7], LABELS[:7], TWO)
    for name in ("norm.running_mean", "norm.running_var"):
        expected = (parts[0][name] + parts[1][name]) / 2
        for place in (0, 1):
            np.testing.assert_array_equal(expected, values(net, place)[name])


def test_only_statistics_are_shared() -> None:
    """Constants and frozen weights are the same everywhere already, and a mean could round them."""
    net = Small()
    net.conv.weight.grad_req = "null"
    shared = {name for name, p in net._collect_params_with_prefix().items() if devices.is_statistic(p)}
    assert {"norm.running_mean", "norm.running_var"} == shared
    assert not devices.is_statistic(mx.gluon.Constant("constant", np.ones(3)))


def test_more_devices_than_images_are_refused() -> None:
    """A device without an image would have no gradient."""
    with pytest.raises(ValueError, match="1 images on 2 devices: every device needs at least one"):
        one_step(Plain(5), IMAGES[:1], LABELS[:1], TWO)


def finish(folder: Path, contexts: list[Any], *, epochs: int, resume: bool = False) -> dict[str, Array]:
    """Run to the end of an epoch with Adam, which counts its steps, and return the parameters of the last device."""
    run = Run(Small(), SETTING, folder, contexts, print)
    progress = run.start(resume=resume)
    for metrics in run.epochs(progress, TRAIN, TEST):
        if metrics.epoch == epochs:
            break
    return values(run.net, -1)


@pytest.mark.parametrize("first", [ONE, TWO, [mx.cpu(1)]])
def test_run_goes_on_with_other_devices(first: list[Any], tmp_path: Path) -> None:
    """Resumed on two devices, both stay the same; begun on two as well, it ends bit for bit as if never interrupted."""
    finish(tmp_path / "cut", first, epochs=1)
    cut = finish(tmp_path / "cut", TWO, epochs=3, resume=True)
    if first == TWO:
        whole = finish(tmp_path / "whole", TWO, epochs=3)
        for name, value in whole.items():
            np.testing.assert_array_equal(value, cut[name], err_msg=name)
    checkpoint, _ = checkpoints.latest(tmp_path / "cut")
    assert checkpoint is not None
    for name, value in checkpoint.parameters.items():
        np.testing.assert_array_equal(value, cut[name], err_msg=name)


def scaling(trainer: Any, scale: float) -> Any:
    """Have a trainer scale losses as `scale_losses` does, without MXNet's change of all operators."""
    trainer._amp_loss_scaler = import_module("mxnet.contrib.amp.loss_scaler").LossScaler()
    trainer._amp_loss_scaler._loss_scale = trainer._amp_loss_scaler._next_loss_scale = scale
    trainer._amp_original_scale = trainer._scale
    return trainer


def test_scaled_losses_leave_the_update_unchanged() -> None:
    """Losses times a power of two, gradients divided by it: the same update, bit for bit, on one device and on two."""
    for contexts in (ONE, TWO):
        results = []
        for scale in (None, 2.0**10):
            net = Plain(5)
            net.initialize(mx.init.Constant(0.01), ctx=contexts)
            net(mx.nd.array(IMAGES[:1]))
            trainer = training.new_trainer(net, RECIPE, contexts)
            if scale:
                scaling(trainer, scale)
            output = training.train_step(net, trainer, Batch(mx.nd.array(IMAGES[:7]), LABELS[:7]), 7)
            results.append((output.losses.asnumpy(), values(net, -1)))
        np.testing.assert_array_equal(results[0][0], results[1][0])
        for name, value in results[0][1].items():
            np.testing.assert_array_equal(value, results[1][1][name], err_msg=name)


def test_overflow_makes_no_update() -> None:
    """A gradient that overflows leaves the weights, and the scale is halved for the step after the next."""
    net = Plain(5)
    net.initialize(mx.init.Constant(0.01))
    net(mx.nd.array(IMAGES[:1]))
    before = values(net)
    trainer = scaling(training.new_trainer(net, RECIPE, ONE), np.inf)
    trainer._amp_loss_scaler._next_loss_scale = 8.0
    training.train_step(net, trainer, Batch(mx.nd.array(IMAGES[:7]), LABELS[:7]), 7)
    for name, value in before.items():
        np.testing.assert_array_equal(value, values(net)[name], err_msg=name)
    assert (8.0, 4.0) == (trainer._amp_loss_scaler.loss_scale, trainer._amp_loss_scaler._next_loss_scale)


MIXED = """
import numpy as np
from reference.runtime.mxnet_compat import mx
from reference.training import Examples, Recipe, fit
from reference.training import devices
amp = devices._mixed_precision()
init = amp.init
amp.init = lambda: init("bfloat16")
devices.start_mixed_precision()
net = mx.gluon.nn.HybridSequential()
net.add(mx.gluon.nn.Dense(16, activation="relu"), mx.gluon.nn.Dense(3), mx.gluon.nn.HybridLambda("log_softmax"))
net.hybridize()
images = np.random.default_rng(0).random((24, 8), np.float32)
recipe = Recipe("sgd", 0.5, batch_size=8, epochs=8, mixed_precision=True)
data = Examples(images, (images[:, 0] * 3).astype(int))
metrics = list(fit(net, data, data, recipe))
inner = net[0](mx.nd.array(images)).dtype
print(metrics[0].loss > metrics[-1].loss + 0.1, net[0].weight.dtype, np.dtype(inner).itemsize)
"""


def test_mixed_precision_trains() -> None:
    """In bfloat16, which MXNet has for the CPU, the same loop learns, with weights in float32."""
    command = [sys.executable, "-W", "ignore", "-c", MIXED]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ["True", "float32", "2"] == shown.stdout.split(), shown.stderr


def test_workers_draw_apart() -> None:
    """Worker 0 draws dropout and augmentation as a process alone does, every other by a seed of its own."""
    assert 3 == seed_of(3, 0)
    assert 4 == len({seed_of(seed, worker) for seed in (3, 4) for worker in (1, 2)})


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_parts_are_the_batches(parts: int) -> None:
    """Put together, the parts of a batch are the batch, in its order; some may be empty."""
    whole = Examples(np.arange(17), np.arange(17), lambda images: images * 10)
    shares = [replace(whole, part=(part, parts)).batches(8, np.random.default_rng(1)) for part in range(parts)]
    for batch, *shared in zip(whole.batches(8, np.random.default_rng(1)), *shares, strict=True):
        np.testing.assert_array_equal(batch.labels, np.concatenate([share.labels for share in shared]))
        np.testing.assert_array_equal(batch.images, np.concatenate([share.images for share in shared]))
        sizes = [len(share.labels) for share in shared]
        assert max(sizes) - min(sizes) <= 1


def test_worker_without_an_image_predicts_nothing() -> None:
    """A part of a test batch that has no image is left out."""
    net = Plain(5)
    net.initialize()
    one = Examples(IMAGES[:1], LABELS[:1])
    counts = [len(list(training.predictions(net, replace(one, part=(part, 2))))) for part in (0, 1)]
    assert [1, 0] == counts
