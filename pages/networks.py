"""The pages of the 12 networks, from their snapshots, the specification and the docstrings of ``reference/``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from conformance.contract.specification import SPECIFICATIONS, Specification
from pages.diagram import block_diagram, network_diagram
from pages.manifests import Manifest, read_manifest
from pages.stages import Stage, stages

REFERENCE = Path(__file__).parents[1] / "reference" / "networks"
RULER = re.compile(r"=+( +=+)*")


def network_pages() -> dict[str, str]:
    """Write a page for each network, and the overview.

    Returns:
        Markdown by the page's path.
    """
    pages = {"networks/index.md": _overview()}
    for name, specification in SPECIFICATIONS.items():
        pages[f"networks/{name}.md"] = "\n".join(_page(name, specification, read_manifest(name)))
    return pages


def _overview() -> str:
    """All networks in one table."""
    rows = [
        f"| [{name}]({name}.md) | {spec.total:,} | {spec.trainable:,} | {spec.arrays} | {spec.multiply_adds:,} | "
        f"{spec.published:,} | {spec.smallest} |"
        for name, spec in SPECIFICATIONS.items()
    ]
    return "\n".join(
        (
            "# The networks",
            "",
            "Twelve HybridBlocks to be read beside their papers, one family a file in `reference/`. Each has",
            "`features`, a `HybridSequential`, and `output`, a dense layer; takes `classes=1000` by default, images of",
            "type float32 in the order N, C, H, W, and any number of channels. Gluon's defaults hold where nothing is",
            "said: BatchNorm with epsilon 1e-5 and momentum 0.9, layers with a bias.",
            "",
            "```python",
            "from reference import get_model, list_models",
            "",
            "net = get_model(list_models()[0], classes=10)",
            "net.initialize()",
            "net.hybridize()",
            "```",
            "",
            "At 1000 classes and one image of 3×224×224:",
            "",
            "| network | parameters | trainable | arrays | multiply-adds | published | smallest image |",
            "| --- | --: | --: | --: | --: | --: | --: |",
            *rows,
            "",
            "*Parameters* counts running statistics, *trainable* does not; *arrays* is the number of parameter arrays.",
            "*Multiply-adds* are those of convolutions and dense layers, biases aside. *Published* is the trainable",
            "count without the convolutions' biases in ResNet and DenseNet (`conv_bias=False`), as torchvision",
            "publishes it. The *smallest image* is its side in pixels. The numbers are those of",
            "`conformance/contract/specification.py`; the checks of the family [parameters](../checks/parameters.md)",
            "hold every build of a network to them and to a closed formula.",
            "",
        )
    )


def _page(name: str, specification: Specification, manifest: Manifest) -> Iterator[str]:
    """The lines of one network's page."""
    rows = list(stages(manifest))
    yield from (f"# {name}", "", f"{len(manifest.operators)} operators, {specification.arrays} parameter arrays,")
    yield f"{specification.total:,} parameters ({specification.trainable:,} trainable) and"
    yield f"{specification.multiply_adds:,} multiply-adds for one image of 3×224×224. Images may have from"
    yield from (f"{specification.smallest}×{specification.smallest} pixels on.", "")
    yield from ("## Stages", "", network_diagram(name, rows, specification.full_size), "")
    yield from ("A bar is as wide as the logarithm of the image's side.", "")
    yield from _table(rows)
    yield from _units(rows)
    yield from ("## Paper and departures", "", docstring_to_markdown(_docstring(specification.family)))
    yield from ("", "## Sources", "")
    yield f"- Stages, shapes and diagrams: `snapshots/{name}.txt`, which the check"
    yield "  [`structure.snapshot`](../checks/structure.md#structuresnapshot) compares with the network."
    yield f"- Paper and departures: the docstring of `reference/networks/{specification.family}.py`."
    yield "- Parameters and multiply-adds: `conformance/contract/specification.py`; those of the stages are counted in"
    yield "  the snapshot, and their sums are the specification's."
    yield ""


def _table(rows: list[Stage]) -> Iterator[str]:
    yield from ("| stage | layers | output | parameters | multiply-adds |", "| --- | --- | --- | --: | --: |")
    for row in rows:
        shape = "×".join(map(str, row.shape))
        yield f"| `{row.path}` | {row.title} | {shape} | {_count(row.parameters)} | {_count(row.multiply_adds)} |"
    total = sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)
    yield from (f"| sum | | | {total[0]:,} | {total[1]:,} |", "")


def _count(number: int) -> str:
    return f"{number:,}" if number else "–"


def _units(rows: list[Stage]) -> Iterator[str]:
    """A diagram of the first block of the first stage of blocks."""
    unit = next((row for row in rows if row.unit), None)
    if unit is not None:
        title = f"The first block of {unit.path}"
        yield from ("## One block", "", f"{title}, as it is recorded:", "", block_diagram(title, unit.unit), "")


def _docstring(family: str) -> str:
    tree = ast.parse((REFERENCE / f"{family}.py").read_text(encoding="utf-8"))
    return ast.get_docstring(tree) or ""


def docstring_to_markdown(text: str) -> str:
    """Write a module's docstring as Markdown: its simple tables as tables, its addresses as links.

    Args:
        text: With tables in the form of reStructuredText: columns between three lines of ``=``.
    """
    lines = iter(re.sub(r"https?://[^\s),]+", r"<\g<0>>", text).splitlines())
    return "\n".join(chain.from_iterable(_table_of(line, lines) for line in lines))


def _table_of(line: str, lines: Iterator[str]) -> Iterator[str]:
    """A line as it is, or the table that it begins."""
    if not RULER.fullmatch(line.strip()):
        yield line
        return
    columns = [match.span() for match in re.finditer("=+", line)]
    columns[-1] = (columns[-1][0], 10_000)
    yield _cells(next(lines), columns)
    yield "| " + " | ".join("---" for _ in columns) + " |"
    next(lines)
    for row in lines:
        if RULER.fullmatch(row.strip()):
            return
        yield _cells(row, columns)


def _cells(line: str, columns: list[tuple[int, int]]) -> str:
    return f"| {' | '.join(line[start:end].strip() for start, end in columns)} |"
