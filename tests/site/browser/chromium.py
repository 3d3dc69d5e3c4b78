"""A page in headless Chromium, Debian's own: opened as a reader opens it, and asked what is wrong with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright

# As root, without a screen, and without Chromium's own calls home: these would end as errors where there is no network.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1280, 900), (375, 740)
"""Widths and heights in CSS pixels."""
SERIOUS = ("serious", "critical")


class NoBrowser(Exception):
    """There is no Chromium; the text says how to install it."""


def launch(playwright: Playwright) -> Browser:
    """Start Chromium.

    Raises:
        NoBrowser: If it is not installed.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise NoBrowser("the browser tests need Chromium: apt-get install chromium")
    return playwright.chromium.launch(executable_path=found, args=list(FLAGS))


@dataclass(frozen=True)
class Opened:
    """A page that was opened, and what its console said of errors and warnings."""

    page: Page
    complaints: list[str]

    def sideways(self) -> int:
        """How many CSS pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def barriers(self) -> list[str]:
        """What axe finds that keeps someone from using the page: rule, what it is, and the first place."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}"
            for each in found
            if each["impact"] in SERIOUS
        ]


@dataclass(frozen=True)
class Opener:
    """Opens pages in one browser, which is closed by whoever started it."""

    browser: Browser

    def __call__(
        self, address: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False, zoom: float = 1.0
    ) -> Opened:
        """Open a page in a window.

        Args:
            address: Of the page: ``file://`` or of a server on this machine.
            size: Width and height of the window in CSS pixels without zoom.
            dark: Whether the reader's system is set to dark.
            zoom: The browser's zoom: 2 leaves half as many CSS pixels a side, each twice as large.
        """
        context = self.browser.new_context(
            viewport={"width": round(size[0] / zoom), "height": round(size[1] / zoom)},
            device_scale_factor=zoom,
            color_scheme="dark" if dark else "light",
        )
        page, complaints = context.new_page(), list[str]()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"not loaded: {request.url}"))
        page.goto(address)
        page.wait_for_load_state("load")
        return Opened(page, complaints)
