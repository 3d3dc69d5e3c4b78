"""Every reference network, exported by MXNet and run by ONNX Runtime, gives what MXNet gives."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest

from conformance import Subject
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.tolerances import ONNX_LAYERS
from conformance.experiments.network import Network
from conformance.experiments.runs import Runs
from conformance.graphs.matching import differences
from conformance.ports.claim import PortClaim
from conformance.ports.inference_form import near_epsilon
from conformance.ports.onnx.exporter import IR_VERSION, OPSET, network_to_onnx
from conformance.ports.onnx.port import OnnxPort
from conformance.tensors.comparison import Array, compare
from conformance.tensors.fill import uniform
from reference.runtime.mxnet_compat import mx

SOME = 7
"""Of a batch of 4, every seventh layer from the last on is compared: all would take gigabytes."""


@dataclass
class Exported:
    """A reference network, its ONNX model, and both side by side."""

    net: Any
    runs: Runs
    model: Any
    port: OnnxPort
    both: PortClaim


@pytest.fixture(scope="module", params=SPECIFICATIONS)
def exported(request: pytest.FixtureRequest) -> Iterator[Exported]:
    """Export a network whose weights have some running variances near epsilon."""
    plain = Network(Subject(request.param))
    network = plain.with_weights(near_epsilon(plain.graph, plain.values))
    net = network.new(train=False)
    model = network_to_onnx(net, network.shape())
    port = OnnxPort(model)
    yield Exported(net, Runs(network), model, port, PortClaim(port, network))
    gc.collect()


def images(network: Network, batch: int, kind: str) -> Array:
    """Real images, or random ones of another range."""
    shape = network.shape(batch)
    return network.images(shape).asnumpy() if kind == "real" else uniform(shape, -2, 2, 5)


def test_model_is_of_the_operator_set_it_says(exported: Exported) -> None:
    """The checker accepts the model, which is stamped with the set that the converters are for; N is open."""
    onnx.checker.check_model(exported.model, full_check=True)
    (opset,) = exported.model.opset_import
    assert (OPSET, IR_VERSION) == (opset.version, exported.model.ir_version)
    (entering,), (leaving,) = exported.model.graph.input, exported.model.graph.output
    shapes = [
        [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in (entering, leaving)
    ]
    assert [["N", 3, 224, 224], ["N", 1000]] == shapes


def test_exported_graph_is_the_networks(exported: Exported) -> None:
    """Every operator, attribute and edge is in the file, and so is every parameter, bit for bit."""
    assert [] == differences(exported.both.expected, exported.both.graph)
    weights = exported.port.weights
    assert exported.both.names.keys() == exported.runs.network.values.keys()
    for name, twin in exported.both.names.items():
        np.testing.assert_array_equal(exported.runs.network.values[name], weights[twin], err_msg=name)


@pytest.mark.parametrize(("batch", "step"), [(1, 1), (4, SOME)])
@pytest.mark.parametrize("kind", ["real", "random"])
def test_layers_and_logits_are_mxnets(exported: Exported, batch: int, step: int, kind: str) -> None:
    """Inner layers and logits are MXNet's in predict mode, up to what two engines round differently."""
    values = images(exported.runs.network, batch, kind)
    bound = ONNX_LAYERS
    wrong: list[str] = []
    nodes = {twin.position: place for place, twin in exported.both.twins.items()}
    actual = {nodes[node.position]: array for node, array in exported.port.layers(values, step)}
    found = exported.runs.node_outputs(values.shape, images=mx.nd.array(values), only=sorted(actual))
    for node, expected in found:
        wrong += compare(f"{node}", expected, actual.pop(node.position), bound.bound, bound.provenance)
    assert not actual
    logits = exported.net(mx.nd.array(values)).asnumpy()
    wrong += compare("logits", logits, exported.port.logits(values), bound.bound, bound.provenance)
    assert [] == wrong
