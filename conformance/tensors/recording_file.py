"""The files of ``python -m conformance record``: one a subject, packed JSON with one line a tensor.

A file is an object with these keys; ``xzcat NAME.json.xz`` shows it:

``format``, ``version``
    What it is. A suite reads its own version only.
``subject``, ``machine``
    Whose recording, and where it was made: name and value of everything that may change numbers.
``whole``
    Whether all tensors stand in full in the file ``NAME.npz`` beside it.
``columns``, ``tensors``
    One list a tensor, in the order in which a fault is looked for: section, name, layer, dtype, shape, CRC-32 of
    its bytes, scale (the magnitude that tolerances are relative to); then, as parts of the scale, its largest
    magnitude and its projections.

Nothing in it depends on when it was written: two runs that compute the same bits write the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from conformance.tensors.comparison import Array, Summary
from conformance.tensors.fingerprint import PROJECTIONS, Fingerprint

FORMAT, VERSION = "gluon-conformance recording", 1
SUFFIX, WHOLE_SUFFIX = ".json.xz", ".npz"
COLUMNS = ("section", "name", "layer", "dtype", "shape", "checksum", "scale", "largest", "projections")
#: Decimals kept of parts of the scale: what is lost is far below what the tolerances for the type allow.
DECIMALS = {"float64": 12}
FEWER_DECIMALS = 7
#: In the order in which a fault is looked for: the first section that diverges names the layer best.
SECTIONS = {
    "forward": "train mode forward, float64",
    "predict": "predict mode, float32",
    "backward": "backward, float64",
    "first step": "first step, float64",
    "later steps": "second and third step, float64",
}


class Unreadable(Exception):
    """A file that is no recording, or is damaged; the text is one line that names it."""


@dataclass(frozen=True)
class Tensor:
    """One recorded tensor.

    Attributes:
        section: A key of :data:`SECTIONS`.
        name: What it is, unique in its section.
        layer: The operator that computed it, or that uses it where it is a parameter.
        fingerprint: Its shape, type, checksum, largest magnitude and projections.
        scale: The magnitude that tolerances are relative to: its own largest one, or its layer's.
    """

    section: str
    name: str
    layer: str
    fingerprint: Fingerprint
    scale: float

    @property
    def key(self) -> str:
        """Its name among all tensors of a subject."""
        return f"{self.section}/{self.name}"

    def row(self) -> list[Any]:
        """The tensor as its line of the file."""
        summary, dtype = self.fingerprint.summary, self.fingerprint.dtype
        decimals = DECIMALS.get(dtype, FEWER_DECIMALS)
        scale = float(f"{self.scale:.{decimals + 3}g}")
        parts = [round(value / (scale or 1.0), decimals) for value in (summary.largest, *self.fingerprint.projections)]
        head = [self.section, self.name, self.layer, dtype, [*summary.shape], f"{summary.checksum:08x}", scale]
        return [*head, 1 if parts[0] == 1 else parts[0], parts[1:]]

    @classmethod
    def from_row(cls, row: list[Any]) -> Tensor:
        """Read a line of the file.

        Raises:
            ValueError, TypeError: If it is not one.
        """
        section, name, layer, dtype, shape, checksum, scale, *parts = row
        largest, *projections = (float(part) * scale for part in (parts[0], *parts[1]))
        if section not in SECTIONS or len(parts) != 2 or len(projections) != PROJECTIONS:
            raise ValueError(f"not a tensor: {row}")
        np.dtype(dtype)
        finite = bool(np.isfinite([largest, *projections]).all())
        summary = Summary(tuple(map(int, shape)), int(checksum, 16), largest, finite)
        return cls(section, str(name), str(layer), Fingerprint(summary, dtype, tuple(projections)), float(scale))


@dataclass(frozen=True)
class SubjectRecord:
    """All that is recorded of one subject; ``folder`` is where it was read from."""

    subject: str
    machine: Mapping[str, str]
    tensors: tuple[Tensor, ...]
    whole: bool = False
    folder: Path = Path()

    def text(self) -> str:
        """The file's text, one line a tensor."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "subject": self.subject,
            "machine": dict(self.machine),
            "whole": self.whole,
            "columns": COLUMNS,
        }
        lines = ",\n".join(json.dumps(tensor.row(), separators=(",", ":")) for tensor in self.tensors)
        return f'{json.dumps(head, indent=1)[:-2]},\n "tensors": [\n{lines}\n]}}\n'

    def write(self, folder: Path) -> Path:
        """Write the file, all of it or nothing.

        Raises:
            OSError: If it cannot be written; a file of that name stays as it was.
        """
        path = folder / f"{self.subject}{SUFFIX}"
        with replacing(path) as file:
            file.write(lzma.compress(self.text().encode(), preset=9))
        return path

    @contextlib.contextmanager
    def open_whole(self) -> Iterator[Callable[[Tensor], Array]]:
        """A function that gives a recorded tensor in full.

        Raises:
            Unreadable: If their file is missing or damaged, or has other tensors; also when the function is called.
        """
        path = self.folder / f"{self.subject}{WHOLE_SUFFIX}"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                yield lambda tensor: _same(archive[tensor.key], tensor)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise Unreadable(f"{path}: full tensors missing or damaged: {error}") from None


def _same(array: Array, tensor: Tensor) -> Array:
    """The array, which must be the one that was recorded."""
    if Summary.of(array).checksum != tensor.fingerprint.summary.checksum:
        raise ValueError(f"{tensor.key} is not the tensor that was recorded")
    return array


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` once it is complete and on the disk.

    Raises:
        OSError: If it cannot be written; then nothing of it is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(str(temporary), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_record(path: Path) -> SubjectRecord:
    """Read one file.

    Raises:
        Unreadable: If it is damaged, no recording, or of another version.
    """
    try:
        found = json.loads(lzma.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise Unreadable(f"{path}: damaged, or no recording: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Unreadable(f"{path}: no recording of python -m conformance record")
    if found.get("version") != VERSION:
        raise Unreadable(f"{path}: format version {found.get('version')!r}; this suite reads {VERSION}: record again")
    try:
        tensors = tuple(Tensor.from_row(row) for row in found["tensors"])
        record = SubjectRecord(found["subject"], dict(found["machine"]), tensors, bool(found["whole"]), path.parent)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{path}: damaged: {type(error).__name__}: {error}") from None
    keys = {tensor.key for tensor in tensors}
    if path.name != f"{record.subject}{SUFFIX}" or not keys or len(keys) != len(tensors):
        raise Unreadable(f"{path}: damaged: not the recording of the subject it is named after")
    return record


def read_folder(folder: Path) -> dict[str, SubjectRecord]:
    """Read all recordings of a folder, by subject.

    Raises:
        Unreadable: If there are none, or one of them cannot be read.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise Unreadable(f"{folder}: no recordings (*{SUFFIX}) there; make some: python -m conformance record {folder}")
    return {record.subject: record for record in map(read_record, paths)}
