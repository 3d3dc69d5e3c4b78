"""What MkDocs calls at every build: the generated pages are added, and put into the navigation."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from pages.checks import check_pages
from pages.networks import network_pages

LOG = logging.getLogger("mkdocs.pages")
ROLE = re.compile(r":(?:func|class|meth|mod):")
"""What is of reStructuredText in a docstring, and would be shown as it is."""
LINK = re.compile(r"\[[^\]]+\]\((?P<path>\.\./[^)#]+)[^)]*\)")
ROOT = Path(__file__).parents[1]
GENERATED: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Write the pages, and name those of a section after its first page; what is measured stands beside index.md."""
    GENERATED.update(check_pages() | network_pages())
    docs = Path(config.docs_dir)
    measured = sorted(str(path.relative_to(docs)) for place in (docs, docs / "results") for path in place.glob("*.md"))
    measured.remove("index.md")
    for section in config.nav:
        for title, pages in section.items() if isinstance(section, dict) else ():
            folder = pages[0].rpartition("index.md")[0]
            more = [page for page in GENERATED if folder and page.startswith(folder)]
            pages += [page for page in (measured if title == "Measured" else more) if page not in pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for path, text in GENERATED.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files | None) -> str:
    """Name the file where a link leads out of docs/, which is followed in the repository only."""
    here = Path(config.docs_dir, page.file.src_uri).parent

    def named(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(here / match["path"]))
        return match[0] if target.is_relative_to(config.docs_dir) else f"`{os.path.relpath(target, ROOT)}`"

    return LINK.sub(named, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files | None) -> str:
    """Warn of what Markdown does not know in a docstring that the page shows."""
    for role in ROLE.findall(html):
        LOG.warning("%s: %s is shown as it is", page.file.src_uri, role)
    return html
