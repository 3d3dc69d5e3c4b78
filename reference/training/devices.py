"""One step on several devices: its images divided, what they gave put together, and all devices left the same.

Every device computes on its part of a batch; the trainer's key-value store adds up their gradients, on the devices of
this process and, where it is a distributed one, of all workers. BatchNorm takes the statistics of each part by itself.
With one device nothing of this happens.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from reference.runtime.mxnet_compat import mx
from reference.training.batches import Batch
from reference.training.metrics import StepOutput


def keep_one_scratch_space() -> None:
    """Let MXNet keep one scratch space on the CPU instead of four, unless the environment says how many.

    Each grows to the most that an operator ever asked for, some 100 MB in AlexNet. Operators that run at once share
    them, and MXNet runs one at a time on the CPU. It reads the number when an operator first asks.
    """
    os.environ.setdefault("MXNET_CPU_TEMP_COPY", "1")


def divided(batch: Batch, contexts: Sequence[Any]) -> list[Batch]:
    """Divide a batch over devices, as evenly as it goes.

    Args:
        batch: Images of MXNet's, of shape (N, ...), and labels of NumPy's.
        contexts: The devices.

    Raises:
        ValueError: If there are more devices than images, so that a device would have none.
    """
    if len(contexts) > len(batch.labels):
        raise ValueError(f"{len(batch.labels)} images on {len(contexts)} devices: every device needs at least one")
    images = mx.gluon.utils.split_and_load(batch.images, list(contexts), even_split=False)
    return [Batch(*part) for part in zip(images, np.array_split(batch.labels, len(contexts)), strict=True)]


def together(outputs: Sequence[StepOutput]) -> StepOutput:
    """Return what the devices gave for the parts of a batch as what they gave for all of it, on the first device."""
    if len(outputs) == 1:
        return outputs[0]
    ctx = outputs[0].losses.context
    kinds = zip(*outputs, strict=True)
    return StepOutput(*(mx.nd.concat(*(part.as_in_context(ctx) for part in kind), dim=0) for kind in kinds))


def introduce(trainer: Any) -> None:
    """Give all devices and workers the weights and statistics of the first, before the first step.

    A trainer would do so in its first step, after backward, and take from all but one what their parts of the batch
    gave their statistics.
    """
    alone = len(trainer._contexts) == 1 and trainer._kvstore_params["kvstore"] == "device"
    if alone or trainer._kv_initialized:
        return
    for parameter in trainer._params:
        # A forward in predict mode leaves weights in a layout of oneDNN's own, which MXNet fails to send without a
        # word, and setting their values keeps the layout: new arrays.
        value = parameter.list_data()[0].asnumpy()
        parameter.initialize(mx.init.Zero(), ctx=parameter.list_ctx(), force_reinit=True)
        parameter.set_data(mx.nd.array(value, dtype=value.dtype))
    trainer._init_kvstore()
    trainer._init_params()


def share_statistics(trainer: Any) -> None:
    """Give every device and every worker the mean of all their running statistics.

    So they stay the same everywhere, in every step, and the weights and states of one are those of all.
    """
    store = trainer._kvstore
    if store is None:
        return
    for place, parameter in enumerate(trainer._params):
        # What else has no gradient is a constant or frozen, the same everywhere; a mean would only round it.
        if is_statistic(parameter):
            store.pushpull(place, parameter.list_data(), priority=-place)
            for value in parameter.list_data():
                value /= len(trainer._contexts) * store.num_workers


def is_statistic(parameter: Any) -> bool:
    """Whether a forward pass in train mode writes a parameter."""
    return not parameter._differentiable and not isinstance(parameter, mx.gluon.Constant)


def start_mixed_precision() -> None:
    """Let operators that gain by it compute in float16; to be called before a network is built.

    It holds for the whole process: MXNet wraps its operators for good.
    """
    _mixed_precision().init()


def scale_losses(trainer: Any) -> None:
    """Let a trainer scale losses up and gradients down, so that small gradients survive in float16.

    The scale falls where a gradient overflows, and that step makes no update; after 2000 steps it rises again.
    """
    _mixed_precision().init_trainer(trainer)


def objectives(losses: Sequence[Any], trainer: Any) -> Sequence[Any]:
    """Return what backward starts from: the losses, scaled where the trainer scales them."""
    if getattr(trainer, "_amp_loss_scaler", None) is None:
        return losses
    with _mixed_precision().scale_loss(losses, trainer) as scaled:
        return list(scaled)


def _mixed_precision() -> Any:
    """MXNet's module, which it does not import by itself."""
    return import_module("mxnet.contrib.amp")
