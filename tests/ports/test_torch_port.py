"""PyTorch modules as ports: what computes the same is accepted, however it is written, and a fault is named."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import small_networks
import torch_nets
from benches import runs_of
from conformance.contract.subject import RequestError
from conformance.contract.tolerances import TORCH_LAYERS
from conformance.experiments.runs import Runs
from conformance.graphs.matching import differences, pair_nodes, pair_parameters
from conformance.ports.step import step_differences
from conformance.ports.torch.port import TorchPort, WithoutDropout, load
from conformance.tensors.comparison import compare
from torch_nets import Patch, Written, resnet

SHAPE = (2, 3, 32, 32)


@pytest.fixture(scope="module")
def runs() -> Runs:
    """Return runs of the small ResNet."""
    subject = small_networks.claim("resnet", small_networks.BUILD["resnet"])
    return runs_of(subject.original)


def port_of(module: Any) -> TorchPort:
    """Return a port that takes small images."""
    return TorchPort(module, SHAPE)


def weighted(runs: Runs, module: Any) -> tuple[TorchPort, dict[str, str]]:
    """Return a port with the reference's weights by position, and its parameters by the reference's."""
    port = port_of(module)
    pairs = dict(zip(runs.graph.parameters, port.graph.parameters, strict=True))
    port.set_weights({twin: runs.network.values[name] for name, twin in pairs.items()})
    return port, pairs


@pytest.mark.parametrize("build", [resnet, Written])
def test_right_ports_are_accepted(runs: Runs, build: Any) -> None:
    """The same network is the same graph, gives every layer and the eager module's logits bit for bit."""
    port = port_of(build().eval())
    pairs = pair_parameters(runs.graph, port.graph)
    port.set_weights({pairs[name]: value for name, value in runs.network.values.items()})
    nodes = pair_nodes(runs.graph, port.graph)
    images = runs.network.images(SHAPE)
    expected = {nodes[node.position]: array for node, array in runs.node_outputs(SHAPE, images=images)}
    layers = [(node, array) for node, array in port.layers(images.asnumpy())]

    assert [] == differences(runs.graph, port.graph)
    assert len(expected) == len(layers)
    for node, actual in layers:
        assert [] == list(compare(str(node), expected[node.position], actual, TORCH_LAYERS.bound))
    np.testing.assert_array_equal(layers[-1][1], port.logits(images.asnumpy()))


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (torch_nets.epsilon, "BatchNorm in layer2.0.bn2: eps expected 1e-05, actual 1.1e-05"),
        (torch_nets.same_padding, "aten.pad.default in conv1.0: expected Convolution"),
        (torch_nets.reversed_channels, "aten.flip.default in conv1.0: not in the reference"),
        (torch_nets.other_stride, r"Convolution in layer2.0.conv1: stride expected \(2, 2\), actual \(1, 1\)"),
        (torch_nets.other_momentum, "BatchNorm in layer1.1.bn1: momentum expected 0.9, actual 0.1"),
    ],
)
def test_fault_of_structure_is_named(runs: Runs, patch: Patch, message: str) -> None:
    """A port with one fault is refused by its graph, which names the layer as the module does."""
    found = differences(runs.graph, port_of(resnet(patch=patch)).graph)

    assert re.search(message, found[0]), found


@pytest.mark.parametrize(
    ("patch", "first"),
    [
        (torch_nets.pytorch_variance, "layer2.0.bn2.running_var: expected .* n / .n - 1. times the batch's variance"),
        (torch_nets.frozen, "gradient of layer1.1.conv2.weight: missing; it does not learn"),
    ],
)
def test_fault_of_training_is_named(runs: Runs, patch: Patch, first: str) -> None:
    """A port that predicts right and trains otherwise is refused by its step, which names the layer."""
    port, pairs = weighted(runs, resnet(patch=patch))
    found = list(step_differences(runs, port, pairs))

    assert [] == differences(runs.graph, port.graph)
    assert 1 == len(found)
    assert re.search(first, found[0]), found
    assert first.partition(":")[0].removeprefix("gradient of ").rpartition(".")[0] == found[0].place


