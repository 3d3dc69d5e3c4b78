"""The training loop trains: by the optimizer's rule, on every image, as its seed says, and reports what it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from conformance.tensors.comparison import Array
from flaws import Small
from reference.runtime.mxnet_compat import mx
from reference.training import Divergence, evaluate, fit, train_step
from reference.training import loop as training
from reference.training.batches import Batch, Examples
from reference.training.recipes import ARTICLE, REFERENCE, Recipe, StepDecay

SGD = Recipe("sgd", 0.1, StepDecay(0.1, every=2), batch_size=4, epochs=2)
CLASSES = 3


def examples(number: int = 10, first: int = 0) -> Examples:
    """Return random images (N, 2, 4, 4) with labels that follow from them."""
    images = np.random.default_rng(first).random((number, 2, 4, 4), np.float32)
    return Examples(images, (images[:, 0].sum((1, 2)) * 7).astype(np.int64) % CLASSES)


def linear(value: float | None = None) -> Any:
    """Return a linear network of two parameters, with all weights equal, or without weights."""
    net = mx.gluon.nn.Dense(CLASSES)
    if value is not None:
        net.initialize(mx.init.Constant(value))
        net(mx.nd.zeros((1, 2, 4, 4)))
    return net


def values(net: Any) -> list[Array]:
    """Return the values of all parameters."""
    return [parameter.data().asnumpy() for parameter in net._collect_params_with_prefix().values()]


def softmax(logits: Array) -> Array:
    """Return probabilities."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Array = powers / powers.sum(1, keepdims=True)
    return probabilities


def gradients(weight: Array, bias: Array, batch: Batch) -> tuple[Array, Array]:
    """Return the summed gradient of a linear network's cross-entropy, in float64."""
    inputs = batch.images.reshape(len(batch.images), -1).astype(np.float64)
    errors = softmax(inputs @ weight.T + bias) - np.eye(CLASSES)[batch.labels]
    return errors.T @ inputs, errors.sum(0)


def one_step(recipe: Recipe, divide_by: int) -> tuple[list[Array], list[Array], tuple[Array, Array]]:
    """Return the parameters before and after one step on four images, and the summed gradient."""
    net, batch = linear(0.05), next(examples(4).batches(4))
    before = [value.astype(np.float64) for value in values(net)]
    trainer = training.new_trainer(net, recipe, mx.cpu())
    train_step(net, trainer, Batch(mx.nd.array(batch.images), batch.labels), divide_by)
    return before, values(net), gradients(before[0], before[1], batch)


@pytest.mark.parametrize("divide_by", [4, 128])
def test_sgd_step_equals_numpy(divide_by: int) -> None:
    """One SGD step moves against the summed gradient, divided as told."""
    before, after, summed = one_step(SGD, divide_by)
    for old, new, gradient in zip(before, after, summed, strict=True):
        np.testing.assert_allclose(old - 0.1 * gradient / divide_by, new, rtol=0, atol=1e-7)


def test_adam_step_equals_numpy() -> None:
    """One step of the article's Adam equals Kingma and Ba's algorithm 1 in float64, as MXNet orders epsilon."""
    before, after, summed = one_step(ARTICLE, 128)
    for old, new, gradient in zip(before, after, summed, strict=True):
        mean, variance = 0.1 * gradient / 128, 0.001 * (gradient / 128) ** 2
        rate = 0.01 * np.sqrt(1 - 0.999) / (1 - 0.9)
        np.testing.assert_allclose(old - rate * mean / (np.sqrt(variance) + 1e-8), new, rtol=0, atol=1e-7)


def test_partial_batch_of_the_article_weighs_less() -> None:
    """The article divides by 128 whatever the batch has, the reference recipe by the number of images."""
    assert (128, 128) == tuple(training.divisor(ARTICLE, images) for images in (96, 128))
    assert (96, 128) == tuple(training.divisor(REFERENCE, images) for images in (96, 128))


