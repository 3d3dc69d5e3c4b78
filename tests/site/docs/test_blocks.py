"""Every code block of every page does what the page says.

What is done with a block depends on its language alone:

- `python` with a title is a file, which a later block of the page uses; without a title it is run by itself;
- `console` has commands behind `$`, which are run one after the other in the folder of the page's files, and what they
  print: `...` on a line of its own stands for any lines, at the end of a line for its rest. A command fails if what
  is shown says `: failed`, and succeeds otherwise;
- `sh` has commands that install, take minutes or need a device: they are read by the parsers that would read them;
- `toml` with a title is a file of expected failures;
- `text` is what something printed: which test holds it to what is printed today is named here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from blocks import Block, all_pages, blocks
from commands import commands, parse
from conformance.session.expected_failures import read_file

PAGES = {page: list(blocks(text)) for page, text in all_pages().items()}
HELD = {"README.md": ["test_table_has_todays_families", "test_failure_example_is_of_today"]}
"""The tests of `tests/site/test_readme.py` that hold the `text` blocks of a page, in order."""
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "120",
}


def run(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command as a reader would; returns its exit code and all it printed."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def run_console(block: Block, folder: Path) -> None:
    """Run the commands of a block and compare what they print with what is shown."""
    head, *parts = f"\n{block.text}".split("\n$ ")
    assert "" == head.strip(), f"line {block.line}: a block starts with a command"
    for part in parts:
        command, *shown = part.rstrip("\n").split("\n")
        code, printed = run(["bash", "-c", command], folder)
        assert (1 if ": failed" in part else 0) == code, f"{command}\n{printed}"
        if shown:
            assert matches(shown, printed.splitlines()), f"{command}\nexpected:\n{part}\nactual:\n{printed}"


def matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether what is shown is what was printed, in order; `...` stands for what is left out."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    if not printed:
        return False
    first, rest = shown[0].rstrip(), printed[0].rstrip()
    alike = rest.startswith(first[:-3].rstrip()) if first.endswith("...") else first == rest
    return alike and matches(shown[1:], printed[1:])


def write_file(block: Block, later: Sequence[Block], folder: Path) -> None:
    """Write a block that is a file, which something that follows must use."""
    name = block.title.removesuffix(".py")
    used = any(name in other.text for other in later)
    assert used, f"line {block.line}: nothing that follows uses {block.title}"
    (folder / block.title).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", [page for page, found in PAGES.items() if found])
def test_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    """Every block of a page is run, read or held to what is printed, by the rule for its language."""
    for place, block in enumerate(PAGES[page]):
        match block.language:
            case "python" if block.title:
                write_file(block, PAGES[page][place + 1 :], tmp_path)
            case "python":
                code, printed = run([sys.executable, "-c", block.text], tmp_path)
                assert 0 == code, printed
            case "console":
                run_console(block, tmp_path)
            case "sh":
                for words in commands(block.text):
                    parse(words)
            case "toml":
                (tmp_path / "block.toml").write_text(block.text, encoding="utf-8")
                assert read_file(tmp_path / "block.toml", date.today())
            case _:
                assert "text" == block.language, f"line {block.line}: no rule for {block.language!r}"


def test_text_is_held_by_a_test() -> None:
    """Every `text` block is held to what is printed today by a test, and the test exists."""
    found = {page: sum(block.language == "text" for block in page_blocks) for page, page_blocks in PAGES.items()}

    assert {page: len(tests) for page, tests in HELD.items()} == {page: n for page, n in found.items() if n}
    holding = (Path(__file__).parents[1] / "test_readme.py").read_text(encoding="utf-8")
    assert [] == [name for tests in HELD.values() for name in tests if f"def {name}(" not in holding]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["...", "b"], ["a", "b"], True),
        (["a", "..."], ["a", "b", "c"], True),
        (["a: ..."], ["a: 1"], True),
        (["a"], [], False),
        (["...", "c", "..."], ["a", "b"], False),
    ],
)
def test_matches_reads_dots_as_anything(shown: list[str], printed: list[str], same: bool) -> None:
    """Lines are equal and in order, but where `...` stands."""
    assert same == matches(shown, printed)


@pytest.mark.parametrize(
    "command",
    [
        "pytest --pyargs conformance --no-such-option",
        "pytest --pyargs conformance --family no_such_family",
        "nox -s no_such_session",
        'pip install ".[no_such_extra]"',
        "python -m conformance no_such_command",
        "no_such_program",
    ],
)
def test_parse_refuses_what_does_not_exist(command: str) -> None:
    """A command that would fail for its arguments is refused by its parser."""
    (words,) = commands(command)
    with pytest.raises((ValueError, SystemExit, subprocess.CalledProcessError)):
        parse(words)
