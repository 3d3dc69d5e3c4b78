"""The code blocks of the pages: README, CONTRIBUTING, the examples, the site's pages and those that are generated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from pages.checks import check_pages
from pages.networks import network_pages

ROOT = Path(__file__).parents[3]
OUTSIDE = ("README.md", "CONTRIBUTING.md", "examples/downstream/README.md")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: The first word behind the fence.
        title: The file that it is, where it has a name.
        text: What is in it.
        line: Where it begins in the page, from 1 on.
    """

    language: str
    title: str
    text: str
    line: int


def all_pages() -> dict[str, str]:
    """Every page's text by its path: in the repository, or for a generated one in the site."""
    written = (*OUTSIDE, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))))
    return {page: (ROOT / page).read_text(encoding="utf-8") for page in written} | check_pages() | network_pages()


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page, in order.

    Args:
        text: The page, in Markdown.

    Raises:
        ValueError: If a block is indented instead of fenced, so that nothing says what it is.
    """
    for token in MarkdownIt("commonmark").parse(text):
        line = (token.map or [0])[0] + 1
        if token.type == "code_block":
            raise ValueError(f"line {line}: an indented block has no language: fence it")
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            yield Block(language, rest.partition('title="')[2].partition('"')[0], token.content, line)