def test_epochs_equal_numpy() -> None:
    """Two epochs with a last batch of two images equal the same in float64, in the order the seed draws."""
    data, net = examples(), linear(0.05)
    weight, bias = (value.astype(np.float64) for value in values(net))
    for _ in fit(net, data, recipe=SGD, seed=5):
        pass
    for epoch in (1, 2):
        for batch in data.batches(4, np.random.default_rng((5, epoch))):
            slopes = gradients(weight, bias, batch)
            weight, bias = (
                old - 0.1 * slope / len(batch.labels) for old, slope in zip((weight, bias), slopes, strict=True)
            )
    np.testing.assert_allclose(weight, values(net)[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(bias, values(net)[1], rtol=0, atol=1e-6)


def test_metrics_equal_numpy() -> None:
    """Loss and accuracy are means over images, whatever the size of the batches; evaluation equals NumPy."""
    data, net = examples(), linear()
    (metrics,) = fit(net, data, examples(7, first=1), replace(SGD, learning_rate=1e-12, epochs=1))
    weight, bias = values(net)
    for part, loss, accuracy in (
        (data, metrics.loss, metrics.train_accuracy),
        (examples(7, first=1), metrics.test_loss, metrics.test_accuracy),
    ):
        logits = part.images.reshape(len(part), -1) @ weight.T + bias
        assert loss == pytest.approx(-np.log(softmax(logits)[np.arange(len(part)), part.labels]).mean(), rel=1e-5)
        assert accuracy == (logits.argmax(1) == part.labels).mean()
    assert 1 == metrics.epoch
    assert 1e-12 == metrics.learning_rate
    assert metrics.images_per_second == pytest.approx(10 / metrics.seconds)


def test_fit_learns() -> None:
    """It learns 20 images by heart."""
    data = examples(20)
    last = list(fit(linear(), data, data, replace(REFERENCE, learning_rate=0.05, epochs=60, batch_size=8)))[-1]
    assert last.loss < 0.3
    assert 1 == last.test_accuracy


def test_fit_without_test_data_evaluates_nothing() -> None:
    """Test data may be left out; its metrics are then None."""
    (first, _) = fit(linear(), examples(), recipe=SGD)
    assert (None, None) == (first.test_loss, first.test_accuracy)


def small(seed: int) -> list[Array]:
    """Return the parameters of a block with BatchNorm and dropout after two epochs."""
    net = Small()
    recipe = replace(REFERENCE, epochs=2, batch_size=4, augmentation="flip")
    images = np.random.default_rng(0).random((10, 3, 8, 8), np.float32)
    for _ in fit(net, Examples(images, np.arange(10) % 5), recipe=recipe, seed=seed):
        mx.random.seed(99)
        np.random.seed(99)
    return values(net)


def test_seed_decides_alone() -> None:
    """The same seed gives the same weights bit for bit, whatever others do to global generators; another does not."""
    first, again, other = small(1), small(1), small(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


def test_fit_keeps_given_weights() -> None:
    """Weights that are there are where training begins, and are not drawn again."""
    net = linear(0.5)
    next(fit(net, examples(), recipe=replace(SGD, learning_rate=1e-12)))
    assert 0.5 == values(net)[0].min() == values(net)[0].max()


def test_fit_keeps_an_initializer_that_waits_for_shapes() -> None:
    """A network initialized by its user keeps that initializer, though its weights are drawn in training."""
    net = linear()
    net.initialize(mx.init.Constant(0.25))
    next(fit(net, examples(), recipe=replace(SGD, learning_rate=1e-12)))
    assert 0.25 == values(net)[0].min() == values(net)[0].max()


def test_article_draws_its_weights() -> None:
    """The article's weights are normal with a deviation of 0.01, and its biases zero."""
    net = mx.gluon.nn.Dense(200)
    next(fit(net, examples(2), recipe=replace(ARTICLE, learning_rate=1e-12)))
    weight, bias = values(net)
    assert 0.01 == pytest.approx(weight.std(), rel=0.05)
    assert np.abs(bias).max() < 1e-11


def test_fit_takes_any_iterable() -> None:
    """A DataLoader of Gluon serves as data, in its own batches."""
    data = examples()
    loader = mx.gluon.data.DataLoader(mx.gluon.data.ArrayDataset(data.images, data.labels), batch_size=5)
    (metrics, _) = fit(linear(0.05), loader, loader, SGD)
    (expected, _) = fit(linear(0.05), list(data.batches(5)), data, SGD)
    assert expected[:4] == metrics[:4]


def test_seed_decides_over_a_loader() -> None:
    """Gluon's DataLoader shuffles as the seed says, which is why NumPy's generator is seeded for it."""
    data = mx.gluon.data.ArrayDataset(examples().images, examples().labels)
    loader = mx.gluon.data.DataLoader(data, batch_size=3, shuffle=True)
    first, again, other = (next(fit(linear(0.05), loader, recipe=SGD, seed=seed)).loss for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("label", [3, -1, 0.5])
def test_label_out_of_range_is_refused(label: float) -> None:
    """Gluon's loss would take a label that is no class for its neighbour; the loop names it."""
    batch = Batch(np.zeros((2, 2, 4, 4), np.float32), np.array([0, label]))
    with pytest.raises(ValueError, match=f"label {label:g}.* at position 1: allowed are the integers 0 to 2"):
        list(fit(linear(), [batch], recipe=SGD))
    with pytest.raises(ValueError, match="at position 1"):
        evaluate(linear(0.0), [batch])


@pytest.mark.parametrize(
    ("net", "data", "says"),
    [
        (mx.gluon.nn.Flatten, [], "Flatten has no parameter to train"),
        (linear, [], "the data gave no image"),
        (
            lambda: mx.gluon.nn.Dense(3, flatten=False),
            examples(),
            r"has the shape \(4, 2, 4, 3\), expected \(4, classes\)",
        ),
    ],
)
def test_fit_refuses_what_it_cannot_train(net: Any, data: Any, says: str) -> None:
    """A network without parameters, data without images and outputs that are no logits are a ValueError."""
    with pytest.raises(ValueError, match=says):
        list(fit(net(), data, recipe=SGD))


def test_divergence_names_step_and_rate() -> None:
    """A loss that is not finite stops the run, with the step that gave it."""

    def batches() -> Iterator[Batch]:
        for number, (images, labels) in enumerate(examples(12).batches(4), 1):
            yield Batch(images * (np.inf if number == 2 else 1), labels)

    with pytest.raises(Divergence, match=r"epoch 1, step 2: the loss is (nan|inf) at learning rate 0\.1"):
        list(fit(linear(), batches(), recipe=SGD))


@pytest.mark.parametrize("flags", [{}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}])
def test_hybridized_network_trains_the_same(flags: dict[str, bool]) -> None:
    """A cached graph gives the same metrics, though a step's logits are read while the next step is computed."""
    images = np.random.default_rng(0).random((22, 3, 8, 8), np.float32)
    data, runs = Examples(images, np.arange(22) % 5), []
    for hybridized in (False, True):
        net = Small()
        net.initialize(mx.init.Constant(0.01))
        if hybridized:
            net.hybridize(**flags)
        runs.append([metrics[:6] for metrics in fit(net, data, data, replace(REFERENCE, batch_size=4), seed=1)])
    assert runs[0] == runs[1]
