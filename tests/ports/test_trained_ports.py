"""A port of a trained network: does it give my predictions?"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from benches import answer
from catalogue_runs import Project, new_project
from conformance import Subject
from conformance.contract.outcomes import SHOWN
from conformance.experiments.network import Network
from conformance.ports.onnx.exporter import network_to_onnx
from flaws import Small
from reference.data import load_subset
from reference.runtime.mxnet_compat import mx
from small_networks import BUILD, SPECIFICATION

IMAGES = 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network's weights, its ONNX file, images, and the module that builds it."""
    folder: Path = tmp_path_factory.mktemp("trained")
    subject = Subject("resnet", build=BUILD["resnet"], specification=SPECIFICATION["resnet"])
    network = Network(subject, number=3).with_classes(10)
    net = network.new(train=False)
    net.save_parameters(str(folder / "mine.params"))
    onnx.save(network_to_onnx(net, network.shape()), str(folder / "mine.onnx"))
    (folder / "images" / "inner").mkdir(parents=True)
    pictures, _ = load_subset("test")
    for number, picture in enumerate(pictures[:IMAGES]):
        Image.fromarray(picture).save(folder / "images" / "inner" / f"{number}.png")
    return folder


def predictions(folder: Path, **settings: Any) -> Any:
    """Compare the file's predictions with those of the trained network."""
    usual = {"build": str(folder / "mine.onnx"), "weights": folder / "mine.params", "images": folder / "images"}
    subject = Subject(
        "resnet",
        reference=lambda classes=10: BUILD["resnet"](classes=classes),
        specification=SPECIFICATION["resnet"],
        **{**usual, **settings},
    )
    return answer(subject, "claim.predictions")


def changed(folder: Path, change: Callable[[Any], None]) -> str:
    """Write the file with a change of its weights."""
    model = onnx.load(str(folder / "mine.onnx"))
    change(model)
    onnx.save(model, str(folder / "changed.onnx"))
    return str(folder / "changed.onnx")


def replace_weight(model: Any, ending: str, change: Callable[[Any], Any]) -> None:
    """Change one weight."""
    (tensor,) = (each for each in model.graph.initializer if each.name.endswith(ending))
    value = change(onnx.numpy_helper.to_array(tensor))
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))


def test_right_port_gives_my_predictions(trained: Path) -> None:
    """The answer says how many predictions change, out of how many, and by how much logits differ."""
    result = predictions(trained)
    assert ("passed", f"0 of {IMAGES} top-1 predictions change") == (result.outcome, result.text.partition(";")[0])


def test_channels_reversed_in_the_weights_are_named(trained: Path) -> None:
    """A first convolution that reads its channels in the other order is the first diverging layer."""
    name = changed(trained, lambda model: replace_weight(model, "features_conv0_weight", lambda value: value[:, ::-1]))
    result = predictions(trained, build=name)
    assert "failed" == result.outcome
    weights, layer, summary = result.text.splitlines()[:3]
    assert "features_conv0_weight is not features.0.weight: largest difference" in weights
    assert layer.startswith("first diverging layer: node 0 Convolution in ")
    assert summary.startswith(f"0 of {IMAGES} top-1 predictions change")  # as these images are grey
    assert "features.0" == result.place


def test_changed_predictions_are_named_with_their_images(trained: Path) -> None:
    """An output layer of the other sign gives other classes, and each image is named."""
    name = changed(trained, lambda model: replace_weight(model, "dense0_weight", np.negative))
    result = predictions(trained, build=name)
    (number,) = re.findall(rf"^(\d+) of {IMAGES} top-1 predictions change", result.text, re.MULTILINE)
    named = re.findall(r"^inner/\d\.png: expected class \d, actual \d$", result.text, re.MULTILINE)
    assert 0 < int(number)
    assert min(int(number), SHOWN) == len(named)
    assert "first diverging layer: node 49 FullyConnected" in result.text


def test_images_are_refused_in_one_line(trained: Path, tmp_path: Path) -> None:
    """A folder without images, and a file that is none, are named."""
    assert f"--images {tmp_path}: no image file" in predictions(trained, images=tmp_path).text
    (tmp_path / "a.png").write_bytes(b"no image")
    result = predictions(trained, images=tmp_path)
    assert "refused" == result.outcome
    assert f"{tmp_path}/a.png: damaged, or no image" in result.text


@pytest.fixture(scope="module")
def project(trained: Path) -> Project:
    """Return a user's project beside the files."""
    return new_project(trained)


def test_run_of_a_port_ends_with_the_answer(project: Project) -> None:
    """A run shows what was answered, and what does not apply with its reason."""
    net = Small()
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    onnx.save(network_to_onnx(net, (1, 3, 32, 32)), str(project.folder / "small.onnx"))
    options = ("--reference", "small_networks:Small", "--input-shape", "3,32,32")
    run = project.catalogue("--subject", "mine=small.onnx", *options)
    assert 0 == run.code, run.text
    assert "mine · claim.predictions: 0 of 8 top-1 predictions change; largest difference of a logit" in run.text
    assert "the variants of execution are Gluon's" in run.text


def test_missing_engine_is_not_executed(project: Project) -> None:
    """Without ONNX Runtime nothing passes: every check is not executed, with the remedy, and the run is not green."""
    project.write("onnxruntime.py", "raise ImportError('not here')")
    try:
        run = project.catalogue("--subject", "resnet50=mine.onnx", "--family", "claim,structure")
    finally:
        (project.folder / "onnxruntime.py").unlink()
    assert 5 == run.code, run.text
    assert "onnxruntime cannot be imported (not here): pip install 'gluon-conformance[onnx]'" in run.text
    assert "executed 0 of" in run.text
    assert "0 not applicable" in run.text
