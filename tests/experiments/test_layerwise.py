"""What is recorded of a network: without dropout, every layer by its name, gradients where they are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches import runs_of
from conformance.contract.subject import Subject
from conformance.experiments.layers import gradients_passed_back
from conformance.experiments.runs import Runs
from conformance.graphs.rewriting import layer_names, tapped, without_dropout
from conformance.graphs.tracing import trace
from conformance.tensors.recording_file import SubjectRecord, Tensor
from flaws import nn
from recorded_blocks import SHAPE, Deep, recording
from reference.runtime.mxnet_compat import HybridBlock, mx


class Branches(HybridBlock):
    """Branches that are concatenated and added, one operator used twice in a block, a dense layer at the end."""

    def __init__(self) -> None:
        """Create the layers, with no weights yet."""
        super().__init__()
        with self.name_scope():
            self.left = nn.Conv2D(3, 3, padding=1)
            self.right = nn.Conv2D(3, 1)
            self.output = nn.Dense(2)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Rectify both branches, put them side by side, add one of them."""
        left, right = F.relu(self.left(x)), F.relu(self.right(x))
        return self.output(F.concat(left + right, right, dim=1))


@pytest.fixture(scope="module")
def deep() -> SubjectRecord:
    """Return the recording of a block."""
    return recording(Deep)


@pytest.fixture
def branches() -> Runs:
    """Return runs in float64."""
    return runs_of(Subject("mine", build=Branches, input_shape=SHAPE)).in_float64


def find(record: SubjectRecord, key: str) -> Tensor:
    """Return a recorded tensor."""
    return next(tensor for tensor in record.tensors if tensor.key == key)


@pytest.mark.parametrize("section", ["forward", "predict"])
def test_dropout_passes_on_what_it_gets(section: str, deep: SubjectRecord) -> None:
    """Neither a Dropout layer nor a call of F.Dropout changes a bit, in train mode neither."""
    pairs = (
        ("Dropout in features.0.3", "Activation in features.0.2"),
        ("Dropout in the network itself", "Dropout in features.9.3"),
    )
    for after, before in pairs:
        expected, actual = (find(deep, f"{section}/{name}").fingerprint for name in (before, after))
        assert expected == actual


def test_symbol_keeps_everything_but_dropout() -> None:
    """Only the rate of Dropout changes; operators keep their names and order."""
    _, symbol = trace(Deep(), (1, *SHAPE))
    changed = without_dropout(symbol)

    assert symbol.list_arguments() == changed.list_arguments()
    assert symbol.get_internals().list_outputs() == changed.get_internals().list_outputs()
    rates = {name: values["p"] for name, values in changed.attr_dict().items() if "p" in values}
    assert (11, {"0"}) == (len(rates), set(rates.values()))


def test_layers_are_named_by_operator_and_block(branches: Runs) -> None:
    """A layer's name says operator and block, and counts where a block has several of one operator."""
    assert [
        "Convolution in left",
        "Activation in the network itself",
        "Convolution in right",
        "Activation 2 in the network itself",
        "add in the network itself",
        "Concat in the network itself",
        "FullyConnected in output",
    ] == list(layer_names(branches.graph).values())


def test_taps_leave_the_network_as_it_is(branches: Runs) -> None:
    """With zeros in the added variables the outputs are bit-identical, and every input of an operator has one."""
    shape = branches.network.shape(2)
    net, images = branches.network.new(), branches.network.images(shape)
    graph, symbol = trace(net, shape)
    changed, taps = tapped(symbol, graph)
    names = ["data", *taps]
    shapes = dict(zip(changed.list_arguments(), changed.infer_shape(data=shape)[0], strict=True))
    variables = [mx.sym.var(name, dtype="float64") for name in names]
    block = mx.gluon.SymbolBlock(changed, variables, params=net.collect_params())
    zeros = [mx.nd.zeros(shapes[name], dtype="float64") for name in taps]

    assert np.array_equal(net(images).asnumpy(), block(images, *zeros).asnumpy())
    assert [len(node.inputs) for node in graph.nodes] == [
        sum(owner == node for owner, _ in taps.values()) for node in graph.nodes
    ]


def test_gradients_are_what_each_operator_passes_back(branches: Runs) -> None:
    """From the output to the images: a sum passes on what it gets, a concat the parts; branches are not yet added."""
    images = branches.network.images(branches.network.shape(2))
    names = layer_names(branches.graph)
    found = {
        (names[node.position].partition(" in ")[0], number): array.copy()
        for node, number, array in (gradients_passed_back(branches, images))
    }
    net = branches.network.new()
    images.attach_grad()
    with mx.autograd.record():
        loss = branches.loss(net(images))
    loss.backward()
    into_dense = found["FullyConnected", 0]

    assert ("FullyConnected", 0) == next(iter(found))
    assert np.array_equal(into_dense[:, :3], found["Concat", 0])
    assert np.array_equal(into_dense[:, 3:], found["Concat", 1])
    assert np.array_equal(found["Concat", 0], found["add", 0])
    assert np.array_equal(found["add", 0], found["add", 1])
    assert np.abs(images.grad.asnumpy()).max() > 0


def test_gradients_stand_in_backward_order(deep: SubjectRecord) -> None:
    """What a layer passes back comes before its parameters' gradients, the layer after it before that, images last."""
    names = [tensor.name for tensor in deep.tensors if tensor.section == "backward"]
    wanted = [
        "FullyConnected in output: gradient of input 0",
        "gradient of output.weight",
        "BatchNorm in features.9.1: gradient of input 0",
        "gradient of features.9.1.gamma",
        "Convolution in features.9.0: gradient of input 0",
        "gradient of features.0.0.weight",
        "input gradient",
    ]

    assert wanted == sorted(wanted, key=names.index)
    assert "input gradient" == names[-1]
    first, last = (
        find(deep, f"backward/{name}") for name in ("Convolution in features.0.0: gradient of input 0", names[-1])
    )
    assert first.fingerprint == last.fingerprint


def test_parameters_are_held_to_their_layers_scale(deep: SubjectRecord) -> None:
    """The gradient of a bias that a BatchNorm cancels is noise, and counts beside its layer's weight gradient."""
    bias, weight = (find(deep, f"backward/gradient of features.0.0.{name}") for name in ("bias", "weight"))

    assert bias.fingerprint.summary.largest < 1e-12 * weight.fingerprint.summary.largest
    assert weight.scale == bias.scale == weight.fingerprint.summary.largest


def test_steps_have_parameters_and_running_statistics(deep: SubjectRecord) -> None:
    """After the first and the third step all parameters are recorded, and they moved; logits and loss of every step."""
    names = {tensor.name for tensor in deep.tensors if tensor.section.endswith(("step", "steps"))}

    for what in ("features.0.0.weight", "features.0.1.running_mean", "output.bias"):
        first = find(deep, f"first step/step 1: {what}").fingerprint
        assert first != find(deep, f"later steps/step 3: {what}").fingerprint
        assert f"step 2: {what}" not in names
    assert {f"step {step}: {what}" for step in (1, 2, 3) for what in ("logits", "loss")} < names
