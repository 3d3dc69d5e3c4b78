"""Where a network's weights are, whether it has any, and drawing those it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reference.runtime.devices import try_gpu
from reference.runtime.mxnet_compat import HybridBlock, mx
from reference.training.recipes import Recipe


def contexts_of(net: HybridBlock, ctx: Any = None) -> list[Any]:
    """Return the devices a network's weights are on; where it has none, ``ctx``, one or several, or the best one."""
    for parameter in net.collect_params().values():
        if is_initialized(parameter):
            return list(parameter.list_ctx())
    if ctx is None:
        return [try_gpu()]
    return list(ctx) if isinstance(ctx, Sequence) else [ctx]


def is_initialized(parameter: Any) -> bool:
    """Whether a parameter has weights, or will get them from an initializer once its shape is known."""
    try:
        parameter.list_ctx()
    except RuntimeError:
        return False
    return True


def initialize(parameters: Iterable[Any], recipe: Recipe, ctx: Any) -> None:
    """Give every parameter without weights the recipe's initializer; weights that are there stay."""
    initializer = mx.initializer.create(recipe.initializer, **dict(recipe.initializer_settings))
    for parameter in parameters:
        if not is_initialized(parameter):
            parameter.initialize(ctx=ctx, default_init=initializer)


def complete(net: HybridBlock, images: Any, seed: int) -> None:
    """Draw initial weights that wait for the shape of the images; drawn by the seed alone, not within a step."""
    try:
        for parameter in net.collect_params().values():
            parameter.list_data()
    except mx.gluon.parameter.DeferredInitializationError:
        mx.random.seed(seed)
        with mx.autograd.pause():
            net(mx.nd.zeros_like(images[:1]))
