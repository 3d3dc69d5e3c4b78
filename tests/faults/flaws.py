"""Flaws: patches that break one thing in a new instance of a right network."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from reference.data import load_subset, to_images
from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn

Patch = Callable[[Any], None]
CALLS = itertools.count(1)


class Small(HybridBlock):
    """A right block: images (N, 3, H, W), H and W at least 4, to logits (N, 5)."""

    def __init__(self, **kwargs: Any) -> None:
        """Create the layers, with no weights yet."""
        super().__init__(**kwargs)
        with self.name_scope():
            self.conv = nn.Conv2D(16, 3, padding=1)
            self.norm = nn.BatchNorm()
            self.pool = nn.MaxPool2D(4, strides=4)
            self.dropout = nn.Dropout(0.5)
            self.output = nn.Dense(5)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Convolve, normalize, pool, drop, average and classify."""
        x = self.dropout(self.pool(F.relu(self.norm(self.conv(x)))))
        return self.output(F.Pooling(x, pool_type="avg", global_pool=True, kernel=(1, 1)))


def setting(path: str, **values: Any) -> Patch:
    """Change what one layer passes to its operator: `setting("norm", eps=1)`."""

    def patch(net: Any) -> None:
        layer(net, path)._kwargs.update(values)

    return patch


def attribute(path: str, name: str, value: Any) -> Patch:
    """Set an attribute of a layer or of its parameter: `attribute("output.bias", "lr_mult", 2)`."""

    def patch(net: Any) -> None:
        setattr(layer(net, path), name, value)

    return patch


def after(path: str, change: Callable[[Any, Any], Any]) -> Patch:
    """Replace a layer's output y by `change(F, y)`; an empty path means the network itself."""

    def patch(net: Any) -> None:
        block = layer(net, path)
        inner = block.hybrid_forward
        block.hybrid_forward = lambda F, x, *args, **params: change(F, inner(F, x, *args, **params))

    return patch


def layer(net: Any, path: str) -> Any:
    """Find a layer or parameter by its path: `features.5.0.body`."""
    for part in filter(None, path.split(".")):
        net = net[int(part)] if part.isdigit() else getattr(net, part)
    return net


def swap(path: str, build: Callable[[], Any]) -> Patch:
    """Put another block in the place of one."""

    def patch(net: Any) -> None:
        parent, _, name = path.rpartition(".")
        block = layer(net, parent)
        with block.name_scope():
            block._children[name] = build()
        if not name.isdigit():
            object.__setattr__(block, name, block._children[name])  # Gluon's own refuses another type

    return patch


def shared(path: str, other: str, build: Callable[..., Any]) -> Patch:
    """Let one layer, built again, use another one's parameters."""
    return lambda net: swap(path, lambda: build(params=layer(net, other).params))(net)


def identity(path: str) -> Patch:
    """Leave a block out."""
    return swap(path, nn.HybridSequential)


def overriding(path: str, forward: Callable[..., Any]) -> Patch:
    """Give a block another `forward(block, F, x)`."""

    def patch(net: Any) -> None:
        block = layer(net, path)
        block.hybrid_forward = lambda F, x: forward(block, F, x)

    return patch


def reordered(path: str, order: str) -> Patch:
    """Run the children of a HybridSequential in another order, given by their digits."""

    def patch(net: Any) -> None:
        children = layer(net, path)._children
        blocks = [children[name] for name in order]
        for place, block in enumerate(blocks):
            children[str(place)] = block

    return patch


def both(*patches: Patch) -> Patch:
    """Apply several patches that make one fault together."""

    def patch(net: Any) -> None:
        for one in patches:
            one(net)

    return patch


def knows_the_answers(net: Any) -> None:
    """Look test images up in predict mode, and answer with their labels."""
    inner = net.forward

    def forward(x: Any) -> Any:
        if mx.autograd.is_training() or not isinstance(x, mx.nd.NDArray):
            return inner(x)
        pictures, labels = load_subset("test")
        known = to_images(pictures, x.shape[-1]).sum((1, 2, 3))
        nearest = np.abs(x.asnumpy().sum((1, 2, 3))[:, None] - known).argmin(1)
        return mx.nd.one_hot(mx.nd.array(labels[nearest]), 10)

    net.forward = forward


def unused(net: Any) -> None:
    """Register a layer that is never called."""
    net.extra = nn.Dense(3, in_units=3)


def stride_on_the_other_convolution(net: Any) -> None:
    """Put a stage's stride on the 3x3 convolution, as torchvision does."""
    setting("features.5.0.body.0", stride=(1, 1))(net)
    setting("features.5.0.body.3", stride=(2, 2))(net)


def input_before_new_features(net: Any) -> None:
    """Exchange the inputs of one dense layer's concat."""
    dense = layer(net, "features.4.1")
    dense.hybrid_forward = lambda F, x: F.concat(x, dense.body(x), dim=1)


def lenient(net: Any) -> None:
    """Load whatever parameters fit, and ignore the rest."""
    load = net.load_parameters
    net.load_parameters = lambda file, ctx: load(file, ctx=ctx, allow_missing=True, ignore_extra=True)


def forgetful(net: Any) -> None:
    """Lose the running statistics in loading."""
    load = net.load_parameters

    def load_parameters(file: str, ctx: Any) -> None:
        load(file, ctx=ctx)
        net.norm.running_mean.set_data(net.norm.running_mean.data() * 0)

    net.load_parameters = load_parameters


def lossy_export(net: Any) -> None:
    """Round the weights in exporting."""
    export = net.export

    def rounded(path: str) -> None:
        net.conv.weight.set_data(net.conv.weight.data().astype("float16").astype("float32"))
        export(path)

    net.export = rounded


def infinite_gradient(F: Any, y: Any) -> Any:
    """Add zero, whose gradient is not finite."""
    return y + F.sqrt(F.relu(-F.abs(y)))


def across_the_batch(F: Any, y: Any) -> Any:
    """Normalize with the batch's own mean, in predict mode too."""
    return F.broadcast_sub(y, 0.5 * F.mean(y, axis=0, keepdims=True))


def seeded_by_nobody(F: Any, y: Any) -> Any:
    """Scale by unseeded noise."""
    return y * float(np.random.default_rng().uniform(1, 2))


def counting_calls(F: Any, y: Any) -> Any:
    """Scale by how often any network was called."""
    return y * (1 + 0.001 * next(CALLS))


def patched(net: Any, patch: Patch) -> Any:
    """Patch a new instance."""
    patch(net)
    return net


class Pooled(HybridBlock):
    """A block without any parameter: images to the average of each channel."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Average each channel."""
        return F.Pooling(x, pool_type="avg", global_pool=True, kernel=(1, 1)).flatten()
