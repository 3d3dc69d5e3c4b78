"""Ports as subjects: right ones are accepted whoever wrote them, faulty ones refused with the layer named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from benches import answer, server
from conformance import CHECKS, Subject
from conformance.contract.outcomes import Result
from conformance.experiments.network import Network
from conformance.ports.onnx.exporter import network_to_onnx
from conformance.ports.torch.networks import BatchNorm, ResNet
from small_networks import BUILD, SPECIFICATION

SIZE = 64
SPEC = replace(SPECIFICATION["resnet"], full_size=SIZE)
APPLYING = {
    "structure.graph",
    "parameters.counts",
    "parameters.multiply_adds",
    "parameters.published_counts",
    "claim.node_outputs",
    "claim.predictions",
}
TRAINED = {"claim.training", "behaviour.running_statistics"}


def claim(build: Any, **settings: Any) -> Subject:
    """Return a claim of a port to be the small ResNet."""
    return Subject("resnet", build=build, reference=BUILD["resnet"], specification=SPEC, **settings)


def results(subject: Subject) -> dict[str, Result]:
    """Run every check of a claim on one bench."""
    on = server(subject)
    return {
        check.id: answer(on, check.id, next(iter(check.variants), "")) for check in CHECKS if "claim" in check.kinds
    }


def ended(found: dict[str, Result], outcome: str) -> set[str]:
    """Return the checks that ended so."""
    return {check for check, result in found.items() if result.outcome == outcome}


@pytest.fixture(scope="module")
def model() -> Any:
    """Return the small ResNet as MXNet's exporter writes it."""
    network = Network(Subject("resnet", build=BUILD["resnet"], specification=SPEC)).with_classes(10)
    return network_to_onnx(network.new(train=False), network.shape())


@pytest.fixture
def saved(model: Any, tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes the model, changed."""

    def save(change: Callable[[Any], None] = lambda model: None) -> Path:
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        change(changed)
        onnx.save(changed, str(tmp_path / "model.onnx"))
        return tmp_path / "model.onnx"

    return save


def module(classes: int = 1000) -> torch.nn.Module:
    """Return the small ResNet in PyTorch, with statistics that are not the initial ones."""
    torch.manual_seed(1)
    net = ResNet((2, 2), (16, 32, 64), classes)
    for each in net.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            assert each.running_mean is not None
            each.running_mean.uniform_(-0.1, 0.1)
    return net.eval()


def exported(net: torch.nn.Module, path: Path, **settings: Any) -> Path:
    """Write a module with PyTorch's own exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, 3, SIZE, SIZE),),
            str(path),
            dynamo=False,
            opset_version=13,
            input_names=["images"],
            **settings,
        )
    return path


def test_onnx_file_of_mxnet_is_accepted(saved: Callable[..., Path]) -> None:
    """What applies passes; all else does not apply, each for a reason."""
    found = results(claim(str(saved())))
    assert APPLYING == ended(found, "passed")
    assert found.keys() - APPLYING == ended(found, "not applicable")
    assert "ONNX Runtime" in found["execution.predict_mode"].text
    assert "its format has no training" in found["claim.training"].text
    assert found["claim.predictions"].text.startswith("0 of 8 top-1 predictions change; largest difference")


def test_module_is_accepted() -> None:
    """A PyTorch module is known by what the build function returns, and is trained, too."""
    found = results(claim(module))
    assert APPLYING | TRAINED == ended(found, "passed")
    assert found.keys() - APPLYING - TRAINED == ended(found, "not applicable")
    assert "PyTorch" in found["files.export_round_trip"].text


@pytest.mark.parametrize("batch", ["fixed", "open"])
def test_onnx_file_of_pytorch_is_accepted(batch: str, tmp_path: Path) -> None:
    """PyTorch's exporter folds BatchNorms into convolutions: such a file is held to the same network, folded."""
    axes = {"dynamic_axes": {"images": {0: "N"}}} if batch == "open" else {}
    found = results(claim(str(exported(module(10), tmp_path / "model.onnx", **axes))))
    counts = {"parameters.counts", "parameters.published_counts"}
    assert APPLYING - counts == ended(found, "passed")
    assert "its BatchNorms are folded" in found["parameters.counts"].text


