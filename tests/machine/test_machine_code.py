"""What a library has machine code for, read from libraries made for it, and which devices can run that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import stub_gpu
from conformance.machine import machine_code as module
from conformance.machine.elf import opened
from conformance.machine.machine_code import MachineCode, machine_code, read_machine_code

BUILD = MachineCode(((5, 0), (6, 0), (7, 0), (8, 0), (8, 6)))
WITH_PTX = MachineCode(((7, 0),), ((8, 0), (9, 0)))
FILES = {
    "text": (b"no library", "not a 64-bit ELF file"),
    "cut": (b"\x7fELF\x02\x01" + bytes(60), "ends too early|no sections"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the cache in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gluon-conformance" / "machine-code.json"


@pytest.mark.parametrize(
    ("build", "device", "runs"),
    [
        (BUILD, (7, 5), "7.0"),
        (BUILD, (8, 6), "8.6"),
        (BUILD, (8, 9), "8.6"),
        (BUILD, (8, 0), "8.0"),
        (BUILD, (9, 0), ""),
        (BUILD, (12, 0), ""),
        (BUILD, (3, 5), ""),
        (WITH_PTX, (7, 5), "7.0"),
        (WITH_PTX, (8, 9), "PTX 8.0"),
        (WITH_PTX, (12, 0), "PTX 9.0"),
        (WITH_PTX, (6, 1), ""),
    ],
)
def test_device_runs_code_of_its_major_version_or_older_ptx(
    build: MachineCode, device: tuple[int, int], runs: str
) -> None:
    """Machine code runs on its own major version from its minor one on, PTX on every newer device."""
    assert runs == build.for_device(device)


def test_containers_are_read_to_their_end(tmp_path: Path) -> None:
    """Entries of all containers count, across the padding between them, each once and in order."""
    section = (
        stub_gpu.fat_binary([(2, 86), (2, 50)]) + bytes(16) + stub_gpu.fat_binary([(1, 80), (2, 120), (2, 50)], 40)
    )
    library = stub_gpu.library(tmp_path / "library.so", section)
    assert MachineCode(((5, 0), (8, 6), (12, 0)), ((8, 0),)) == read_machine_code(library)


def test_library_without_cuda_has_none(tmp_path: Path) -> None:
    """A library without a section of machine code has none, and still says what it needs."""
    library = stub_gpu.compiled("double sine(double x) { return x; }", tmp_path / "plain.so", "-Wl,--no-as-needed")
    assert MachineCode() == read_machine_code(library)
    with opened(library) as elf:
        assert "libc.so.6" in elf.needed()


@pytest.mark.parametrize("case", FILES)
def test_file_that_is_no_library_is_refused(case: str, tmp_path: Path) -> None:
    """A file that is no ELF file, or only the start of one, is refused by name or has no sections."""
    content, says = FILES[case]
    file = tmp_path / "file.so"
    file.write_bytes(content)
    try:
        assert MachineCode() == read_machine_code(file)
    except ValueError as refusal:
        assert str(file) in str(refusal)
        assert "not a 64-bit ELF file" in str(refusal) or "too early" in says


@pytest.mark.parametrize(("section", "says"), [(b"\1" * 32, "no container"), (None, "an entry without a header")])
def test_container_of_another_form_is_refused(section: bytes | None, says: str, tmp_path: Path) -> None:
    """What is not of the known form is refused rather than read as something else."""
    broken = stub_gpu.fat_binary([(2, 86)])
    library = stub_gpu.library(tmp_path / "library.so", section or broken[:20] + bytes(4) + broken[24:])
    with pytest.raises(ValueError, match=says):
        read_machine_code(library)


def test_answer_is_kept_until_the_file_changes(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library is read once, and again when its size or time is another; a damaged cache is read anew."""
    library = stub_gpu.library(tmp_path / "library.so", stub_gpu.fat_binary([(2, 86)]))
    assert MachineCode(((8, 6),)) == machine_code(library)
    monkeypatch.setattr(module, "read_machine_code", lambda path: MachineCode(((1, 0),)))
    assert MachineCode(((8, 6),)) == machine_code(library)
    os.utime(library, (1, 1))
    assert MachineCode(((1, 0),)) == machine_code(library)
    cache.write_text("{}")
    assert MachineCode(((1, 0),)) == machine_code(library)


def test_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no place for a cache, the answer is the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    library = stub_gpu.library(tmp_path / "library.so", stub_gpu.fat_binary([(2, 86)]))
    assert MachineCode(((8, 6),)) == machine_code(library)
