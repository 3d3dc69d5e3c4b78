"""MXNet's exporter, operator by operator: what it gets right, what is put right, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from conformance import Subject
from conformance.contract.subject import RequestError
from conformance.contract.tolerances import ONNX_LAYERS
from conformance.experiments.network import Network
from conformance.ports.onnx.exporter import network_to_onnx
from conformance.ports.onnx.port import OnnxPort
from conformance.tensors.comparison import compare
from reference.runtime.mxnet_compat import HybridBlock, mx

nn = mx.gluon.nn


class Around(HybridBlock):
    """A layer between a convolution and a dense layer; values of both signs enter it."""

    def __init__(self, layer: Callable[[], Any]) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.before, self.layer, self.output = nn.Conv2D(8, 3, padding=1), layer(), nn.Dense(4)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Run all three."""
        return self.output(self.layer(self.before(x)))


def around(layer: Callable[[], Any]) -> Network:
    """Return a layer with its surroundings."""
    return Network(Subject("around", build=partial(Around, layer), input_shape=(3, 16, 16)))


LAYERS: dict[str, Callable[[], Any]] = {
    "BatchNorm": nn.BatchNorm,
    "BatchNorm with fix_gamma": partial(nn.BatchNorm, scale=False),
    "BatchNorm with another epsilon": partial(nn.BatchNorm, epsilon=0.1),
    "MaxPool": partial(nn.MaxPool2D, 3, 2, 1),
    "MaxPool over the edge": partial(nn.MaxPool2D, 3, 2, ceil_mode=True),
    "AvgPool that counts padding": partial(nn.AvgPool2D, 3, 2, 1),
    "AvgPool that does not": partial(nn.AvgPool2D, 3, 2, 1, count_include_pad=False),
    "GlobalAvgPool": nn.GlobalAvgPool2D,
    "GlobalMaxPool": nn.GlobalMaxPool2D,
    "dilated convolution": partial(nn.Conv2D, 8, 3, dilation=2, padding=2),
    "grouped convolution": partial(nn.Conv2D, 8, 3, groups=2, padding=1),
    "convolution without bias": partial(nn.Conv2D, 8, 3, use_bias=False),
    "Dropout": partial(nn.Dropout, 0.5),
    "Flatten": nn.Flatten,
    "reshape": partial(nn.HybridLambda, lambda F, x: F.reshape(x, (0, -1))),
    "concat": partial(nn.HybridLambda, lambda F, x: F.concat(F.relu(x), x, dim=1)),
    "softmax": partial(nn.HybridLambda, lambda F, x: F.softmax(x, axis=1)),
    "sigmoid": partial(nn.Activation, "sigmoid"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_exported_layer_gives_mxnets_output(name: str) -> None:
    """In ONNX Runtime the layer gives what it gives in MXNet, in predict mode, for batches of any size."""
    network = around(LAYERS[name])
    net = network.new(train=False)
    port = OnnxPort(network_to_onnx(net, network.shape()), 16)
    for batch in (1, 4):
        images = network.images(network.shape(batch))
        expected, actual = net(images).asnumpy(), port.logits(images.asnumpy())
        assert [] == list(compare(name, expected, actual, ONNX_LAYERS.bound, ONNX_LAYERS.provenance))


def test_average_over_the_edge_is_refused_by_name() -> None:
    """What MXNet's exporter gets wrong is not exported."""
    network = around(partial(nn.AvgPool2D, 3, 2, ceil_mode=True))
    with pytest.raises(RequestError, match=r"pool\d_fwd: MXNet's exporter gets average pooling with"):
        network_to_onnx(network.new(train=False), network.shape())