def test_onnx_file_with_its_norms_is_accepted(tmp_path: Path) -> None:
    """Where PyTorch's exporter keeps BatchNorms, weights that it keeps once are parameters of their own."""
    keep = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    found = results(claim(str(exported(module(10), tmp_path / "model.onnx", **keep))))
    assert APPLYING == ended(found, "passed")


def node(model: Any, operator: str, place: int = 0) -> Any:
    """Return an operator of a model."""
    return [each for each in model.graph.node if each.op_type == operator][place]


def set_attribute(each: Any, name: str, value: Any) -> None:
    """Change an attribute of an operator."""
    kept = [attribute for attribute in each.attribute if attribute.name != name]
    del each.attribute[:]
    each.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def other_epsilon(model: Any) -> None:
    """Change one BatchNorm's epsilon by a tenth."""
    set_attribute(node(model, "BatchNormalization", 3), "epsilon", 1.1e-5)


def same_padding(model: Any) -> None:
    """Let the stem's padding follow from the image's size."""
    stem = node(model, "Conv")
    set_attribute(stem, "auto_pad", "SAME_UPPER")
    kept = [each for each in stem.attribute if each.name != "pads"]
    del stem.attribute[:]
    stem.attribute.extend(kept)


def channels_reversed(model: Any) -> None:
    """Read blue first."""
    indices = onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order")
    model.graph.initializer.append(indices)
    turned = onnx.helper.make_node("Gather", ["data", "order"], ["turned"], "turn", axis=1)
    node(model, "Conv").input[0] = "turned"
    model.graph.node.insert(0, turned)


@pytest.mark.parametrize(
    ("change", "says", "place"),
    [
        (other_epsilon, "eps expected 1e-05, actual 1.1e-05 (reference: features.4.0.body.7)", "batchnorm2"),
        (same_padding, "pad expected (3, 3), actual 'SAME_UPPER' (reference: features.0)", "conv0_fwd"),
        (channels_reversed, "onnx.Gather in turn: not in the reference", "turn"),
    ],
)
def test_faulty_file_is_refused_with_its_layer(
    change: Callable[[Any], None], says: str, place: str, saved: Callable[..., Path]
) -> None:
    """A fault that the file shows is found in its attributes, and the layer is named."""
    found = results(claim(str(saved(change))))
    assert "failed" == found["structure.graph"].outcome
    assert says in found["structure.graph"].text
    assert place in found["structure.graph"].place
    assert "weights cannot be matched" in found["claim.node_outputs"].text


def test_epsilon_that_no_attribute_shows_is_found_by_numbers(
    saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some running variances are near epsilon: a tenth of it changes what its layer gives, and nothing else would."""
    on = server(claim(str(saved())))
    assert "passed" == answer(on, "claim.node_outputs", "").outcome  # and what it is has been read
    assert on.bench is not None
    other_epsilon(on.bench.part("claim").port.model)
    result = answer(on, "claim.node_outputs", "")
    assert "failed" == result.outcome
    assert "batchnorm2" in result.place
    monkeypatch.setattr("conformance.ports.claim.near_epsilon", lambda graph, values: values)
    assert "passed" == answer(on, "claim.node_outputs", "").outcome


class Unbiased(torch.nn.BatchNorm2d):
    """PyTorch's own BatchNorm."""


def with_unbiased_variance(classes: int) -> torch.nn.Module:
    """Leave the last BatchNorm's variance as PyTorch has it."""
    net = module(classes)
    path, last = [(path, each) for path, each in net.named_modules() if isinstance(each, BatchNorm)][-1]
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, Unbiased(last.num_features))
    return net.eval()


def test_unbiased_variance_is_refused() -> None:
    """A running variance of n / (n - 1) times the batch's is found in train mode alone, and is explained."""
    found = results(claim(with_unbiased_variance))
    assert {"behaviour.running_statistics"} == ended(found, "failed")
    wrong = found["behaviour.running_statistics"]
    assert "n / (n - 1)" in wrong.text
    assert wrong.place.startswith("layer2.")
