"""One browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import NoBrowser, Opener, launch
from playwright.sync_api import sync_playwright


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
