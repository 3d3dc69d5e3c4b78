"""One browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright

from chromium import NoBrowser, Opener, launch


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that renews the pictures in ``docs/images``."""
    parser.addoption("--pictures", action="store_true", help="write the pictures of docs/images again")


@pytest.fixture(scope="session")
def open_page() -> Iterator[Opener]:
    """Give what opens pages; without a browser the run ends with one line, as nothing would be tested."""
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except NoBrowser as reason:
            pytest.exit(str(reason), returncode=4)
        yield Opener(browser)
        browser.close()
