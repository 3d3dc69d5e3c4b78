"""The pytest plugin: hooks only. A run that does not name ``conformance`` gets none of its options or effects."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.request import Request

HERE = Path(__file__).parent
KEY: pytest.StashKey[Request] = pytest.StashKey()


def names_catalogue(argument: str) -> bool:
    """Whether a command-line argument asks for the catalogue: ``conformance``, a module of it, or its folder."""
    target = str(argument).partition("::")[0]
    return target.partition(".")[0] == "conformance" or (
        not target.startswith("-")
        and Path(target).exists()
        and HERE in (Path(target).resolve(), *Path(target).resolve().parents)
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """Add the options, in runs of the catalogue only, so that other projects keep theirs."""
    if any(names_catalogue(argument) for argument in args):
        from conformance.options import add_options

        add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the request; a wrong one ends the run with one line and exit code 4."""
    if hasattr(config.option, "conformance_subjects"):
        from conformance.request import Request

        config.stash[KEY] = Request.from_options(config)
        config.stash[KEY].watch()


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Say what is tested, once, where the worker processes' MXNet is known."""
    return config.stash[KEY].header() if KEY in config.stash else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Try to build what the user brought, before anything runs."""
    if KEY in session.config.stash and not hasattr(session.config, "workerinput"):
        session.config.stash[KEY].prepare()
        session.config.stash[KEY].show()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Generator[None, Any, Any]:
    """Collect the catalogue whatever the user's own naming patterns are, and nothing else of this package."""
    result = yield
    if KEY in parent.config.stash and HERE in file_path.parents:
        from conformance.request import CatalogueModule

        return [CatalogueModule.from_parent(parent, path=file_path)] if file_path.name == "test_catalogue.py" else []
    return result


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize the catalogue's test with the requested cases."""
    if KEY in metafunc.config.stash and Path(metafunc.module.__file__ or "") == HERE / "test_catalogue.py":
        metafunc.parametrize("case", metafunc.config.stash[KEY].parameters())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a subject's checks in one process, so that its network is built once."""
    if KEY not in config.stash:
        return None
    from conformance.scheduling import SubjectScheduling

    return SubjectScheduling(config, log)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End the worker; a run that executed no check is not green (exit code 5)."""
    if KEY in session.config.stash:
        session.config.stash[KEY].finish(session)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of subjects and families with times."""
    if KEY in config.stash:
        from conformance.summary import write_summary

        write_summary(terminalreporter)
