"""``python -m conformance record`` and ``compare``: files, exit codes, and what is said in one line."""

from __future__ import annotations

import errno
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.__main__ import main
from conformance.record_file import SECTIONS, SubjectRecord, read_folder, read_record, replacing
from conformance.worker import Result
from recorded_blocks import Deep, recording

HERE = Path(__file__).parent
DEEP = ("--subject", "mine=recorded_blocks:Deep", "--input-shape", "3,8,8")
RUNS: dict[str, dict[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "native kernels": {"OMP_NUM_THREADS": "1", "MXNET_MKLDNN_ENABLED": "0"},
}


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m conformance`` as a user does."""
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "conformance", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def end_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[Any, str, str]:
    """Run a command in this process; returns exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code, *capsys.readouterr()


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


@pytest.fixture
def pair(record: SubjectRecord, tmp_path: Path) -> Callable[[], tuple[Path, Path]]:
    """Give a function that writes one recording into two folders."""

    def write() -> tuple[Path, Path]:
        for name in "AB":
            (tmp_path / name).mkdir()
            record.write(tmp_path / name)
        return tmp_path / "A", tmp_path / "B"

    return write


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


def test_subject_that_crashes_or_hangs_is_named_and_the_rest_recorded(tmp_path: Path) -> None:
    """What cannot be recorded is named with the reason; the others are written, old recordings stay."""
    subjects = ("crash=broken_blocks:crash", "absent=broken_blocks:absent", "hang=broken_blocks:hang")
    options = [option for subject in (*subjects, "small=flaws:Small") for option in ("--subject", subject)]

    done = command("record", tmp_path, *options, "--input-shape", "3,8,8", "--tensors", "--time-limit", "20")

    assert 1 == done.returncode
    crashed, absent, hung = done.stderr.splitlines()
    assert crashed.startswith("crash: not recorded: crashed: crash ended the worker process with SIG")
    assert absent.startswith("absent: not recorded: refused: subject absent=broken_blocks:absent: AttributeError")
    assert hung.startswith("hang: not recorded: hung: hang gave no answer within 20 s (--time-limit)")
    assert ["small.json.xz", "small.npz"] == sorted(path.name for path in tmp_path.iterdir())
    assert done.stdout.startswith(f"{tmp_path}/small.json.xz: ")
    with read_folder(tmp_path)["small"].open_whole() as whole:
        assert {array.dtype.name for array in map(whole, read_folder(tmp_path)["small"].tensors)} == {
            "float32",
            "float64",
        }


class FakeWorker:
    """Stands for a worker; it answers with the lines of a recording."""

    result = Result("passed", payload="[]")

    def __init__(self, subject: Any, settings: Any) -> None:
        """Keep the subject."""
        self.subject = subject

    def run(self, check: str, variant: str) -> Result:
        """Answer, and write full tensors where they are asked for."""
        if variant:
            Path(variant).write_bytes(b"tensors")
        return self.result

    def close(self) -> None:
        """End."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, record: SubjectRecord) -> None:
    """Record without running anything."""
    rows = json.dumps([tensor.row() for tensor in record.tensors])
    monkeypatch.setattr(FakeWorker, "result", Result("passed", payload=rows))
    monkeypatch.setattr("conformance.record.Worker", FakeWorker)
    monkeypatch.setattr("conformance.record.describe_machine", lambda ctx: {"ctx": ctx})


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


def test_file_is_read_as_it_was_written(record: SubjectRecord, tmp_path: Path) -> None:
    """Reading a recording and writing it again gives the same bytes."""
    path = record.write(tmp_path)
    (tmp_path / "again").mkdir()

    assert path.read_bytes() == read_record(path).write(tmp_path / "again").read_bytes()
    assert json.loads(lzma.decompress(path.read_bytes()))["columns"][:3] == ["section", "name", "layer"]


def test_interrupted_file_is_not_there(tmp_path: Path) -> None:
    """A file whose writing is interrupted leaves nothing behind."""
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [] == list(tmp_path.iterdir())


def edited(**changes: Any) -> Callable[[bytes], bytes]:
    """Return a function that changes keys of a recording's JSON."""

    def edit(old: bytes) -> bytes:
        return lzma.compress(json.dumps({**json.loads(lzma.decompress(old)), **changes}).encode())

    return edit


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda old: b"", "damaged, or no recording"),
    "truncated": (lambda old: old[:-20], "damaged, or no recording"),
    "one byte": (lambda old: old[:500] + bytes([old[500] ^ 1]) + old[501:], "damaged, or no recording"),
    "text": (lambda old: b"not xz", "damaged, or no recording"),
    "no JSON": (lambda old: lzma.compress(b"{"), "damaged, or no recording"),
    "list": (lambda old: lzma.compress(b"[]"), "no recording of python -m conformance record"),
    "foreign": (edited(format="other"), "no recording of python -m conformance record"),
    "version": (edited(version=2), "format version 2; this suite reads 1: record again"),
    "renamed": (edited(subject="other"), "damaged: not the recording of the subject it is named after"),
    "no tensors": (edited(tensors=[]), "damaged: not the recording of the subject it is named after"),
    "short row": (edited(tensors=[[1]]), "damaged: ValueError"),
    "section": (edited(tensors=[["x", "", "", "float32", [1], "0", 1, 1, [1, 1, 1]]]), "damaged: ValueError: not a"),
    "key": (edited(tensors=None), "damaged: TypeError"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_refused(
    damage: str, pair: Callable[[], tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is damaged, foreign or of another version is named in one line, with exit code 2."""
    change, says = DAMAGES[damage]
    left, right = pair()
    path = right / "mine.json.xz"
    path.write_bytes(change(path.read_bytes()))

    code, out, err = end_of(capsys, "compare", left, right)

    assert (2, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"python -m conformance compare: {path}: {says}")


def test_folders_that_cannot_be_compared_are_refused(
    pair: Callable[[], tuple[Path, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without recordings, or one with other subjects only, leaves nothing to compare."""
    left, right = pair()
    other = SubjectRecord("other", {}, read_folder(left)["mine"].tensors)
    (right / "mine.json.xz").unlink()

    assert "no recordings (*.json.xz) there" in end_of(capsys, "compare", left, right)[2]
    assert 2 == end_of(capsys, "compare", left, tmp_path / "absent")[0]
    other.write(right)
    code, _, err = end_of(capsys, "compare", left, right)
    assert 2 == code
    assert f"no subject in common: {left} has mine; {right} has other\n" in err


def test_subject_of_one_side_is_a_failure(
    pair: Callable[[], tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A subject that only one folder has is named, and the folders do not agree."""
    left, right = pair()
    assert 0 == end_of(capsys, "compare", left, right)[0]
    SubjectRecord("other", {}, read_folder(left)["mine"].tensors).write(left)

    for folders in ((left, right), (right, left)):
        code, out, _ = end_of(capsys, "compare", *folders)
        assert 1 == code
        assert out.endswith(f"differ: other (not in {right})\n")


def test_difference_is_told_in_words(
    record: SubjectRecord, pair: Callable[[], tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is listed, the first of it first, and the rest counted; the last line names the layer."""
    left, right = pair()
    SubjectRecord("mine", {"MXNet": "2"}, record.tensors[20:]).write(right)

    code, out, _ = end_of(capsys, "compare", left, right)

    assert 1 == code
    assert "  forward: Convolution in features.0.0: missing in B\n" in out
    assert "  and 14 more\n" in out
    assert out.endswith("differ: mine (first diverging layer: Convolution in features.0.0)\n")


def test_comparing_needs_no_mxnet(pair: Callable[[], tuple[Path, Path]]) -> None:
    """Recordings can be compared where MXNet is not installed."""
    left, right = pair()
    code = "import sys; sys.modules['mxnet'] = None; from conformance.__main__ import main; main(sys.argv[1:])"

    done = subprocess.run([sys.executable, "-c", code, "compare", left, right], capture_output=True, check=False)

    assert (0, b"") == (done.returncode, done.stderr)
