"""`python -m conformance export`: files that say what they are, verified before they take their place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from conformance.__main__ import main
from conformance.ports import writing as written
from conformance.ports.onnx.port import OnnxPort
from reference import get_model
from reference.runtime.mxnet_compat import mx
from reference.training.checkpoints import Checkpoint, save

SMALL = ("--classes", "10", "--image-size", "32")
KEYS = {
    "network",
    "classes",
    "image_shape",
    "normalization",
    "output",
    "weights",
    "weights_sha256",
    "suite",
    "mxnet",
}


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Give a function that runs the command and returns its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main(["export", *arguments])
        printed = capsys.readouterr()
        if isinstance(end.value.code, str):  # Python prints it and ends with 1
            return 1, end.value.code
        return int(end.value.code or 0), printed.out + printed.err

    return run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run with one checkpoint."""
    mx.random.seed(5)
    net = get_model("densenet121", classes=10)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 1, 32, 32)))
    identity = {"network": "densenet121", "classes": "10", "image_size": "32", "recipe.channels": "1"}
    parameters = {name: each.data().asnumpy() for name, each in net._collect_params_with_prefix().items()}
    folder = tmp_path_factory.mktemp("run")
    save(Checkpoint(identity, {"epoch": 3, "step": 7}, (), parameters, b""), folder)
    return folder


def test_onnx_file_says_what_it_is(export: Any, tmp_path: Path) -> None:
    """A named network's file has its facts as metadata, and gives logits of the classes asked for."""
    path = tmp_path / "network.onnx"
    code, text = export("densenet121", str(path), "--to", "onnx", *SMALL)
    assert (0, f"{path}: {path.stat().st_size:,} bytes, verified with ONNX Runtime") == (code, text[: text.find(" 1.")])
    model = onnx.load(str(path))
    facts = {each.key.removeprefix(written.PREFIX): each.value for each in model.metadata_props}
    assert facts.keys() == KEYS
    assert ("densenet121", "10", "3,32,32", "1.9.1") == tuple(
        facts[key] for key in ("network", "classes", "image_shape", "mxnet")
    )
    assert (3, 10) == OnnxPort(model).logits(np.zeros((3, 3, 32, 32), np.float32)).shape
    assert [path] == list(tmp_path.iterdir())


def test_checkpoint_is_exported_with_its_weights(export: Any, checkpoint: Path, tmp_path: Path) -> None:
    """A run's last checkpoint becomes a symbol that Gluon reads, with the run's weights and class names."""
    code, text = export(str(checkpoint), str(tmp_path / "mine-symbol.json"), "--to", "symbol")
    assert 0 == code, text
    assert "mine-0000.params beside it, verified with MXNet 1.9.1 on 8 images" in text
    symbol = mx.sym.load(str(tmp_path / "mine-symbol.json"))
    facts = json.loads(symbol.attr_dict()["data"][written.ATTRIBUTE])
    assert KEYS | {"class_names"} == facts.keys()
    assert ("epoch 3, step 7", "1,32,32") == (facts["weights"], facts["image_shape"])
    assert "Ankle boot" in json.loads(facts["class_names"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nonet", "a.onnx", "--to", "onnx"), "nonet: neither a network nor a checkpoint: networks are alexnet, vgg11"),
        (("vgg11", "a.txt", "--to", "onnx"), "a.txt: --to onnx writes files whose names end in .onnx"),
        (("vgg11", "a.onnx", "--to", "symbol"), "--to symbol writes files whose names end in -symbol.json"),
        (("vgg11", "none/a.onnx", "--to", "onnx"), "none/a.onnx: no such folder: none"),
        (("vgg11", "a.onnx", "--to", "onnx", "--classes", "0"), "classes=0"),
        (("vgg11", "a.onnx", "--to", "onnx", "--image-size", "9"), "H and W at least 32"),
        (("vgg11", "a.onnx", "--to", "onnx", "--weights", "damaged.npz"), "weights file damaged.npz does not fit"),
        (("damaged.npz", "a.onnx", "--to", "onnx"), "damaged.npz: damaged checkpoint"),
        (
            ("damaged.npz", "a.onnx", "--to", "onnx", "--classes", "3"),
            "--weights and --classes are for a named network",
        ),
        (("empty", "a.onnx", "--to", "onnx"), "empty: no whole checkpoint is there"),
    ],
)
def test_wrong_request_is_refused_in_one_line(
    arguments: tuple[str, ...], says: str, export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be exported is said in one line with exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "empty").mkdir()
    code, text = export(*arguments)
    assert 2 == code
    assert says in text
    assert 1 == len(text.splitlines())
    assert {"damaged.npz", "empty"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(("to", "name"), [("onnx", "a.onnx"), ("symbol", "a-symbol.json")])
def test_file_that_predicts_something_else_is_not_kept(
    to: str, name: str, export: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the written file gives other logits, what was there before stays, and nothing else."""
    (tmp_path / name).write_text("before")
    predictions = written.Exportable.predictions

    def others(exportable: Any) -> Any:
        images, logits = predictions(exportable)
        return images, logits * np.float32(1.001)

    monkeypatch.setattr(written.Exportable, "predictions", others)
    code, text = export(str(checkpoint), str(tmp_path / name), "--to", to)
    assert 1 == code
    assert f"{name}: not written, as it does not predict what the network predicts: logits: expected" in text
    assert [(name, "before")] == [(path.name, path.read_text()) for path in tmp_path.iterdir()]


def test_full_disk_leaves_nothing(
    export: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be written is named, and nothing of it is left."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, text = export(str(checkpoint), str(tmp_path / "a.onnx"), "--to", "onnx")
    assert 2 == code
    assert f"No space left on device: '{tmp_path}/a.onnx'" in text
    assert [] == list(tmp_path.iterdir())


def test_missing_engine_is_named_with_its_remedy(
    export: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra nothing is written, and the line says what to install."""

    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", absent)
    code, text = export(str(checkpoint), str(tmp_path / "a.onnx"), "--to", "onnx")
    assert 1 == code
    assert text.endswith("onnx cannot be imported (No module named 'onnx'): pip install 'gluon-conformance[onnx]'")
    assert [] == list(tmp_path.iterdir())
