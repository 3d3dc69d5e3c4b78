"""What MkDocs is told at a build: which pages there are, and what of a page is not shown as it is written."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.checks.catalogue import FAMILIES
from pages.hook import on_config, on_page_content, on_page_markdown

CONFIG: Any = SimpleNamespace(docs_dir=str(Path(__file__).parents[3] / "docs"))


def page(path: str) -> Any:
    """Stand for MkDocs' page."""
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


def test_navigation_names_the_generated_pages() -> None:
    """A section gets the generated pages of its folder, and what is measured the pages that none names."""
    CONFIG.nav = [
        "index.md",
        {"Checks": ["checks/index.md"]},
        {"API": ["api/networks.md"]},
        {"Measured": ["builds.md"]},
    ]
    _, checks, api, measured = on_config(CONFIG).nav

    assert {"Checks": ["checks/index.md", *(f"checks/{family}.md" for family in FAMILIES)]} == checks
    assert {"API": ["api/networks.md"]} == api
    assert {"builds.md", "kill-matrix.md", "tolerances.md"} <= {*measured["Measured"]}
    assert "index.md" not in measured["Measured"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[builds](../conformance/known_builds.toml) are", "`conformance/known_builds.toml` are"),
        ("[list](../README.md#options)", "`README.md`"),
        ("[checks](checks/index.md)", "[checks](checks/index.md)"),
    ],
)
def test_link_out_of_the_site_names_its_file(written: str, shown: str) -> None:
    """A link that is followed in the repository only becomes the file's name; others stay."""
    assert shown == on_page_markdown(written, page("builds.md"), CONFIG, None)


def test_link_to_another_folder_of_the_site_stays() -> None:
    """From a folder below, `..` is still in the site."""
    link = "[checks](../checks/index.md)"

    assert link == on_page_markdown(link, page("guides/failure.md"), CONFIG, None)


def test_role_of_restructuredtext_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A docstring's role would be shown as it is, so a strict build fails."""
    with caplog.at_level(logging.WARNING, "mkdocs"):
        assert "<p>:func:<code>fit</code></p>" == on_page_content(
            "<p>:func:<code>fit</code></p>", page("api/training.md"), CONFIG, None
        )

    assert ["api/training.md: :func: is shown as it is"] == [record.getMessage() for record in caplog.records]
