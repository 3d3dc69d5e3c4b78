"""Expected failures: which checks of which subjects must fail, why, where that is discussed, and until when.

They are stated in a TOML file, or by a :class:`~conformance.contract.subject.Subject`; both end in the same entries. An
entry is strict: the check that it names must be run and must fail. So nothing outlives its reason unseen.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from conformance.contract.check import Check
from conformance.contract.specification import SPECIFICATIONS
from conformance.contract.subject import RequestError, Subject

TOML: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
TABLE = "expected_failure"
REQUIRED = ("check", "subject", "reason", "link")


@dataclass(frozen=True)
class ExpectedFailure:
    """A check that must fail.

    Attributes:
        check: The check's id.
        subject: The subject's name.
        reason: Why it fails; with the link in it where a Subject states it.
        link: URL of the report or discussion.
        variant: The variant that must fail; every one where empty.
        build: The versions of MXNet that it is for, such as ``<1.9``; every one where empty.
        feature: The feature, such as ``MKLDNN``, without which MXNet is not meant; any build where empty.
        expires: The last day on which it is accepted.
        place: Where it is stated, for messages.
    """

    check: str
    subject: str
    reason: str
    link: str = ""
    variant: str = ""
    build: str = ""
    feature: str = ""
    expires: date | None = None
    place: str = ""

    @property
    def why(self) -> str:
        """The reason with its link."""
        return f"{self.reason} ({self.link})" if self.link else self.reason

    def is_for(self, version: str, features: Collection[str]) -> bool:
        """Whether it is for a build of MXNet."""
        fits = SpecifierSet(self.build).contains(version, prereleases=True)
        return fits and self.feature in ("", *features)

    def covers(self, subject: Subject, check: Check, variant: str) -> bool:
        """Whether a case is one of those that must fail."""
        return (self.subject, self.check) == (subject.name, check.id) and self.variant in ("", variant)


KEYS = tuple(field.name for field in fields(ExpectedFailure) if field.name != "place")


def stated_by(subject: Subject) -> Iterator[ExpectedFailure]:
    """The entries of a Subject's ``expected_failures``.

    Raises:
        RequestError: If one has no reason.
    """
    for key, reason in subject.expected_failures.items():
        place = f"expected failure {key!r} of {subject.name}"
        if not reason.strip():
            raise RequestError(f"{place} has no reason")
        check, _, variant = key.partition("-")
        yield ExpectedFailure(check, subject.name, reason, variant=variant, place=place)


def read_file(path: Path, today: date) -> tuple[ExpectedFailure, ...]:
    """Read the ``[[expected_failure]]`` tables of a TOML file.

    Args:
        path: The file.
        today: The day for which entries that expire are judged.

    Raises:
        RequestError: In one line that names the file and the line or entry, for anything wrong in it.
    """
    try:
        content = TOML.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise RequestError(f"{path}: not UTF-8 (at line {line})") from None
    except TOML.TOMLDecodeError as error:
        raise RequestError(f"{path}: not TOML: {error}") from None
    tables = content.get(TABLE, [])
    if set(content) - {TABLE} or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RequestError(f"{path}: allowed are [[{TABLE}]] tables only")
    return tuple(
        entry
        for number, table in enumerate(tables, 1)
        for subject in _subjects(table)
        for entry in [_entry(f"{path}: entry {number}", {**table, "subject": subject}, today)]
    )


def _subjects(table: dict[str, Any]) -> list[Any]:
    """The subjects of a table, which may name one or list several."""
    subjects = table.get("subject")
    return subjects if isinstance(subjects, list) and subjects else [subjects]


def _entry(place: str, table: dict[str, Any], today: date) -> ExpectedFailure:
    """Read one table for one subject.

    Raises:
        RequestError: If a key is missing, unknown or has a wrong value, or if the entry has expired.
    """
    place += f" ({table.get('check')!r} of {table.get('subject')!r})"
    unknown = sorted(set(table) - set(KEYS))
    if unknown:
        raise RequestError(f"{place}: key {unknown[0]!r}: allowed are {', '.join(KEYS)}")
    expires = table.get("expires")
    if expires is not None and type(expires) is not date:
        raise RequestError(f"{place}: expires {str(expires)!r}: expected a date without quotes, e.g. 2027-01-31")
    for key in (*REQUIRED, *sorted(set(table) - {*REQUIRED, "expires"})):
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            raise RequestError(f"{place}: {key}: expected a text that is not empty, actual {value!r}")
    if not re.match(r"https?://\S+$", table["link"]):
        raise RequestError(f"{place}: link {table['link']!r}: expected a URL, https://...")
    try:
        SpecifierSet(table.get("build", ""))
    except InvalidSpecifier:
        raise RequestError(f"{place}: build {table['build']!r}: expected versions of MXNet, e.g. '<1.9'") from None
    if expires is not None and expires < today:
        raise RequestError(f"{place} expired on {expires}: mend the cause, or give the entry a new date")
    return ExpectedFailure(**table, place=place)


def for_build(entries: Sequence[ExpectedFailure], facts: Callable[[], dict[str, Any]]) -> tuple[ExpectedFailure, ...]:
    """The entries that are for a build of MXNet, which is asked for its facts only where an entry depends on them.

    Args:
        entries: All entries.
        facts: Gives what ``conformance.machine.build.facts`` gives.
    """
    if not any(entry.build or entry.feature for entry in entries):
        return tuple(entries)
    found = facts()
    return tuple(entry for entry in entries if entry.is_for(found["mxnet"], found["features"]))


def require_cases(entries: Iterable[ExpectedFailure], subjects: Sequence[Subject], checks: Iterable[Check]) -> None:
    """Refuse an entry that no case can ever match.

    A reference network need not be among the subjects of the run; any other name must be.

    Raises:
        RequestError: Naming the entry and what of it is unknown.
    """
    by_id = {check.id: check for check in checks}
    by_name = {subject.name: subject for subject in subjects}
    for entry in entries:
        check, subject = by_id.get(entry.check), by_name.get(entry.subject)
        if check is None:
            raise RequestError(f"{entry.place} names no check")
        if entry.variant and entry.variant not in check.variants:
            allowed = ", ".join(check.variants) or "none"
            raise RequestError(f"{entry.place}: {check.id} has no variant {entry.variant!r}: allowed are {allowed}")
        if subject is None and entry.subject not in SPECIFICATIONS:
            raise RequestError(
                f"{entry.place}: {entry.subject!r} is neither a subject of this run ({', '.join(by_name)}) "
                "nor a reference network"
            )
        if subject is not None and subject.kind not in check.kinds:
            raise RequestError(f"{entry.place}: {check.id} is not for {subject.kind} subjects")
        if subject is not None and check.unless(subject):
            raise RequestError(f"{entry.place}: never run on {subject.name}: {check.unless(subject)}")


def expected_of(
    entries: Iterable[ExpectedFailure], subject: Subject, check: Check, variant: str
) -> ExpectedFailure | None:
    """The entry of a case, if it must fail.

    Raises:
        RequestError: If there are two.
    """
    found = [entry for entry in entries if entry.covers(subject, check, variant)]
    if len(found) > 1:
        raise RequestError(f"{found[1].place} names what {found[0].place} has named before")
    return found[0] if found else None
