"""Which GPUs a library has machine code for, read from the library itself.

A CUDA compiler leaves what it made in the section ``.nv_fatbin``: containers of entries, each machine code for one
compute capability, or PTX, which a driver compiles for any newer device. Only their headers are read, so a library of
a gigabyte takes half a second; what was found is kept in the user's cache folder all the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.machine.elf import Elf, opened

SECTION = ".nv_fatbin"
CONTAINER = 0xBA55ED50
"""The number a container starts with. NVIDIA does not document the form; LLVM's and others' readers agree on it."""
PTX, MACHINE_CODE = 1, 2
CACHE_VERSION = 1

Capability = tuple[int, int]
"""Compute capability of a device: (8, 6) for 8.6."""


@dataclass(frozen=True)
class MachineCode:
    """Compute capabilities for which a library has machine code, and those for which it has PTX, ascending."""

    binary: tuple[Capability, ...] = ()
    ptx: tuple[Capability, ...] = ()

    def for_device(self, capability: Capability) -> str:
        """What a device runs: ``8.6`` for machine code, ``PTX 8.0`` for what its driver compiles, or nothing.

        Machine code runs on devices of its major version and the same or a newer minor one; PTX on any newer device.
        Source: CUDA C++ Programming Guide, 3.1.2 Binary Compatibility and 3.1.3 PTX Compatibility.
        """
        fitting = [code for code in self.binary if code[0] == capability[0] and code[1] <= capability[1]]
        if fitting:
            return dotted(max(fitting))
        compiled = [code for code in self.ptx if code <= capability]
        return f"PTX {dotted(max(compiled))}" if compiled else ""


def dotted(capability: Capability) -> str:
    """``(8, 6)`` as ``8.6``."""
    return f"{capability[0]}.{capability[1]}"


def machine_code(library: Path) -> MachineCode:
    """What a library has machine code for, from the cache if the file is as it was.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no ELF file, or its containers are not of the known form.
    """
    facts = library.resolve().stat()
    key = {"version": CACHE_VERSION, "file": str(library.resolve()), "size": facts.st_size, "time": facts.st_mtime_ns}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_cache().read_text(encoding="utf-8"))
        if kept["key"] == key:
            return MachineCode(*(tuple((int(a), int(b)) for a, b in kept["code"][kind]) for kind in ("binary", "ptx")))
    code = read_machine_code(library)
    with contextlib.suppress(OSError):  # a cache that cannot be written is done without
        _write(_cache(), json.dumps({"key": key, "code": asdict(code)}))
    return code


def _cache() -> Path:
    """Where the last answer is kept: the XDG base directory specification's place for it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "gluon-conformance" / "machine-code.json"


def _write(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)


def read_machine_code(library: Path) -> MachineCode:
    """Read it from the library; see :func:`machine_code`."""
    with opened(library) as elf:
        found = set(_entries(elf))
    binary, ptx = (sorted(divmod(arch, 10) for kind, arch in found if kind == wanted) for wanted in (MACHINE_CODE, PTX))
    return MachineCode(tuple(binary), tuple(ptx))


def _entries(elf: Elf) -> Iterator[tuple[int, int]]:
    """Kind and architecture (86 for 8.6) of every entry of every container.

    Raises:
        ValueError: If a container or an entry is not of the known form.
    """
    start, size = elf.sections.get(SECTION, (0, 0))
    place, end = start, start + size
    while place + 16 <= end:
        magic, _, header, length = struct.unpack_from("<IHHQ", elf.data, place)
        if magic == 0:  # padding between containers, whose size is a multiple of 8
            place += 8
            continue
        if magic != CONTAINER:
            raise ValueError(f"no container of machine code at byte {place}: {magic:#x}")
        entry, place = place + header, place + header + length
        while entry < place:
            kind, _, own, payload = struct.unpack_from("<HHIQ", elf.data, entry)
            if not own:
                raise ValueError(f"an entry without a header at byte {entry}")
            yield kind, struct.unpack_from("<I", elf.data, entry + 28)[0]
            entry += own + payload
