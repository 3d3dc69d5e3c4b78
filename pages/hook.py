"""What MkDocs calls at every build: the generated pages are added, and put into the navigation."""

from __future__ import annotations

import logging
import re
from typing import Any

from mkdocs.structure.files import File, Files

from pages.checks import check_pages
from pages.networks import network_pages

LOG = logging.getLogger("mkdocs.pages")
ROLE = re.compile(r":(?:func|class|meth|mod):")
"""What is of reStructuredText in a docstring, and would be shown as it is."""
GENERATED: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Write the pages, and name those of a section after its first page."""
    GENERATED.update(check_pages() | network_pages())
    for section in config.nav:
        for pages in section.values() if isinstance(section, dict) else ():
            folder = pages[0].rpartition("index.md")[0]
            pages += [page for page in GENERATED if folder and page.startswith(folder) and page not in pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for path, text in GENERATED.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Warn of what Markdown does not know in a docstring that the page shows."""
    for role in ROLE.findall(html):
        LOG.warning("%s: %s is shown as it is", page.file.src_uri, role)
    return html
