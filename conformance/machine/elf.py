"""The few facts of a shared library that its file states: its sections, and the libraries that it needs."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"
"""A 64-bit, little-endian file. Source of all offsets: System V ABI, chapter 4, and the ELF-64 object file format."""
DT_NEEDED = 1


@dataclass(frozen=True)
class Elf:
    """An open library: its bytes, and where each section stands, as (offset, size) by name."""

    data: mmap.mmap
    sections: dict[str, tuple[int, int]]

    def needed(self) -> list[str]:
        """Names of the libraries that it asks the dynamic loader for, in order."""
        if ".dynamic" not in self.sections or ".dynstr" not in self.sections:
            return []
        start, size = self.sections[".dynamic"]
        names = self.sections[".dynstr"][0]
        entries = struct.iter_unpack("<QQ", self.data[start : start + size // 16 * 16])
        return [_text(self.data, names + value) for tag, value in entries if tag == DT_NEEDED]


@contextmanager
def opened(path: Path) -> Iterator[Elf]:
    """Open a library; only what is asked for is read.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no 64-bit little-endian ELF file, or ends too early.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError(f"{path}: not a 64-bit ELF file")
        try:
            yield Elf(data, _sections(data))
        except struct.error as error:
            raise ValueError(f"{path}: ends too early ({error})") from None


def _sections(data: mmap.mmap) -> dict[str, tuple[int, int]]:
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, number, names_at = struct.unpack_from("<HHH", data, 0x3A)
    entries = [struct.unpack_from("<IIQQQQ", data, table + entry * entry_size) for entry in range(number)]
    if not entries:
        return {}
    names = entries[names_at][4]
    return {_text(data, names + entry[0]): (entry[4], entry[5]) for entry in entries}


def _text(data: mmap.mmap, start: int) -> str:
    return data[start : data.find(b"\0", start)].decode(errors="replace")
