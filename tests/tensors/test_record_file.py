"""The files of recordings, and comparing folders of them: exit codes, and what is said in one line."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.tensors.recording_file import SubjectRecord, read_folder, read_record, replacing
from recorded_blocks import Deep, end_of, recording


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


def test_machines_are_shown_once(
    record: SubjectRecord, pair: Callable[[], tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where several subjects were recorded on the same two machines, these are shown once."""
    left, right = pair()
    for name, folder, build in (("other", left, "1.9.1"), ("other", right, "1.9.1"), ("third", left, "2")):
        SubjectRecord(name, {"MXNet": build}, record.tensors).write(folder)
    SubjectRecord("third", {"MXNet": "3"}, record.tensors).write(right)

    code, out, _ = end_of(capsys, "compare", left, right)

    assert 0 == code
    assert 2 == out.count("recorded on")
    assert out.endswith("agree: mine, other, third\n")


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
