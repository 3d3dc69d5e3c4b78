"""The generated pages say what the code, the snapshots and the kill matrix say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from conformance.checks.catalogue import CHECKS, FAMILIES
from conformance.contract.specification import SPECIFICATIONS
from pages.checks import anchor, check_pages
from pages.kills import MATRIX, SETTINGS, read_matrix
from pages.manifests import read_manifest
from pages.networks import docstring_to_markdown, network_pages
from pages.stages import stages

CHECK_PAGES, NETWORK_PAGES = check_pages(), network_pages()


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_stages_are_the_whole_network(name: str) -> None:
    """The stages' parameters and multiply-adds, counted in the snapshot, add up to the specification's."""
    specification, rows = SPECIFICATIONS[name], list(stages(read_manifest(name)))

    assert specification.total == sum(row.parameters for row in rows)
    assert specification.multiply_adds == sum(row.multiply_adds for row in rows)
    assert (1000,) == rows[-1].shape


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_network_has_its_page(name: str) -> None:
    """A network's page has its table, its departures, its sources, and diagrams that are whole SVG."""
    page = NETWORK_PAGES[f"networks/{name}.md"]
    diagrams = re.findall(r"<svg.*?</svg>", page)

    assert ["## Stages", "## Paper and departures", "## Sources"] == [
        line for line in page.splitlines() if line.startswith("## ") and line != "## One block"
    ]
    assert (2 if SPECIFICATIONS[name].family in ("resnet", "densenet") else 1) == len(diagrams)
    for diagram in diagrams:
        assert "svg" in ElementTree.fromstring(diagram).tag
    assert "Departures" in page
    assert f"[{name}]({name}.md)" in NETWORK_PAGES["networks/index.md"]


def test_every_check_has_its_section() -> None:
    """Every check of the catalogue is in its family's page, with title, remedy and source, and in the overview."""
    assert {"index", *FAMILIES} == {page.removeprefix("checks/").removesuffix(".md") for page in CHECK_PAGES}
    for check in CHECKS:
        page = CHECK_PAGES[f"checks/{check.family}.md"]
        assert f"## `{check.id}`\n\n**{check.title.replace('``', '`')}**" in page
        assert check.remedy.replace("``", "`") in page
        assert check.source.partition(" ")[0] in page
        assert f"({check.family}.md#{anchor(check)})" in CHECK_PAGES["checks/index.md"]


def test_kill_matrix_is_read_as_it_is_written() -> None:
    """The faults that are read give the matrix's own numbers: of faults, and of what each check refuses."""
    faults, text = read_matrix(), MATRIX.read_text(encoding="utf-8")
    worth = re.findall(r"^\| \d+ \| `([\w.]+)` \| (\d+) \| (\d+) \| (\d+) \| \d+ \|$", text, re.MULTILINE)

    assert f"- {len(faults)} faults, " in text
    assert worth
    for check, *counts in worth:
        places = range(len(SETTINGS))
        assert [int(count) for count in counts] == [sum(check in f.refused[place] for f in faults) for place in places]


def test_docstring_becomes_markdown() -> None:
    """A simple table becomes a table, an address a link, and the rest stays."""
    text = "See https://a.b/c, please.\n\n    ===  ====\n    a    b c\n    ===  ====\n    1    2\n    ===  ====\n\nEnd."
    expected = "See <https://a.b/c>, please.\n\n| a | b c |\n| --- | --- |\n| 1 | 2 |\n\nEnd."

    assert expected == docstring_to_markdown(text)
