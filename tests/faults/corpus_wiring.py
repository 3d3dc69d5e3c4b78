"""Faults of wiring, of size, of parameters and of the head."""

from __future__ import annotations

from functools import partial
from typing import Any

from corpus import ITSELF, NOWHERE, Fault, built, faults
from execution_flaws import initialized
from flaws import after, attribute, both, identity, overriding, reordered, setting, shared, swap, unused
from reference.runtime.mxnet_compat import mx
from small_networks import BUILD, densenet, resnet, thin_vgg

nn = mx.gluon.nn


def right_before_left(net: Any, F: Any, x: Any) -> Any:
    """Subtract the left branch from the right one."""
    x = net.pool(F.relu(net.conv(x)))
    x = F.Pooling(net.right(x) - net.left(x), pool_type="avg", global_pool=True, kernel=(1, 1))
    return net.output(x)


def fixed_classes(classes: int, network: str) -> Any:
    """Return what builds a network whose number of logits is fixed."""
    return lambda **_: BUILD[network](classes=classes)


ORDER = faults(
    "wiring",
    (
        ("relu before BatchNorm", "densenet", "features.4.0.body.0", reordered("features.4.0.body", "102345")),
        ("convolution before BatchNorm", "densenet", "features.4.1.body.0", reordered("features.4.1.body", "201345")),
        ("second relu before BatchNorm", "densenet", "features.6.1.body.3", reordered("features.6.1.body", "012435")),
        ("relu before BatchNorm", "resnet", "features.4.0.body.1", reordered("features.4.0.body", "02134567")),
        ("BatchNorm after the pooling", "resnet", "features.1", reordered("features", "0321456")),
        ("transition's BatchNorm last", "densenet", "features.5.0", reordered("features.5", "1230")),
        ("relu after the last pooling", "densenet", "features.8", reordered("features", "0123456798")),
        ("pooling before the convolution", "vgg", "features.0", reordered("features", "102345678")),
        ("dropout before the dense layer", "vgg", "features.5", reordered("features", "012346578")),
        ("input before new features", "densenet", "features.4.1",
         overriding("features.4.1", lambda b, F, x: F.concat(x, b.body(x), dim=1))),
        ("input before new features in the last layer", "densenet", "features.6.1",
         overriding("features.6.1", lambda b, F, x: F.concat(x, b.body(x), dim=1))),
        ("new features only", "densenet", "features.4.0", overriding("features.4.0", lambda b, F, x: b.body(x))),
        ("input twice", "densenet", "features.6.0",
         overriding("features.6.0", lambda b, F, x: F.concat(b.body(x), x, x, dim=1))),
        ("rectified input", "densenet", "features.4.1",
         overriding("features.4.1", lambda b, F, x: F.concat(b.body(x), F.relu(x), dim=1))),
        ("branches exchanged", "padded", ITSELF, overriding("", right_before_left)),
    ),
)  # fmt: skip


def _block(change: Any) -> Any:
    """A bottleneck's forward from the outputs of its body and its shortcut."""

    def forward(block: Any, F: Any, x: Any) -> Any:
        return change(F, block.body(x), x if block.projection is None else block.projection(x), x)

    return forward


