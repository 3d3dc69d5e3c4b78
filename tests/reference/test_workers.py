"""What a process does beside others: it joins in time, agrees, and ends at once where it cannot leave in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from reference.runtime import parameter_server
from reference.runtime.parameter_server import begin_heartbeat, role_hidden, time_limit, watched
from reference.training import workers
from reference.training.workers import ALONE, Workers, ended_at_once


class Ended(BaseException):
    """Takes the place of the end of the process."""


@pytest.fixture(autouse=True)
def no_exit(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note exit codes instead of ending this process; no variable of a job is set."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Ended

    monkeypatch.setattr(os, "_exit", leave)
    for name in ("DMLC_ROLE", parameter_server.INTERVAL, parameter_server.PATIENCE):
        monkeypatch.setenv(name, "")  # so that it is taken back even where it was not set before
        monkeypatch.delenv(name)
    return codes


def test_alone_nothing_is_added() -> None:
    """A process alone gets its own values back, agrees with itself and leaves nobody."""
    assert (3, 0.5, True) == ALONE.total(3, 0.5, True)
    ALONE.require_same("anything", "this")
    ALONE.leave()


@pytest.mark.parametrize(("others", "refused"), [(0, False), (1, True)])
def test_workers_that_differ_are_refused(others: int, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one worker has another setting than worker 0, all refuse."""
    pair = Workers(SimpleNamespace(rank=1, num_workers=2))
    sums = iter([(float(0x12345678),), (float(others),)])
    monkeypatch.setattr(pair, "total", lambda *values: next(sums))
    if not refused:
        pair.require_same("settings", "mine")
        return
    with pytest.raises(ValueError, match="1 of 2 workers have settings other than worker 0's"):
        pair.require_same("settings", "mine")


def test_heartbeat_is_asked_for() -> None:
    """Without other wishes in the environment a heartbeat comes every second, and 20 s of silence are too long."""
    assert 20 == begin_heartbeat()
    assert "1" == os.environ["PS_HEARTBEAT_INTERVAL"]


@pytest.mark.parametrize("text", ["soon", "1", "-3"])
def test_wrong_patience_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patience that is no number of seconds is named."""
    monkeypatch.setenv(parameter_server.PATIENCE, text)
    with pytest.raises(ValueError, match=f"PS_HEARTBEAT_TIMEOUT={text}: allowed is an integer of at least 2 seconds"):
        begin_heartbeat()


@pytest.mark.parametrize("text", ["never", "0", "20"])
def test_wrong_interval_is_refused(
    text: str, no_exit: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A heartbeat that comes too late, or never, would end a job that lives; a server says so and ends."""
    monkeypatch.setenv(parameter_server.INTERVAL, text)
    with pytest.raises(Ended):
        parameter_server.serve(None)
    assert [1] == no_exit
    assert (
        f"worker: PS_HEARTBEAT_INTERVAL={text}: allowed is an integer from 1 to 19 seconds\n" == capfd.readouterr().err
    )


def wait_until(done: Callable[[], Any]) -> None:
    """Wait for another thread."""
    deadline = time.monotonic() + 20
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert done()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_silence_ends_the_process(
    no_exit: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two silent servers end the scheduler with one line and code 1; as long as none is silent nothing happens."""
    monkeypatch.setenv("DMLC_ROLE", "scheduler")
    silent = {"worker": 0, "server": 0}
    polls = iter([False, True])
    monkeypatch.setattr(parameter_server, "has_joined", lambda store, observed: next(polls))
    monkeypatch.setattr(parameter_server, "silent", lambda store, role, patience: silent[role])
    with watched(None, ("worker", "server"), 0, lambda: "; that is all"):
        time.sleep(1)
        assert not no_exit
        silent["server"] = 2
        wait_until(lambda: no_exit)
    assert [1] == no_exit
    assert "scheduler: no sign of 2 servers for 0 s; that is all\n" == capfd.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_job_that_is_not_complete_ends(
    no_exit: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A process that waits too long for the others ends, and says whom it waited for."""
    for name, value in (("PS_ROOT_URI", "10.0.0.1"), ("PS_ROOT_PORT", "9091"), ("NUM_WORKER", "2")):
        monkeypatch.setenv(f"DMLC_{name}", value)
    monkeypatch.setenv("DMLC_NUM_SERVER", "1")
    with time_limit(0.01, parameter_server.not_joined):
        wait_until(lambda: no_exit)
    assert [1] == no_exit
    assert "worker: waited 300 s for 1 scheduler at 10.0.0.1:9091, 2 workers, 1 servers\n" == capfd.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("complete", [False, True])
def test_server_waits_for_its_job(complete: bool, no_exit: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose job is not complete in time ends; one whose job is serves until it is done, and exits."""
    monkeypatch.setattr(parameter_server, "TO_JOIN", 0.01)
    monkeypatch.setattr(parameter_server, "silent", lambda store, role, patience: int(complete))
    done = (lambda: time.sleep(0.3)) if complete else (lambda: wait_until(lambda: no_exit))
    server = SimpleNamespace(KVStoreServer=lambda store: SimpleNamespace(run=done))
    fake = SimpleNamespace(kv=SimpleNamespace(create=str), kvstore=SimpleNamespace(kvstore_server=server))
    with pytest.raises(SystemExit):
        parameter_server.serve(fake)
    assert ([] if complete else [1]) == no_exit


def test_time_limit_that_is_kept_does_nothing() -> None:
    """What is done in time is not disturbed."""
    with time_limit(0.2, lambda: pytest.fail("called")):
        pass
    time.sleep(0.3)


def test_role_is_hidden_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """MXNet's import does not see the role, and what comes after does; without one nothing is set."""
    with role_hidden():
        assert "worker" == parameter_server.role()
    assert "DMLC_ROLE" not in os.environ
    monkeypatch.setenv("DMLC_ROLE", "server")
    with role_hidden():
        assert "worker" == parameter_server.role()
    assert "server" == parameter_server.role()


def test_failure_of_a_process_alone_is_its_own(no_exit: list[int]) -> None:
    """Outside a job errors go their way."""
    with pytest.raises(KeyError), ended_at_once():
        raise KeyError
    assert not no_exit


@pytest.mark.parametrize(("error", "code"), [(SystemExit(143), 143), (SystemExit("no"), 1), (KeyError("key"), 1)])
def test_worker_that_fails_ends_at_once(
    error: BaseException, code: int, no_exit: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that fails ends with its code, without MXNet's farewell; an unexpected error shows its traceback."""
    monkeypatch.setattr(workers, "_JOINED", {ALONE})
    with pytest.raises(Ended), ended_at_once():
        raise error
    assert [code] == no_exit
