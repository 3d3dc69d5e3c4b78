"""Snapshots: where manifests are recorded, and how one is compared through syrupy."""

from __future__ import annotations

import difflib
import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syrupy.data import SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation

from conformance.check import ITSELF, Problem, Refused, owner
from conformance.subject import RequestError, Subject
from conformance.worker import Outcome, Result

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

HERE = Path(__file__).parent
#: Beside the package in a checkout, inside it where installed.
RECORDED = next(
    (folder for folder in (HERE / "snapshots", HERE.parent / "snapshots") if folder.is_dir()),
    HERE.parent / "snapshots",
)
SHOWN = 12


def recorded_version() -> str:
    """A short digest of our recorded snapshots, which tells two releases' snapshots apart."""
    digest = hashlib.sha256()
    for path in sorted(RECORDED.glob("*.txt")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class ManifestExtension(SingleFileSnapshotExtension):
    """One text file a subject, in the folder of its kind, whatever test records it."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"
    folder = RECORDED
    names: frozenset[str] = frozenset()

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """The folder of the subject's snapshots."""
        return str(cls.folder)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: Any = 0) -> str:
        """The subject's name."""
        return str(index)

    def discover_snapshots(self, **options: Any) -> SnapshotCollections:
        """Only the run's own subjects: files of others are not unused, and may belong to the user."""
        found = super().discover_snapshots(**options)
        kept = SnapshotCollections()
        for collection in found:
            if Path(collection.location).stem in self.names:
                kept.add(collection)
        return kept


def folder_of(subject: Subject, own: Path) -> Path:
    """Where a subject's snapshot lives: ours beside the suite, a user's in the user's repository."""
    return RECORDED if subject.kind == "reference" else own


def compare_snapshot(subject: Subject, result: Result, snapshot: SnapshotAssertion | None, own: Path) -> Result:
    """Compare the manifest in a result's payload with the subject's snapshot, or record it.

    Args:
        subject: Whose manifest it is.
        result: A passed result with the manifest as payload.
        snapshot: Syrupy's fixture.
        own: Folder of the user's own snapshots.

    Returns:
        The result, failed with the first lines that differ, or not applicable where nothing is recorded.
    """
    folder = folder_of(subject, own)
    path = folder / f"{subject.name}.txt"
    if snapshot is None:
        return Result("not applicable", "give the test function syrupy's fixture: case.run(snapshot)")
    if snapshot.update_snapshots and HERE in folder.parents:
        raise RequestError(f"--snapshot-update: {folder} is part of the installed suite; record it in a checkout")
    if not path.is_file() and not snapshot.update_snapshots:
        outcome: Outcome = "failed" if subject.kind == "reference" else "not applicable"
        return Result(outcome, f"no snapshot {path}: record it with --family structure --snapshot-update")
    recorded = path.read_text() if path.is_file() else ""
    extension = type("SubjectManifest", (ManifestExtension,), {"folder": folder, "names": frozenset({subject.name})})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # syrupy misses the test's name in the file's: subjects name these files
        equal = result.payload == snapshot(name=subject.name, extension_class=extension)
    if equal:
        return Result("passed")
    refused = Refused(manifest_differences(recorded, result.payload or ""))
    return Result("failed", str(refused), refused.place)


def _place(line: str) -> str:
    """The block in a manifest's line about an operator or a parameter."""
    first, second, *_ = line.split(" | ")
    return second.strip(".") or ITSELF if first.isdigit() else owner(first)


def manifest_differences(expected: str, actual: str) -> list[str]:
    """The first lines that differ between two manifests, the first of them named as the layer that diverges."""
    lines = [
        line
        for line in difflib.unified_diff(
            expected.splitlines(), actual.splitlines(), "expected", "actual", n=0, lineterm=""
        )
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    body = [line for line in lines if " | " in line]
    first = next((line for line in body if line[0] == "+"), body[0] if body else lines[0])
    more = [f"and {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    place = _place(first[1:]) if body else ""
    return [Problem(f"first diverging layer: {first[1:]}", place), *lines[:SHOWN], *more]
