"""The pytest plugin: hooks only. A run that does not name ``conformance`` gets none of its options or effects."""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

if TYPE_CHECKING:
    from conformance.session.cases import Case
    from conformance.session.request import Request

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


def is_case(found: Any) -> TypeGuard[Case]:
    """Whether a test's argument is one of ours; where nobody has asked for any, nothing is imported to see that."""
    cases = sys.modules.get("conformance.session.cases")
    return cases is not None and isinstance(found, cases.Case)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """Add the options, in runs of the catalogue only, so that other projects keep theirs."""
    if any(names_catalogue(argument) for argument in args):
        from conformance.session.options import add_options

        add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the request; a wrong one ends the run with one line and exit code 4."""
    if hasattr(config.option, "conformance_subjects"):
        from conformance.session.run import begin

        config.stash[KEY] = begin(config)


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Say what is tested, once, where the worker processes' MXNet is known."""
    if KEY not in config.stash:
        return None
    from conformance.session.run import header

    return header(config.stash[KEY])


def pytest_sessionstart(session: pytest.Session) -> None:
    """Try to build what the user brought, before anything runs."""
    if KEY in session.config.stash and not hasattr(session.config, "workerinput"):
        from conformance.session.run import prepare, show

        prepare(session.config.stash[KEY], session.config)
        show(session.config.stash[KEY], session.config)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Generator[None, Any, Any]:
    """Collect the catalogue whatever the user's own naming patterns are, and nothing else of this package."""
    result = yield
    if KEY in parent.config.stash and HERE in file_path.parents:
        from conformance.session.run import CatalogueModule

        return [CatalogueModule.from_parent(parent, path=file_path)] if file_path.name == "test_catalogue.py" else []
    return result


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize the catalogue's test with the requested cases."""
    if KEY in metafunc.config.stash and Path(metafunc.module.__file__ or "") == HERE / "test_catalogue.py":
        from conformance.session.run import parameters

        metafunc.parametrize("case", parameters(metafunc.config.stash[KEY]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a subject's checks in one process, so that its network is built once."""
    if KEY not in config.stash:
        return None
    from conformance.session.scheduling import SubjectScheduling

    return SubjectScheduling(config, log, config.stash[KEY].cases)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a case leave its result on its item."""
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if is_case(case := arguments.get("case")):
        from conformance.session.cases import RESULT

        arguments["case"] = replace(case, tell=partial(item.stash.__setitem__, RESULT))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Put how a case ended on its report, with which xdist sends it on."""
    report = yield
    if is_case(case := getattr(getattr(item, "callspec", None), "params", {}).get("case")):
        from conformance.session.cases import RESULT

        if report.when == "call" and RESULT in item.stash:
            report.conformance_end = [*case.end(item.stash[RESULT])]
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End the worker; a run that executed no check is not green (exit code 5)."""
    if KEY in session.config.stash:
        from conformance.session.run import finish

        finish(session.config.stash[KEY], session)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of subjects and families with times."""
    if KEY in config.stash:
        from conformance.session.summary import write_summary

        write_summary(terminalreporter, config.stash[KEY].cases)
