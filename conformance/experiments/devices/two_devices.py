"""Experiments on two devices: what a network computes on the one, and on the CPU."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from conformance.contract.outcomes import Vacuous
from conformance.experiments.devices.operators import operators
from conformance.experiments.layers import LayerRecording, record_backward, record_forward, record_steps
from conformance.experiments.runs import Runs
from conformance.experiments.training.courses import CLASSES
from conformance.graphs.rewriting import layer_names
from conformance.tensors.comparison import Array
from conformance.tensors.recording_diff import Verdict, compare_records
from conformance.tensors.recording_file import SubjectRecord
from reference.data.idx import load_subset
from reference.data.images import to_images
from reference.runtime.mxnet_compat import mx
from reference.training import loop as training
from reference.training.batches import Examples
from reference.training.recipes import REFERENCE, StepDecay

AMP = importlib.import_module("mxnet.contrib.amp")  # MXNet does not import it by itself
HALF = "float16"
AMP_STEPS = 20
"""Training steps under AMP: its loss scale, 65536 at first, is halved in each step that overflows."""


@dataclass(frozen=True)
class Pair:
    """One tensor from two devices.

    Attributes:
        name: What it is.
        place: The block that computed it.
        expected: On the CPU.
        actual: On the device.
    """

    name: str
    place: str
    expected: Array
    actual: Array


@dataclass(frozen=True)
class Training:
    """A full-size training: how many steps, of how many images, at which side in pixels and rate; images held out."""

    steps: int = 300
    batch: int = 32
    size: int = 224
    rate: float = 2e-4
    held_out: int = 500

    @property
    def recipe(self) -> training.Recipe:
        """One epoch of Adam, weights of He et al. 2015."""
        schedule = StepDecay(1, every=1)
        return replace(REFERENCE, learning_rate=self.rate, schedule=schedule, batch_size=self.batch, epochs=1)


FULL_SIZE = Training()


class TwoDevices:
    """Experiments with one network on a device, and on the CPU beside it.

    Args:
        cpu: Its runs on the CPU.
        device: Its runs on the device.
    """

    def __init__(self, cpu: Runs, device: Runs) -> None:
        """Put both beside each other."""
        self.cpu, self.device = cpu, device

    def layer_pairs(self) -> Iterator[Pair]:
        """What every operator computes on the CPU and on the device, from the CPU's inputs."""
        with self.device.network.stage("running layer by layer on two devices"):
            for operator in operators(self.cpu, layer_names(self.cpu.graph)):
                expected, actual = operator.run(self.cpu.network.ctx), operator.run(self.device.network.ctx)
                for name, value in expected.items():
                    yield Pair(f"{operator.label}: {name}", operator.place, value, actual[name])

    def whole_run(self, variant: str) -> list[Verdict]:
        """Three training steps in float64 without dropout, every layer's where imperative: the device against the CPU.

        Args:
            variant: How it is trained on the device, ``imperative`` or ``static_alloc``; the CPU is imperative.
        """
        records = []
        for side in (self.cpu, self.device):
            recording = LayerRecording(graph=side.graph, archive=None)
            if variant == "imperative":
                record_forward(side, recording)
                record_backward(side.in_float64, recording)
            else:
                record_steps(side.in_float64, recording, static_alloc=side is self.device)
            records.append(SubjectRecord(side.network.subject.name, {}, recording.in_order(), whole=False))
        return list(compare_records(*records).verdicts)

    def logits_in_half(self) -> tuple[Array, Array]:
        """Predicted logits in float32 on the CPU, and of the network cast to half precision on the device."""
        half = Runs(self.device.network.cast(HALF))
        expected, output = (
            side.net(train=False)(side.network.images(side.network.shape(2))) for side in (self.cpu, half)
        )
        if np.dtype(output.dtype).name != HALF:
            raise Vacuous(f"cast to {HALF}, the network gives {np.dtype(output.dtype).name}")
        return expected.asnumpy(), output.asnumpy().astype(np.float32)

    def losses_with_amp(self) -> tuple[float, list[float], int]:
        """Training with automatic mixed precision; for a process of its own, as it cannot be switched off.

        Returns:
            The first loss in float32 on the CPU, those of all steps on the device, and how many steps were taken: a
            step whose gradients overflow is left out.
        """
        images = self.cpu.network.images(self.cpu.network.shape(2, train=True))
        expected = self._loss(self.cpu, self.cpu.net(), images)
        net, images = self.device.net(), images.as_in_context(self.device.network.ctx)
        AMP.init(target_dtype=HALF)  # from here on operators cast: the network was built and traced without
        trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-3}, kvstore=None)
        AMP.init_trainer(trainer)
        moved = next(p for p in net.collect_params().values() if p.grad_req != "null")
        losses, taken = [], 0
        for _ in range(AMP_STEPS):
            before = moved.data().asnumpy()
            losses.append(self._loss(self.device, net, images, trainer))
            trainer.step(1, ignore_stale_grad=True)
            taken += not np.array_equal(before, moved.data().asnumpy())
        return expected, losses, taken

    @staticmethod
    def _loss(side: Runs, net: Any, images: Any, trainer: Any = None) -> float:
        """The mean loss in train mode with the masks of the first step; with a trainer, its gradients too."""
        side.network.seed(1)
        with mx.autograd.record():
            loss = side.loss(net(images)).mean()
            if trainer is not None:
                with AMP.scale_loss(loss, trainer) as scaled:
                    mx.autograd.backward(scaled)
        return float(loss.asscalar())

    def memory_kept(self) -> tuple[int, int]:
        """Bytes of the device that one network takes while it is trained, and that are taken once it is gone.

        One is trained and dropped before, so that what cuDNN and cuBLAS keep for themselves counts for none.
        """
        self._train_and_measure(lambda ctx: 0)
        before = used_memory(self.device.network.ctx)
        taken = self._train_and_measure(used_memory) - before
        return taken, used_memory(self.device.network.ctx) - before

    def _train_and_measure(self, measure: Callable[[Any], int]) -> int:
        network = self.device.network
        net, images = self.device.net(), network.images(network.shape(2, train=True))
        with mx.autograd.record():
            loss = self.device.loss(net(images))
        loss.backward()
        loss.wait_to_read()
        return measure(self.device.network.ctx)

    def accuracy(self, *, shuffled: bool) -> float:
        """Accuracy on held-out images after a training of :data:`FULL_SIZE`.

        Args:
            shuffled: Whether the training labels are shuffled, so that nothing true can be learned from them.
        """
        gc.collect()
        course, seed = FULL_SIZE, self.device.network.number
        pictures, labels = load_subset("train")
        unseen, truth = (part[: course.held_out] for part in load_subset("test"))
        chosen = np.arange(course.steps * course.batch) % len(pictures)
        pictures, labels = pictures[chosen], labels[chosen]
        if shuffled:
            labels = np.random.default_rng(seed).permutation(labels)
        prepare = partial(to_images, size=course.size)
        net = self.device.network.build(classes=CLASSES)
        net.hybridize(static_alloc=True)
        examples = Examples(pictures, labels, prepare)
        for _ in training.fit(net, examples, recipe=course.recipe, seed=seed, ctx=self.device.network.ctx):
            pass
        return float(training.evaluate(net, Examples(unseen, truth, prepare), course.batch).accuracy)


def used_memory(ctx: Any) -> int:
    """Bytes in use on a GPU, by anyone, once MXNet's pool has given back what it holds."""
    mx.nd.waitall()
    gc.collect()
    ctx.empty_cache()
    free, total = mx.context.gpu_memory_info(ctx.device_id)
    return int(total - free)