SHORTCUT = faults(
    "wiring",
    tuple(
        (what, "resnet", place, overriding(path, _block(change)))
        for what, path, place, change in (
            ("no shortcut", "features.4.1", "features.4.1", lambda F, y, s, x: F.relu(y)),
            ("no shortcut in one block", "features.5.1", "features.5.1", lambda F, y, s, x: F.relu(y)),
            ("shortcut halved", "features.4.1", "features.4.1", lambda F, y, s, x: F.relu(y + s * 0.5)),
            ("body scaled", "features.5.0", "features.5.0", lambda F, y, s, x: F.relu(y * 0.3 + s)),
            ("rectified shortcut", "features.5.1", "features.5.1", lambda F, y, s, x: F.relu(y + F.relu(s))),
            ("shortcut added twice", "features.4.1", "features.4.1", lambda F, y, s, x: F.relu(y + s + s)),
            ("difference for sum", "features.5.0", "features.5.0", lambda F, y, s, x: F.relu(y - s)),
            ("product for sum", "features.4.0", "features.4.0", lambda F, y, s, x: F.relu(y * s)),
            ("larger for sum", "features.4.0", "features.4.0", lambda F, y, s, x: F.relu(F.broadcast_maximum(y, s))),
            ("relu before the sum", "features.4.1", "features.4.1", lambda F, y, s, x: F.relu(y) + s),
            ("no relu after the sum", "features.5.1", "features.5.1", lambda F, y, s, x: y + s),
            ("no relu after the first sum", "features.4.0", "features.4.0", lambda F, y, s, x: y + s),
        )
    ),
) + faults(
    "wiring",
    (
        ("projection without BatchNorm", "resnet", "features.4.0.projection.1", identity("features.4.0.projection.1")),
        ("projection with a relu", "resnet", "features.5.0.projection.1",
         after("features.5.0.projection.1", lambda F, y: F.relu(y))),
        ("no last BatchNorm in a block", "resnet", "features.5.1.body.7", identity("features.5.1.body.7")),
        ("stride on the 3x3", "resnet", "features.5.0.body.0",
         both(setting("features.5.0.body.0", stride=(1, 1)), setting("features.5.0.body.3", stride=(2, 2)))),
        ("stride on the last 1x1", "resnet", "features.5.0.body.0",
         both(setting("features.5.0.body.0", stride=(1, 1)), setting("features.5.0.body.6", stride=(2, 2)))),
        ("no pooling in the stem", "resnet", "features.3", identity("features.3")),
        ("no pooling in the stem", "densenet", "features.3", identity("features.3")),
        ("no pooling in a transition", "densenet", "features.5.3", identity("features.5.3")),
        ("no pooling", "thin-alexnet", "features.7", identity("features.7")),
        ("a convolution left out", "vgg", "features.3", identity("features.3")),
        ("a dense layer left out", "thin-alexnet", "features.10", identity("features.10")),
        ("a dense layer twice", "vgg", "features.7",
         lambda net: swap("features.8", lambda: net.features[7])(net)),
        ("a block called twice", "resnet", "features.4.1.body.0",
         lambda net: net.features[4]._children.update({"2": net.features[4][1]})),
    ),
)  # fmt: skip
# A sum's body comes before its shortcut in graph order. After a dense layer comes BatchNorm and relu, whatever
# follows, so that a network with another number of layers first differs in the convolution behind them.
SIZE = built(
    "size",
    (
        ("one block more", "resnet", "features.4.2.body.0", partial(resnet, layers=(3, 2))),
        ("one block less", "resnet", "features.5.1.body.0", partial(resnet, layers=(2, 1))),
        ("a block moved to the next stage", "resnet", "features.4.1.body.0", partial(resnet, layers=(1, 3))),
        ("a block moved to the stage before", "resnet", "features.4.2.body.0", partial(resnet, layers=(3, 1))),
        ("a stage more", "resnet", "features.6.0.body.0", partial(resnet, layers=(2, 2, 1), filters=(32, 64, 64))),
        ("wider stem", "resnet", "features.0", partial(resnet, stem=32)),
        ("narrower last stage", "resnet", "features.5.0.body.0", partial(resnet, filters=(32, 48))),
        ("no convolution biases", "resnet", "features.0", partial(resnet, conv_bias=False)),
        ("growth rate 32", "densenet", "features.4.0.body.2", partial(densenet, growth=32)),
        ("stem 32", "densenet", "features.0", partial(densenet, stem=32)),
        ("compression 1", "densenet", "features.5.2", partial(densenet, compression_rate=1.0)),
        ("compression 0.3", "densenet", "features.5.2", partial(densenet, compression_rate=0.3)),
        ("bn_size 2", "densenet", "features.4.0.body.2", partial(densenet, bn_size=2)),
        ("one dense layer more", "densenet", "features.4.2.body.2", partial(densenet, layers=(3, 2))),
        ("one dense layer less", "densenet", "features.6.1.body.2", partial(densenet, layers=(2, 1))),
        ("a dense layer moved", "densenet", "features.4.1.body.2", partial(densenet, layers=(1, 3))),
        ("no convolution biases", "densenet", "features.0", partial(densenet, conv_bias=False)),
        ("one convolution more", "vgg", "features.1", thin_vgg((2, 2), (16, 32))),
        ("one convolution less", "vgg", "features.3", thin_vgg((1, 1), (16, 32))),
        ("wider group", "vgg", "features.2", thin_vgg((1, 2), (16, 48))),
    ),
)  # fmt: skip
PARAMETERS = faults(
    "parameters",
    (
        ("two layers share parameters", "resnet", "features.4.1.body.6",
         shared("features.4.1.body.6", "features.4.0.body.6", partial(nn.Conv2D, 32, 1))),
        ("two dense layers share parameters", "densenet", "features.6.1.body.5",
         shared("features.6.1.body.5", "features.6.0.body.5", partial(nn.Conv2D, 16, 3, padding=1))),
        ("unused layer", "densenet", "extra", unused),
        ("unused layer", "small", "extra", unused),
        ("weight frozen", "resnet", "features.4.0.body.3", attribute("features.4.0.body.3.weight", "grad_req", "null")),
        ("bias frozen", "thin-alexnet", "output", attribute("output.bias", "grad_req", "null")),
        ("gamma frozen", "densenet", "features.5.0", attribute("features.5.0.gamma", "grad_req", "null")),
        ("starts as it likes", "resnet", "features.0", initialized(mx.init.Normal(0.1))),
        ("starts as it likes", "small", "conv", initialized("zeros")),
        ("gradients added", "resnet", "output", attribute("output.weight", "grad_req", "add")),
        ("rate doubled", "resnet", "output", attribute("output.bias", "lr_mult", 2)),
        ("rate 0", "small", "output", attribute("output.bias", "lr_mult", 0)),
        ("rate halved", "vgg", "features.3", attribute("features.3.weight", "lr_mult", 0.5)),
        ("no weight decay", "densenet", "features.1", attribute("features.1.gamma", "wd_mult", 0)),
        ("bias starts at 1", "vgg", "output", attribute("output.bias", "init", "ones")),
        ("weight starts at 0", "resnet", "output", attribute("output.weight", "init", mx.init.Zero())),
        ("weight starts at Normal(1)", "densenet", "features.0",
         attribute("features.0.weight", "init", mx.init.Normal(1))),
    ),
)  # fmt: skip
HEAD = faults(
    "head",
    (
        ("softmax inside", "resnet", ITSELF, after("", lambda F, y: F.softmax(y))),
        ("logarithm of softmax inside", "densenet", ITSELF, after("", lambda F, y: F.log_softmax(y))),
        ("softmax inside", "small", ITSELF, after("", lambda F, y: F.softmax(y))),
        ("sigmoid on logits", "vgg", ITSELF, after("", lambda F, y: F.sigmoid(y))),
        ("relu on logits", "resnet", "output", after("output", lambda F, y: F.relu(y))),
        ("logits scaled", "densenet", ITSELF, after("", lambda F, y: y * 1.001)),
        ("logits of unit length", "resnet", ITSELF, after("", lambda F, y: F.L2Normalization(y))),
        ("logits in reverse", "padded", ITSELF, after("", lambda F, y: F.reverse(y, axis=1))),
        ("logits clipped", "thin-alexnet", ITSELF, after("", lambda F, y: F.clip(y, -1, 1))),
    ),
) + built(
    "head",
    (
        ("classes ignored", "resnet", NOWHERE, fixed_classes(1000, "resnet")),
        ("classes ignored", "densenet", NOWHERE, fixed_classes(1000, "densenet")),
        ("one class more", "densenet", "output", lambda classes: densenet(classes + 1)),
    ),
)
WIRING: tuple[Fault, ...] = (*ORDER, *SHORTCUT, *SIZE, *PARAMETERS, *HEAD)