def test_first_wrong_gradient_is_the_one_below_the_fault(runs: Runs) -> None:
    """Where a layer passes a wrong gradient back, the first one reported is that of the layer that got it."""
    port, _ = weighted(runs, resnet())
    torch_nets.no_gradient(port.module)
    names = {name: name.replace("layer1.1.bn2.", "layer1.1.bn2.0.") for name in port.graph.parameters}
    pairs = dict(zip(runs.graph.parameters, names.values(), strict=True))
    faulty = TorchPort(port.module, SHAPE)
    found = list(step_differences(runs, faulty, pairs))

    assert found[0].startswith("gradient of layer1.1.bn2.0.bias")


def test_running_statistics_of_pytorch_are_named_where_all_keep_them(runs: Runs) -> None:
    """A module of plain nn.BatchNorm2d predicts right; every running variance is refused with the reason."""
    port = port_of(Written())
    pairs = pair_parameters(runs.graph, port.graph)
    port.set_weights({pairs[name]: value for name, value in runs.network.values.items()})
    found = list(step_differences(runs, port, pairs))
    variances = [name for name in pairs.values() if name.endswith("running_var")]

    assert variances == [problem.partition(":")[0] for problem in found]
    assert all("MXNet's is that of the batch's own" in problem for problem in found)


def test_step_leaves_the_port_as_it_is(runs: Runs) -> None:
    """A training step changes neither weights nor predictions, and takes no dropout."""
    port, _ = weighted(runs, resnet())
    before = port.weights
    images = runs.network.images(SHAPE).asnumpy().astype(np.float64)
    first, second = (port.step(images, np.array([1, 2])) for _ in range(2))

    assert all(np.array_equal(value, port.weights[name]) for name, value in before.items())
    np.testing.assert_array_equal(first.images, second.images)
    assert np.float64 == first.loss.dtype
    assert (2, 1000) == first.logits.shape


@pytest.mark.parametrize("drop", [functional.dropout, torch.nn.Dropout(0.5), torch.nn.AlphaDropout(), torch.dropout])
def test_dropout_can_be_left_out(drop: Any) -> None:
    """Whatever the dropout, without it a tensor passes through."""
    images = torch.ones(64)
    arguments = (0.5, True) if drop is torch.dropout else ()
    with WithoutDropout():
        assert torch.equal(images, drop(images, *arguments))
    assert not torch.equal(images, drop(images, *arguments))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torch_nets:missing", "torch_nets:missing: AttributeError: module 'torch_nets' has no attribute 'missing'"),
        ("no_such_module:net", "no_such_module:net: ModuleNotFoundError: No module named 'no_such_module'"),
        ("torch_nets:no_module", "torch_nets:no_module: expected a torch.nn.Module, actual str"),
    ],
)
def test_what_is_no_module_is_refused(spec: str, message: str) -> None:
    """What cannot be imported, or is no module, is refused in one line."""
    with pytest.raises(RequestError) as refused:
        load(spec, SHAPE, classes=1000)
    assert message == str(refused.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torch_nets:two_outputs", "expected one tensor of logits, actual 2 outputs"),
        ("torch_nets:by_value", "torch.export cannot trace it with images"),
    ],
)
def test_what_cannot_be_traced_is_refused(spec: str, message: str) -> None:
    """A module with several outputs, or whose operators depend on values, is refused in one line."""
    port = load(spec, SHAPE, classes=1000)
    with pytest.raises(RequestError, match=message) as refused:
        _ = port.graph
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("fc.bias"), "parameter 'fc.bias' is missing"),
        (lambda values: values.update(more=np.ones(1)), "parameter 'more' is not known"),
        (lambda values: values.update({"fc.bias": np.ones(3)}), r"'fc.bias': expected \(1000,\), actual \(3,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    """Weights that are missing, not known or of another shape are refused by name."""
    port = load("torch_nets:resnet", SHAPE, classes=1000)
    values = port.weights
    change(values)

    with pytest.raises(RequestError, match=message):
        port.set_weights(values)


def test_other_types_are_refused() -> None:
    """A module in another type than float32 is refused by its first parameter."""
    with pytest.raises(
        RequestError, match=r"net: parameter 'conv1.weight': expected torch.float32, actual torch.float64"
    ):
        TorchPort(resnet().double(), SHAPE, "net")


def test_suite_does_not_import_pytorch() -> None:
    """Whoever does not ask for PyTorch does not wait for it: neither the package nor the plugin imports it."""
    code = "import sys, conformance, conformance.plugin, conformance.ports.port; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False\n" == run.stdout


def test_engine_is_named() -> None:
    """A port says which engine it is of."""
    assert f"PyTorch {torch.__version__}" == TorchPort(partial(resnet)()).engine
