"""``python -m conformance``: the table of checks, and the doctor on good and broken builds of MXNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance import CHECKS
from conformance.__main__ import main, write_between_markers
from conformance.doctor import Unusable, ask, require_device
from test_mxnet_compat import REFUSALS, run_python

NO_FILE = "cannot open shared object file: No such file or directory"
PREFIX = "python -m conformance doctor: "
BROKEN = {
    "no_mxnet": ({"sitecustomize": "import sys; sys.modules['mxnet'] = None"}, REFUSALS["no_mxnet"][1]),
    "cuda_library": (
        {"mxnet": f"raise OSError('libcudnn.so.8: {NO_FILE}')"},
        "this MXNet build needs libcudnn.so.8, which is not there: gluon-conformance[gpu] brings the CUDA libraries",
    ),
    "other_library": (
        {"mxnet": f"raise OSError('libopenblas.so.0: {NO_FILE}')"},
        "this MXNet build needs libopenblas.so.0, which is not there",
    ),
    "no_driver": (
        {"mxnet": f"raise OSError('libcuda.so.1: {NO_FILE}')"},
        "no NVIDIA driver: this MXNet build needs libcuda.so.1, which the driver brings",
    ),
    "crash": (
        {"mxnet": "import os; os.abort()"},
        "MXNet ended its process with SIGABRT while it was imported or first used",
    ),
    "silent_exit": (
        {"mxnet": "import os; print('no JSON'); os._exit(3)"},
        "MXNet ended its process with exit code 3 while it was imported or first used",
    ),
    "numpy_2": (
        {"sitecustomize": "import numpy; numpy.__version__ = '2.1.0'"},
        "MXNet needs NumPy >=1.23,<2, found 2.1.0",
    ),
    "no_gluon": (
        {"mxnet": "__version__ = '1.9.1'"},
        "AttributeError: module 'mxnet' has no attribute 'gluon'",
    ),
}
GPU_FACTS = {
    "mxnet": "1.9.1",
    "folder": "/builds/mxnet",
    "numpy": "1.23.5",
    "features": ["CUDA"],
    "gpus": 1,
    "gpu_error": "",
}
WITHOUT_DEVICE: dict[str, tuple[dict[str, Any], str]] = {
    "cpu_build": (
        {"features": ["MKLDNN"]},
        "MXNet 1.9.1 from /builds/mxnet is built without CUDA: "
        "install gluon-conformance[gpu] in an environment that has no other MXNet",
    ),
    "uncountable": (
        {"gpu_error": "CUDA: initialization"},
        "the GPUs cannot be counted: CUDA: initialization",
    ),
    "none": ({"gpus": 0}, "no GPU: the NVIDIA driver shows no device (CUDA_VISIBLE_DEVICES=7)"),
}
COMMANDS = {
    "": ": the following arguments are required: command",
    "recall": ": argument command: invalid choice: 'recall'",
    "record": " record: the following arguments are required: DIR",
    "compare A": " compare: the following arguments are required: B",
    "compare no/such A": " compare: no/such: no recordings (*.json.xz) there",
    "doctor --ctx tpu": " doctor: argument --ctx: invalid choice: 'tpu'",
    "catalogue --into": " catalogue: argument --into: expected one argument",
    "catalogue --into no/such/file": ": --into no/such/file: [Errno 2] No such file",
    "catalogue extra": ": unrecognized arguments: extra",
}


def test_catalogue_has_a_row_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names every check once, with what holds and the variants it is run in."""
    main(["catalogue"])

    rows = capsys.readouterr().out.splitlines()[2:]
    assert [f"`{check.id}`" for check in CHECKS] == [row.split(" | ")[0].removeprefix("| ") for row in rows]
    for check, row in zip(CHECKS, rows, strict=True):
        assert check.title.replace("``", "`") in row
        assert ", ".join(check.variants) in row
        assert check.source.split()[0] in row


def test_catalogue_is_written_between_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands around the markers stays, and writing twice changes nothing."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- checks -->\nold\n<!-- /checks -->\nafter\n")

    main(["catalogue", "--into", str(page)])

    written = page.read_text()
    main(["catalogue"])
    table = capsys.readouterr().out
    assert f"before\n<!-- checks -->\n\n{table}\n<!-- /checks -->\nafter\n" == written
    write_between_markers(page)
    assert written == page.read_text()


def test_catalogue_refuses_a_file_without_markers(tmp_path: Path) -> None:
    """A file that has no place for the table is left as it is."""
    page = tmp_path / "page.md"
    page.write_text("text\n")

    with pytest.raises(ValueError, match="no lines <!-- checks --> and <!-- /checks -->"):
        write_between_markers(page)
    assert "text\n" == page.read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_command_is_refused_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command is answered by one line on stderr and exit code 2."""
    with pytest.raises(SystemExit) as refusal:
        main(command.split())

    output = capsys.readouterr()
    assert (2, "") == (refusal.value.code, output.out)
    assert output.err.startswith(f"python -m conformance{COMMANDS[command]}")
    assert 1 == output.err.count("\n")


def test_doctor_shows_what_is_there(tmp_path: Path) -> None:
    """On a usable build the doctor names versions, features, devices and switches, and succeeds."""
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['MXNET_CPU_WORKER_NTHREADS'] = '2'")

    result = run_python(tmp_path, {}, "-m", "conformance", "doctor")

    assert ("", 0) == (result.stderr, result.returncode)
    for what in ("gluon-conformance", "Python", "NumPy", "1.9.1 from", "MKLDNN", "cpu, 0 GPU(s)"):
        assert what in result.stdout
    assert "MXNET_CPU_WORKER_NTHREADS=2" in result.stdout


@pytest.mark.parametrize("case", BROKEN)
def test_doctor_names_what_is_broken_in_one_line(case: str, tmp_path: Path) -> None:
    """A build that is missing, fails or crashes is answered by one line on stderr and exit code 1."""
    modules, expected = BROKEN[case]

    result = run_python(tmp_path, modules, "-m", "conformance", "doctor", "--ctx", "gpu")

    assert (f"{PREFIX}{expected}\n", "", 1) == (result.stderr, result.stdout, result.returncode)


def test_doctor_refuses_a_gpu_on_a_cpu_build(tmp_path: Path) -> None:
    """Asked for a GPU, a build without CUDA is shown, then refused in one line."""
    result = run_python(tmp_path, {}, "-m", "conformance", "doctor", "--ctx", "gpu")

    assert 1 == result.returncode
    assert "1.9.1 from" in result.stdout
    assert 1 == result.stderr.count("\n")
    assert "is built without CUDA: install gluon-conformance[gpu]" in result.stderr


@pytest.mark.parametrize("case", WITHOUT_DEVICE)
def test_device_that_is_not_there_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal of a GPU says whether the build, the driver or the environment is the reason."""
    changed, expected = WITHOUT_DEVICE[case]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")

    with pytest.raises(Unusable) as refusal:
        require_device("gpu", {**GPU_FACTS, **changed})

    assert expected == str(refusal.value)


def test_device_that_does_not_compute_is_refused() -> None:
    """A device that is counted but fails at its first convolution is refused with MXNet's reason."""
    with pytest.raises(Unusable) as refusal:
        require_device("gpu", GPU_FACTS)

    assert str(refusal.value).startswith("gpu(0) cannot be used: ")
    assert "\n" not in str(refusal.value)


def test_import_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose import never ends is stopped at the time limit."""
    (tmp_path / "mxnet.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(Unusable, match=r"^MXNet gave no answer within 2 s and was stopped$"):
        ask("facts", time_limit=2)
