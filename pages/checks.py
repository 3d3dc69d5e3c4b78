"""The pages of the checks: what each is, from the catalogue, and what it catches, from the kill matrix."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence

from conformance.__main__ import catalogue_table
from conformance.checks.catalogue import CHECKS, FAMILIES
from conformance.contract.check import EVERY, Check, always
from pages.kills import SETTINGS, Fault, read_matrix

SHOWN = 6
"""Faults that are named as examples."""
PARAGRAPHS = {"claim": "as a claim", "own": "as an own block", "re-recorded": "with a snapshot of its own"}


def check_pages() -> dict[str, str]:
    """Write a page for each family of checks, and the overview.

    Returns:
        Markdown by the page's path.
    """
    faults = read_matrix()
    pages = {"checks/index.md": _overview(faults)}
    for family, checks in FAMILIES.items():
        pages[f"checks/{family}.md"] = "\n".join(_page(family, checks, faults))
    return pages


def _overview(faults: Sequence[Fault]) -> str:
    """The catalogue's table, with links to the families' pages."""
    table = catalogue_table()
    for check in CHECKS:
        table = table.replace(f"| `{check.id}` |", f"| [`{check.id}`]({check.family}.md#{anchor(check)}) |")
    return "\n".join(
        (
            "# The checks",
            "",
            "A *check* is one property of a *subject*, the block under test. Some are run in several *variants* of",
            "execution, each with the proof that it was used. Subjects are *reference* networks, *claims* to be one of",
            "them, or your *own* blocks. What is expected comes from three independent places: the specification, the",
            "reviewed snapshots, and the imperative run.",
            "",
            f"Of every check the pages say what it catches: how many of the {len(faults)} single faults of the",
            "[kill matrix](../kill-matrix.md) it refuses, by the kind of fault. Those pages, and this table, are made",
            "from the code of the checks and from the kill matrix at every build of the site.",
            "",
            table,
        )
    )


def anchor(check: Check) -> str:
    """The anchor of a check's section in its family's page."""
    return check.id.replace(".", "")


def _page(family: str, checks: Sequence[Check], faults: Sequence[Fault]) -> Iterator[str]:
    module = sys.modules[checks[0].function.__module__]
    yield from (f"# {family}", "", _markdown((inspect.getdoc(module) or "").strip()), "")
    yield f"`pytest --pyargs conformance --family {family}` runs these checks alone."
    for check in checks:
        yield from ("", f"## `{check.id}`", "", f"**{_markdown(check.title)}**", "", _markdown(check.remedy), "")
        yield from _facts(check)
        yield from _catches(check, faults)
    yield ""


def _facts(check: Check) -> Iterator[str]:
    """Variants, subjects and source, as a list."""
    if check.variants:
        yield f"- Variants: {', '.join(check.variants)}"
    yield f"- Subjects: {'all' if check.kinds == EVERY else ', '.join(sorted(check.kinds))}"
    if check.unless is not always:
        yield f"- Left out: {(inspect.getdoc(check.unless) or '').partition(chr(10))[0]}"
    address, _, more = check.source.partition(" ")
    yield f"- Source: {f'<{address}>' if address.startswith('https://') else address} {more}".rstrip()
    yield ""


def _catches(check: Check, faults: Sequence[Fault]) -> Iterator[str]:
    """What the check refuses of the corpus, by kind of fault, and what it lets through."""
    seen = [fault for fault in faults if any(check.id in refused for refused in fault.refused)]
    if not seen:
        yield "No fault of the [kill matrix](../kill-matrix.md) was refused by it."
        return
    yield from ("What it refuses of the [kill matrix](../kill-matrix.md), of the faults that were tried:", "")
    yield f"| kind of fault | {' | '.join(PARAGRAPHS[setting] for setting in SETTINGS)} |"
    yield "| --- | --: | --: | --: |"
    for kind in sorted({fault.kind for fault in seen}):
        of_kind = [fault for fault in faults if fault.kind == kind]
        cells = []
        for place in range(len(SETTINGS)):
            tried = [fault for fault in of_kind if fault.tried[place]]
            cells.append(f"{sum(check.id in fault.refused[place] for fault in tried)} of {len(tried)}")
        yield f"| {kind} | {' | '.join(cells)} |"
    yield from ("", *_examples(check, faults, seen))


def _examples(check: Check, faults: Sequence[Fault], seen: Sequence[Fault]) -> Iterator[str]:
    """What it alone refuses in one setting, or some of what it refuses; and the kinds that it does not see."""
    alone = [fault.name for fault in seen if frozenset({check.id}) in fault.refused]
    names = alone or [fault.name for fault in seen]
    # From all over the corpus, whose neighbours are alike.
    shown = names[:: -(-len(names) // SHOWN)]
    what = "It alone refuses, in one of these settings" if alone else "It refuses"
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    yield f"{what}: {'; '.join(shown)}{more}."
    blind = sorted({fault.kind for fault in faults} - {fault.kind for fault in seen})
    if blind:
        yield from ("", f"It does not see any fault of these kinds: {', '.join(blind)}.")


def _markdown(text: str) -> str:
    return text.replace("``", "`")
