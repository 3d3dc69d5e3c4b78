"""The site works from disk in a real browser: without a network, on a phone, enlarged, dark, and for everybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chromium import DESKTOP, PHONE, Opener

ROOT = Path(__file__).parents[3]
PAGES = (
    "index.html",
    "guides/failure.html",
    "guides/own-block.html",
    "checks/index.html",
    "checks/execution.html",
    "networks/index.html",
    "networks/densenet201.html",
    "pitfalls/shapes.html",
    "kill-matrix.html",
    "api/conformance.html",
)
VIEWS = {"desktop": (DESKTOP, False, 1.0), "phone": (PHONE, True, 1.0), "enlarged": (DESKTOP, False, 2.0)}
"""Window, whether the reader's system is dark, and zoom."""
SCREENSHOTS = {
    "docs-network.png": ("networks/resnet50.html", DESKTOP, False),
    "docs-check.png": ("checks/execution.html", DESKTOP, True),
    "docs-phone.png": ("pitfalls/shapes.html", PHONE, False),
}
"""Taken again with `nox -s browser -- --pictures`."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    return folder


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(name: str, view: str, site: Path, open_page: Opener) -> None:
    """A page loads without a complaint or a request to a network, fits its window, and axe finds nothing serious."""
    size, dark, zoom = VIEWS[view]
    opened = open_page((site / name).as_uri(), size, dark=dark, zoom=zoom)

    assert [] == opened.complaints
    assert 0 == opened.sideways()
    assert [] == opened.barriers()
    loaded = opened.page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [] == [address for address in loaded if not address.startswith(("file:", "data:"))]


def test_search_finds_a_check(site: Path, open_page: Opener) -> None:
    """The search works from disk: what is typed leads to the section that has it."""
    opened = open_page((site / "index.html").as_uri())
    # Typed key by key: the page asks again at each key, while a text set at once may come before it listens.
    opened.page.get_by_role("textbox", name="Search").press_sequentially("batch_independence")
    result = opened.page.locator(".md-search-result__link").first
    result.wait_for(timeout=20_000)
    result.click()
    opened.page.wait_for_load_state("load")

    assert "batch_independence" in opened.page.inner_text("article").lower()
    assert [] == opened.complaints


def test_diagram_has_a_name(site: Path, open_page: Opener) -> None:
    """A diagram is part of its page and names what it shows for those who do not see it."""
    opened = open_page((site / "networks/resnet50.html").as_uri())
    names = opened.page.eval_on_selector_all("svg[role=img]", "all => all.map(each => each.getAttribute('aria-label'))")

    assert ["The stages of resnet50", "The first block of features.4"] == [name.partition(":")[0] for name in names]


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_screenshot_is_kept(name: str, site: Path, open_page: Opener, request: pytest.FixtureRequest) -> None:
    """The pictures of the site in docs/images exist; where asked for, they are taken again."""
    page, size, dark = SCREENSHOTS[name]
    opened = open_page((site / page).as_uri(), size, dark=dark)
    if request.config.getoption("--pictures"):
        opened.page.screenshot(path=ROOT / "docs" / "images" / name)

    assert (ROOT / "docs" / "images" / name).is_file()
