"""The README names what exists: the current checks, sessions, options and commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from conformance.__main__ import BEGIN, END, catalogue_table
from conformance.checks.catalogue import CHECKS, FAMILIES
from conformance.contract.specification import SPECIFICATIONS

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "examples/downstream/README.md")
SITE = tuple(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md")))
"""The site's pages; MkDocs checks their links."""
README = (ROOT / "README.md").read_text(encoding="utf-8")
HELPS = (
    ("pytest", "--pyargs", "conformance"),
    *(("conformance", command) for command in ("catalogue", "doctor", "record", "compare", "diff", "export")),
    *(("reference", command) for command in ("list", "summary", "train", "evaluate", "predict", "data")),
)
OTHER_PROGRAMS = {
    "--group",
    "--only",
    "--pictures",
    "--profile",
    "--write",
    "--query-gpu",
    "--format",
    "--steps",
    "--blocks",
    "--network",
}
"""Options of pip and nvidia-smi, of what `nox -s faults` and `nox -s browser` run, and of scripts in benchmarks/."""


def help_of(*command: str) -> str:
    """Return what ``python -m COMMAND --help`` prints."""
    return subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def options(text: str) -> set[str]:
    """Return the long options that a text names."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_check_table_is_current() -> None:
    """The table between the markers is the catalogue's."""
    table = README.partition(BEGIN)[2].partition(END)[0].strip()

    assert catalogue_table().strip() == table, "stale: run `python -m conformance catalogue --into README.md`"


def test_every_option_exists_and_is_explained() -> None:
    """Every option that a page names is one of a command's, and every option of the suite is in the README."""
    helps = {command: help_of(*command) for command in HELPS}
    existing = set[str]().union(*map(options, helps.values())) | OTHER_PROGRAMS
    own = helps[HELPS[0]].partition("conformance of MXNet Gluon networks:\n")[2].partition("\n\n")[0]

    for page in (*PAGES, *SITE):
        assert set() == options((ROOT / page).read_text(encoding="utf-8")) - existing, page
    assert {"--subject", "--family"} <= options(own)
    assert set() == options(own) - options(README)


def test_every_command_exists() -> None:
    """Every command of the two packages that a page names is in their help."""
    for package in ("conformance", "reference"):
        existing = set(re.findall(r"^    (\w+) ", help_of(package), re.MULTILINE))
        for page in (*PAGES, *SITE):
            text = (ROOT / page).read_text(encoding="utf-8")
            assert set() == set(re.findall(rf"python -m {package} (\w+)", text)) - existing, page


def test_every_session_exists() -> None:
    """Every ``nox -s`` names a session of the noxfile."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}

    for page in (*PAGES, *SITE):
        named = set(re.findall(r"nox -s (\w+)", (ROOT / page).read_text(encoding="utf-8")))
        assert set() == named - sessions, page
    assert {"cpu", "tests", "gpu"} <= set(re.findall(r"nox -s (\w+)", README))


def test_every_check_and_family_named_exists() -> None:
    """An id like ``behaviour.dropout`` is a check's, in every page."""
    ids = {check.id for check in CHECKS}
    pattern = re.compile(rf"(?<!reference\.)\b(?:{'|'.join(FAMILIES)})\.[a-z_]+\b(?!/|\()")
    for page in (*PAGES, *SITE):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert set() == {name for name in pattern.findall(text) if not name.endswith((".py", ".md"))} - ids, page


def test_every_link_leads_somewhere() -> None:
    """A relative link is a file's, and an anchor in the README a heading's."""
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            path, _, anchor = target.partition("#")
            assert (ROOT / page).parent.joinpath(path).exists(), target
            assert path or anchor in headings, target


def test_table_has_todays_families() -> None:
    """The table of a run has the networks and the families of checks that there are for them on the CPU."""
    table = README.partition("```text\n")[2].partition("```")[0].splitlines()
    cells = table[1].split()

    families = [family for family in FAMILIES if family not in ("claim", "device")]

    assert ["subject", *families, "seconds"] == cells
    assert list(SPECIFICATIONS) == [line.split()[0] for line in table[3 : 3 + len(SPECIFICATIONS)]]


def test_failure_example_is_of_today() -> None:
    """The example of a failure has the form, title and remedy that a failure has today."""
    example = README.partition("## How to read a failure")[2].partition("```text\n")[2].partition("```")[0]
    check = next(check for check in CHECKS if check.id == "structure.graph")

    assert example.startswith("alexnet · structure.graph: failed\n")
    assert f"expected: {check.title}\n{check.remedy}\nsource: {check.source}\nrepeat: pytest --pyargs " in example


def test_contributing_answers_with_what_is_there() -> None:
    """Every place that the map of the code names exists, and every folder of code says what it has in a sentence."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    answers = text.partition("## Where things are")[2].partition("\n## ")[0]
    places = re.findall(r"`((?:conformance|snapshots)[\w/.]*)`", answers)
    assert 12 <= len(places)
    assert [] == [place for place in places if not (ROOT / place).exists()]
    for package in ("conformance", "reference"):
        for path in (ROOT / package).rglob("__init__.py"):
            assert (
                (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0].endswith(".")
            )
