"""Commands that install or take minutes, which no test runs: they are read by the parsers that would read them."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import nox
from pip._internal.commands import create_command

import conformance.__main__
import reference.__main__

ROOT = Path(__file__).parents[3]
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
SETTING_UP = {"python -m venv .venv", ". .venv/bin/activate", "pre-commit install"}
"""Commands of other programs that take no argument of ours."""
REQUEST = """
import sys
from _pytest.config import _prepareconfig
config = _prepareconfig(sys.argv[1:])
if hasattr(config.option, "conformance_subjects"):
    from conformance.session.run import begin
    begin(config)
"""
"""Reads a command line of pytest as pytest does, and the request in it as the suite does."""
CATALOGUE = ("--pyargs", "conformance")


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a block, as words, without the variables set for them.

    Args:
        text: Lines of a shell, with comments.
    """
    for line in text.splitlines():
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            if words:
                yield words


def parse(words: Sequence[str]) -> None:
    """Read a command by its own parser.

    Args:
        words: Of the command.

    Raises:
        ValueError: If no parser is known for it, or it names what does not exist.
        SystemExit: If its parser refuses it.
        subprocess.CalledProcessError: If pytest's parser, or the suite's, refuses it.
    """
    if " ".join(words) in SETTING_UP:
        return
    module = words[:2] == ["python", "-m"]
    program, *arguments = words[2:] if module else words
    if program not in PARSERS:
        raise ValueError(f"{' '.join(words)}: no parser is known for {program}")
    PARSERS[program](arguments)


def _pytest(arguments: Sequence[str]) -> None:
    """By pytest's parser and the suite's, in a folder that has the files and the folder of images that are named."""
    with TemporaryDirectory() as folder:
        for before, word in zip(("", *arguments), arguments, strict=False):
            path = Path(folder, word.rpartition("=")[2])
            if before == "--images":
                path.mkdir()
            elif path.suffix in (".onnx", ".params"):
                path.touch()
        subprocess.run([sys.executable, "-c", REQUEST, *arguments], cwd=folder, check=True)


def _pip(arguments: Sequence[str]) -> None:
    """By pip's parser; an extra or a group must be one of the project's."""
    name, *rest = arguments
    options, requirements = create_command(name).parse_args(list(rest))
    for group in getattr(options, "dependency_groups", ()):
        _require(group[1], PYPROJECT["dependency-groups"], "group")
    for requirement in (*requirements, *getattr(options, "editables", ())):
        _, found, extras = requirement.partition(".[")
        for extra in extras.rstrip("]").split(",") if found else ():
            _require(extra, PYPROJECT["project"]["optional-dependencies"], "extra")


def _nox(arguments: Sequence[str]) -> None:
    """A session must exist, and what it is given must be read by what it runs."""
    options, _, rest = " ".join(map(shlex.quote, arguments)).partition(" -- ")
    given = shlex.split(rest)
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    _, session = shlex.split(options)
    _require(session, sessions, "session")
    if session == "build_under_test" and given and not given[0].startswith("-"):
        del given[0]
    if given and session not in ("cpu", "gpu", "build_under_test"):
        raise ValueError(f"nox -s {session}: no parser is known for {' '.join(given)}")
    _pytest([*CATALOGUE, *given])


def _require(name: str, existing: Sequence[str], what: str) -> None:
    if name not in existing:
        raise ValueError(f"{what} {name!r}: there are {', '.join(existing)}")


PARSERS: dict[str, Callable[[Sequence[str]], object]] = {
    "conformance": lambda arguments: conformance.__main__._parser().parse_args(list(arguments)),
    "reference": lambda arguments: reference.__main__._parser().parse_args(list(arguments)),
    "pytest": _pytest,
    "pip": _pip,
    "nox": _nox,
}
