"""``python -m reference train``, ``evaluate``, ``predict`` and ``data``: what they write, show and refuse."""

from __future__ import annotations

import io
import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reference import ResNet, data
from reference.__main__ import main
from reference.data import load_subset
from reference.networks import registry as models
from reference.training import checkpoints
from reference.training import loop as training
from reference.training.runs import Interrupted, Run

PACKAGED = str(Path(data.__file__).parents[1] / "fashion_mnist")
TRAIN = (
    "train",
    "tiny",
    "--data",
    PACKAGED,
    "--image-size",
    "32",
    "--limit",
    "40",
    "--batch-size",
    "16",
    "--epochs",
    "2",
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a small network by the name `tiny`."""
    monkeypatch.setitem(models.MODELS, "tiny", partial(ResNet, [1], [8], stem=4))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return the folder of a short run, and what the command printed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch, Captured() as captured:
        patch.setitem(models.MODELS, "tiny", partial(ResNet, [1], [8], stem=4))
        main([*TRAIN, "--output", str(folder), "--ctx", "cpu"])
    return folder, captured.out, captured.err


class Captured:
    """What is printed meanwhile."""

    def __enter__(self) -> Captured:
        """Begin."""
        self.streams, self.kept = (io.StringIO(), io.StringIO()), (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = self.streams
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        sys.stdout, sys.stderr = self.kept
        self.out, self.err = (stream.getvalue() for stream in self.streams)


def refusal(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[Any, str]:
    """Return the exit code and the one line of a command that is refused."""
    with pytest.raises(SystemExit) as end:
        main(command)
    warning, error = "warning: only the packaged part of Fashion-MNIST\n", capsys.readouterr().err
    assert 1 == error.removeprefix(warning).count("\n"), error
    return end.value.code, error


def test_train_prints_a_line_an_epoch(run: tuple[Path, str, str]) -> None:
    """An epoch's line is the article's, with test accuracy and images a second; the packaged part is warned of."""
    folder, out, err = run
    lines = out.splitlines()
    assert lines[0] == f"tiny on cpu(0), 40 images from {PACKAGED}, recipe reference, to {folder}"
    for number, rate in ((1, "0.0002"), (2, "2e-05")):
        assert lines[number].startswith(f"epoch {number}, lr {rate}, loss ")
        for part in ("train acc ", "test acc ", "time ", "images/sec"):
            assert part in lines[number]
    assert lines[3] == f"curves: {folder / 'curves.png'}"
    assert "warning: only the packaged part of Fashion-MNIST\n" == err


def test_train_writes_log_curves_and_checkpoints(run: tuple[Path, str, str]) -> None:
    """The folder has a JSON line an epoch, a picture and the last two checkpoints."""
    folder = run[0]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [1, 2] == [row["epoch"] for row in log]
    assert {"learning_rate", "loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"} <= set(log[0])
    with Image.open(folder / "curves.png") as picture:
        assert picture.width > picture.height > 100
    assert ["checkpoint-0002-000000.npz", "checkpoint-0003-000000.npz"] == [p.name for p in checkpoints.paths(folder)]


def test_train_resumes_only_what_it_was(run: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A finished run has nothing left to do; another recipe does not go on from it, nor does a new run begin there."""
    folder = ("--output", str(run[0]))
    main([*TRAIN, *folder, "--resume"])
    assert "epoch" not in capsys.readouterr().out
    assert (2, True) == refused(refusal(capsys, *TRAIN, *folder), "a run has begun there")
    changed = refusal(capsys, *TRAIN, *folder, "--resume", "--seed", "7")
    assert (2, True) == refused(changed, "cannot resume: seed is 7 now, and 0 in the checkpoint")


def refused(end: tuple[Any, str], says: str) -> tuple[Any, bool]:
    """Return the exit code, and whether the line says something."""
    return end[0], says in end[1]


def test_evaluate_shows_accuracy_and_confusion(run: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Accuracy is the log's, rows of the confusion matrix count the images of a class; a folder or a file will do."""
    last = json.loads((run[0] / "log.jsonl").read_text().splitlines()[-1])
    for place in (run[0], checkpoints.paths(run[0])[-1]):
        main(["evaluate", str(place), "--data", PACKAGED, "--limit", "40"])
        out = capsys.readouterr().out
        assert out.startswith(f"test accuracy {last['test_accuracy']:.4f} of 40 images\n")
        rows = [line.split("│")[1:-1] for line in out.splitlines() if line.startswith("│")]
        counts = np.array([[int(cell) for cell in row[2:]] for row in rows])
        np.testing.assert_array_equal(np.bincount(load_subset("test")[1][:40], minlength=10), counts.sum(1))
        assert last["test_accuracy"] == pytest.approx(counts.trace() / 40)


def test_predict_shows_probabilities(
    run: tuple[Path, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The likeliest classes come first, and the probabilities of all classes add up to one."""
    Image.fromarray(load_subset("test")[0][0]).resize((60, 50)).convert("RGB").save(tmp_path / "boot.png")
    main(["predict", str(run[0]), str(tmp_path / "boot.png"), "--top", "10"])
    line = "".join(capsys.readouterr().out.splitlines())
    found = {name: float(line.partition(f"{name} ")[2][:6]) for name in data.CLASS_NAMES}
    assert 1 == pytest.approx(sum(found.values()), abs=1e-3)
    assert f"boot.png: {max(found, key=lambda name: found[name])} " in line


def test_data_export_writes_image_folders(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The exported folders can be trained on."""
    main(["data", "export", str(tmp_path / "pictures"), "--data", PACKAGED])
    assert "test: 500 images" in capsys.readouterr().out
    assert 300 == len(list((tmp_path / "pictures" / "train" / "7").iterdir()))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train alexnot", "name='alexnot': allowed are alexnet,"),
        ("train alexnet --image-size 62", "AlexNet takes images of shape (N, C, H, W), H and W at least 63"),
        ("train tiny --recipe good", "argument --recipe: invalid choice: 'good'"),
        ("train tiny --ctx tpu", "--ctx tpu: allowed are auto, cpu, gpu, gpu:N and different ones as gpu:0,1"),
        ("train tiny --ctx gpu:9", "--ctx gpu:9: no GPU 9 that this build of MXNet can use"),
        ("train tiny --ctx gpu:0,0", "--ctx gpu:0,0: allowed are"),
        ("train tiny --seed -1", "argument --seed: '-1': allowed is an integer of at least 0"),
        ("train tiny --checkpoint-minutes nan", "argument --checkpoint-minutes: 'nan': allowed is a number of minutes"),
        ("train tiny --checkpoint-minutes soon", "'soon': allowed is a number of minutes"),
        ("train tiny --ctx cpu --amp", "--amp: mixed precision needs a GPU, and this would train on cpu(0)"),
        ("train tiny --kvstore dist_sync", "the environment names no job: DMLC_ROLE, DMLC_NUM_WORKER,"),
        ("train tiny --kvstore dist_async", "argument --kvstore: invalid choice: 'dist_async'"),
        ("train tiny --data nowhere", "nowhere: neither train-images-idx3-ubyte.gz nor a folder train/ is there"),
        ("evaluate nowhere", "nowhere"),
        ("evaluate .", ".: no whole checkpoint is there"),
        ("evaluate damaged.npz", "damaged.npz: damaged checkpoint: "),
        ("data import x", "argument action: invalid choice: 'import'"),
    ],
)
def test_wrong_request_is_one_line(
    command: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is wrong is named in one line, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 not a zip")
    code, line = refusal(capsys, *command.split())
    assert 2 == code
    assert says in line


def test_evaluate_passes_over_a_damaged_checkpoint(
    run: tuple[Path, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a folder the last whole checkpoint is used, with a warning."""
    (tmp_path / "checkpoint-0001-000000.npz").write_bytes(checkpoints.paths(run[0])[-1].read_bytes())
    (tmp_path / "checkpoint-0002-000000.npz").write_bytes(b"")
    main(["evaluate", str(tmp_path), "--data", PACKAGED, "--limit", "1"])
    shown = capsys.readouterr()
    assert shown.out.startswith("test accuracy ")
    assert "checkpoint-0002-000000.npz: damaged checkpoint" in shown.err


def test_divergence_names_the_last_checkpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A loss that is not finite ends the command with code 1, step, rate and checkpoint."""
    monkeypatch.setattr(training, "cross_entropy", lambda logits, labels: logits[:, 0] * np.inf)
    with pytest.raises(SystemExit) as end:
        main([*TRAIN, "--output", str(tmp_path / "run")])
    assert 1 == end.value.code
    error = capsys.readouterr().err
    assert re.search(r"epoch 1, step 1: the loss is (nan|-?inf) at learning rate 0\.0002; last checkpoint: none", error)


def test_told_to_stop_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SIGTERM ends with its own exit code, and says how to go on."""

    def stopped(*_: Any) -> Any:
        raise Interrupted(15)

    monkeypatch.setattr(Run, "epochs", stopped)
    with pytest.raises(SystemExit) as end:
        main([*TRAIN, "--output", str(tmp_path / "run")])
    assert 143 == end.value.code
    assert "python -m reference: told to stop by SIGTERM; go on with --resume\n" in capsys.readouterr().err


def test_extras_are_named_where_they_are_missing(
    run: tuple[Path, str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without matplotlib there are no curves; without Pillow no image files; both say what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    main([*TRAIN, "--output", str(run[0]), "--resume"])
    assert "no curves: they need matplotlib, pip install gluon-conformance[train]" in capsys.readouterr().out
    code, line = refusal(capsys, "predict", str(run[0]), "boot.png")
    assert (2, True) == (code, "image files need Pillow: pip install gluon-conformance[train]" in line)
