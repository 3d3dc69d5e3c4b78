"""``python -m conformance record`` and ``compare``: files, exit codes, and what is said in one line."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from catalogue_runs import PARTS
from conformance.contract.outcomes import Result
from conformance.contract.task import Task
from conformance.tensors.recording_file import SECTIONS, SubjectRecord, read_folder
from conformance.worker.record import describe_machine
from recorded_blocks import Deep, end_of, recording

DEEP = ("--subject", "mine=recorded_blocks:Deep", "--input-shape", "3,8,8")
RUNS: dict[str, dict[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "native kernels": {"OMP_NUM_THREADS": "1", "MXNET_MKLDNN_ENABLED": "0"},
}


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m conformance`` as a user does."""
    environment = {**os.environ, "PYTHONPATH": PARTS, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "conformance", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder of recordings for each of the runs."""
    parent = tmp_path_factory.mktemp("recordings")
    for name, environment in RUNS.items():
        done = command("record", parent / name, *DEEP, **environment)
        assert (0, "") == (done.returncode, done.stderr)
    return {name: parent / name for name in RUNS}


@pytest.fixture(scope="module")
def record() -> SubjectRecord:
    """Return a recording made in this process."""
    return recording(Deep)


@pytest.mark.parametrize("other", ["two threads", "native kernels"])
def test_threads_and_kernels_agree(other: str, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Two threads, and MXNet's own kernels instead of oneDNN's, agree with one thread; the table says what differed."""
    code, out, err = end_of(capsys, "compare", folders["one thread"], folders[other])

    assert (0, "") == (code, err)
    assert out.endswith("agree: mine\n")
    assert ("MXNET_MKLDNN_ENABLED=0" in out) == (other == "native kernels")


def test_kernels_really_differ(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """OneDNN's and MXNet's own kernels give other bits in float32, so that their agreement shows something."""
    _, out, _ = end_of(capsys, "compare", folders["one thread"], folders["native kernels"], "--json")
    predict = json.loads(out)["subjects"]["mine"]["sections"]["predict"]

    assert predict["identical"] < predict["tensors"]
    assert {"within"} == {tensor["outcome"] for tensor in predict["different"]}


def test_recording_says_where_it_was_made(folders: dict[str, Path]) -> None:
    """A recording names suite, build, features, NumPy, device, threads, switches and machine."""
    found = read_folder(folders["two threads"])["mine"]

    assert {"suite", "MXNet", "features", "NumPy", "Python", "ctx", "threads", "machine"} < set(found.machine)
    assert ("2", "cpu") == (found.machine["threads"], found.machine["ctx"])
    assert "OMP_NUM_THREADS=2" in found.machine["numeric switches"]
    assert set(SECTIONS) == {tensor.section for tensor in found.tensors}


def test_worker_records_what_this_process_records(folders: dict[str, Path], record: SubjectRecord) -> None:
    """A recording is of the block alone: another process on the same machine gives the same fingerprints."""
    found = read_folder(folders["one thread"])["mine"].tensors

    assert [tensor.row() for tensor in record.tensors if tensor.section == "backward"] == [
        tensor.row() for tensor in found if tensor.section == "backward"
    ]


def test_subject_that_crashes_is_named_and_the_rest_recorded(tmp_path: Path) -> None:
    """What cannot be recorded is named with the reason; the others are written, in full where asked for."""
    subjects = ("crash=broken_blocks:crash", "absent=broken_blocks:absent", "small=flaws:Small")
    options = [option for subject in subjects for option in ("--subject", subject)]

    done = command("record", tmp_path, *options, "--input-shape", "3,8,8", "--tensors")

    assert 1 == done.returncode
    crashed, absent = done.stderr.splitlines()
    assert crashed.startswith("crash: not recorded: crashed: crash ended the worker process with SIG")
    assert absent.startswith("absent: not recorded: refused: subject absent=broken_blocks:absent: AttributeError")
    assert ["small.json.xz", "small.npz"] == sorted(path.name for path in tmp_path.iterdir())
    assert done.stdout.startswith(f"{tmp_path}/small.json.xz: ")
    small = read_folder(tmp_path)["small"]
    with small.open_whole() as whole:
        assert [tensor.fingerprint.summary.shape for tensor in small.tensors] == [
            whole(tensor).shape for tensor in small.tensors
        ]


class FakeWorker:
    """Stands for a worker; it answers with the lines of a recording."""

    result = Result("passed", payload="[]")

    def __init__(self, subject: Any, settings: Any) -> None:
        """Keep the subject."""
        self.subject = subject

    def run(self, task: Task) -> Result:
        """Answer, and write full tensors where they are asked for."""
        if any(task.arguments):
            Path(task.arguments[0]).write_bytes(b"tensors")
        return self.result

    def close(self) -> None:
        """End."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, record: SubjectRecord) -> None:
    """Record without running anything."""
    rows = json.dumps([tensor.row() for tensor in record.tensors])
    monkeypatch.setattr(FakeWorker, "result", Result("passed", payload=rows))
    monkeypatch.setattr("conformance.worker.record.Worker", FakeWorker)
    monkeypatch.setattr("conformance.worker.record.describe_machine", lambda ctx: {"ctx": ctx})


@pytest.mark.usefixtures("fake")
def test_second_run_replaces_its_own_subjects_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorded subject takes the place of its old recording, full tensors included; others stay."""
    assert 0 == end_of(capsys, "record", tmp_path / "new/folder", "--subject", "vgg11", "--tensors")[0]
    assert 0 == end_of(capsys, "record", tmp_path / "new/folder", "--subject", "vgg13")[0]
    names = sorted(path.name for path in (tmp_path / "new/folder").iterdir())
    assert ["vgg11.json.xz", "vgg11.npz", "vgg13.json.xz"] == names
    assert 0 == end_of(capsys, "record", tmp_path / "new/folder", "--subject", "vgg11")[0]
    assert {"vgg11", "vgg13"} == set(read_folder(tmp_path / "new/folder"))
    assert not (tmp_path / "new/folder/vgg11.npz").exists()


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("outcome", ["hung", "crashed", "failed", "refused"])
@pytest.mark.parametrize("options", [(), ("--tensors",)])
def test_subject_that_fails_keeps_its_old_recording(
    options: tuple[str, ...],
    outcome: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A subject that cannot be recorded is named in one line, and its recording of before stays."""
    assert 0 == end_of(capsys, "record", tmp_path, "--subject", "vgg11", *options)[0]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(FakeWorker, "result", Result(outcome, "for a\nreason"))

    end = end_of(capsys, "record", tmp_path, "--subject", "vgg11", "--tensors")

    assert (1, "", f"vgg11: not recorded: {outcome}: for a reason\n") == end
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("options", [(), ("--tensors",)])
def test_full_disk_leaves_the_old_recording(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up ends the run with one line, and what was recorded before stays as it was."""
    assert 0 == end_of(capsys, "record", tmp_path, "--subject", "vgg11", *options)[0]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    code, out, err = end_of(capsys, "record", tmp_path, "--subject", "vgg11", *options)

    assert (2, "") == (code, out)
    assert err.startswith("python -m conformance record: [Errno 28] No space left on device: ")
    assert 1 == err.count("\n")
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--subject", "vgg12"), "subject 'vgg12' is not a reference network"),
        (("--subject", "vgg11", "--time-limit", "0"), "--time-limit 0: allowed are positive seconds"),
        (("--subject", "mine=a:b", "--input-shape", "3,x"), "--input-shape '3,x': expected integers"),
    ],
)
def test_wrong_request_is_refused(
    options: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong request writes nothing and is answered by one line."""
    code, out, err = end_of(capsys, "record", tmp_path / "new", *options)

    assert (2, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"python -m conformance record: {says}")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("fake")
def test_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is a file, or below one, is named in one line."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        code, _, err = end_of(capsys, "record", folder, "--subject", "vgg11")
        assert (2, 1) == (code, err.count("\n"))
        assert str(folder) in err


def test_missing_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A GPU that is not there is refused before anything runs."""
    code, out, _ = end_of(capsys, "record", tmp_path, "--ctx", "gpu")

    assert str(code).startswith("python -m conformance record: ")
    assert "" == out
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "expected"), [("a: b\nmodel name\t: A CPU\n", "A CPU"), ("", None), (None, None)])
def test_processor_has_a_name(
    text: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor is named as Linux does, or by its architecture where Linux does not."""
    monkeypatch.setattr("conformance.machine.environment.CPU_FACTS", tmp_path / "cpuinfo")
    monkeypatch.setattr("conformance.worker.record.ask", lambda question: {"mxnet": "1", "features": [], "numpy": "1"})
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)

    assert describe_machine("cpu")["machine"].endswith(f", {expected or platform.machine()}")
