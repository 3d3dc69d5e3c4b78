"""Snapshots: where manifests are recorded, and how one is compared through syrupy."""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syrupy.data import SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation

from conformance.contract.outcomes import ITSELF, Outcome, Problem, Refused, Result, owner
from conformance.contract.subject import RequestError, Subject

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

HERE = Path(__file__).parents[1]
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


def _wherever_it_stands(line: str) -> str:
    """A line whose inputs are counted back from itself: a layer put in or left out changes the lines beside it only."""
    cells = line.split(" | ")
    if len(cells) < 5 or not cells[0].isdigit():
        return line
    inputs = [source.partition(".") for source in cells[4].split(",")]
    cells[4] = ",".join(
        f"{int(cells[0]) - int(head)} back{dot}{output}" if head.isdigit() else head for head, dot, output in inputs
    )
    return " | ".join(cells[1:])


def _by_itself(line: str) -> str:
    """What a layer is, whatever it reads and whatever comes out."""
    cells = line.split(" | ")
    return " | ".join(cells[1:4]) if cells[0].isdigit() else line


def _first_difference(left: Sequence[str], right: Sequence[str], key: Callable[[str], str]) -> str:
    """The first line about a layer or parameter that is changed, put in or left out, as it is in the actual text."""
    match = difflib.SequenceMatcher(None, [*map(key, left)], [*map(key, right)], False)
    for kind, start, end, begin, stop in match.get_opcodes():
        lines = [line for line in (*right[begin:stop], *left[start:end]) if " | " in line]
        if kind != "equal" and lines:
            return lines[0]
    return ""


def manifest_differences(expected: str, actual: str) -> list[str]:
    """The first lines that differ between two manifests, after the layer at which they part."""
    left, right = expected.splitlines(), actual.splitlines()
    first = _first_difference(left, right, _by_itself) or _first_difference(left, right, _wherever_it_stands)
    match = difflib.SequenceMatcher(None, [*map(_wherever_it_stands, left)], [*map(_wherever_it_stands, right)], False)
    lines: list[str] = []
    for kind, start, end, begin, stop in match.get_opcodes():
        if kind != "equal":
            lines += [*(f"-{line}" for line in left[start:end]), *(f"+{line}" for line in right[begin:stop])]
    more = [f"and {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    place = _place(first) if first else ""
    return [Problem(f"first diverging layer: {first or lines[0][1:]}", place), *lines[:SHOWN], *more]
