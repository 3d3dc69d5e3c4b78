"""The worker process: what a check's end becomes, and what is remembered of a crash or a hang."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benches import CHECK
from broken_blocks import INPUT_SHAPE, crash, hang
from conformance import Subject
from conformance.worker.pool import Pool
from conformance.worker.process import PREPARE, SPARING, Settings, Worker, share_of_cores
from flaws import Small

PREDICT, SAME, COUNTS = "execution.predict_mode", "execution.same_operators", "parameters.counts"
DROPOUT, SNAPSHOT, FILES = "behaviour.dropout", "structure.snapshot", "files.parameters_round_trip"


class WithoutDropout(Small):
    """A block to which one check does not apply."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Classify the average of the normalized channels."""
        return self.output(F.Pooling(self.norm(self.conv(x)), pool_type="avg", global_pool=True, kernel=(1, 1)))


class Shouting(Small):
    """A block that prints, and fails with an MXNet error."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Multiply what cannot be multiplied."""
        print("here I am")
        return F.dot(self.output(self.conv(x)), x)


def own(build: Callable[..., Any]) -> Subject:
    """Return a subject of a block of one's own."""
    return Subject("mine", build=build, input_shape=INPUT_SHAPE)


@pytest.fixture
def worker_of() -> Iterator[Callable[..., Worker]]:
    """Give a function that starts workers, which are ended after the test."""
    workers = []

    def start(build: Callable[..., Any], time_limit: float = 60) -> Worker:
        workers.append(Worker(own(build), Settings(time_limit=time_limit, threads=1)))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


class Saying(Small):
    """A block that prints how its process gets memory, and fails."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Print and fail."""
        raise ValueError([os.environ[name] for name in SPARING])


def test_worker_answers_many_checks_in_one_process(worker_of: Callable[..., Worker]) -> None:
    """One process runs check after check; a manifest comes back as payload."""
    worker = worker_of(Small)
    assert "passed" == worker.run(CHECK[PREDICT].task("hybridized")).outcome
    first = worker.process
    assert (worker.run(CHECK[SNAPSHOT].task("")).payload or "").startswith("mine: 7 operators, 8 parameters")
    assert first is worker.process


def test_worker_says_what_does_not_apply(worker_of: Callable[..., Worker]) -> None:
    """A check that does not apply gives its reason."""
    result = worker_of(WithoutDropout).run(CHECK[DROPOUT].task(""))
    assert ("not applicable", "the network has no Dropout") == (result.outcome, result.text)


def test_worker_gives_the_line_of_an_error_that_matters(worker_of: Callable[..., Worker]) -> None:
    """An error in the subject fails the check in one line, with what was printed beside it."""
    result = worker_of(Shouting).run(CHECK[FILES].task(""))
    assert "failed" == result.outcome
    assert 1 == len(result.text.splitlines())
    assert "here I am" in result.output


def test_crash_names_signal_and_stage_and_is_not_tried_again(worker_of: Callable[..., Worker]) -> None:
    """A crash is told by its signal; work that ended a process is not started again, other checks still run."""
    worker = worker_of(crash)
    result = worker.run(CHECK[SAME].task(""))
    assert "crashed" == result.outcome
    assert "mine ended the worker process with SIGSEGV while running the network imperatively" == result.text
    assert "Segmentation fault" in result.output
    again = worker.run(CHECK[SAME].task(""))
    assert "not executed" == again.outcome
    assert f"crashed in {SAME}" in again.text
    assert "passed" == worker.run(CHECK[SNAPSHOT].task("")).outcome


def test_hang_is_stopped_within_the_time_limit(worker_of: Callable[..., Worker]) -> None:
    """A check that gives no answer is stopped, named, and its stage not tried again."""
    worker = worker_of(hang, 8)
    result = worker.run(CHECK[SAME].task(""))
    assert "hung" == result.outcome
    assert "mine gave no answer within 8 s (--time-limit) and was stopped" in result.text
    assert "not executed" == worker.run(CHECK[SAME].task("")).outcome


def test_files_of_a_worker_are_removed(worker_of: Callable[..., Worker]) -> None:
    """What a worker wrote into its temporary folder is gone once it ended, however it ended."""
    worker = worker_of(Small)
    assert "passed" == worker.run(CHECK["files.export_round_trip"].task("")).outcome
    folder = Path(worker.folder.name)
    assert list(folder.rglob("network-symbol.json"))
    worker.close()
    assert not folder.exists()


def test_build_that_exits_is_a_crash(worker_of: Callable[..., Worker]) -> None:
    """A build function that ends its process is told by its exit code."""
    result = worker_of(lambda: __import__("os")._exit(7)).run(PREPARE)
    assert "crashed" == result.outcome
    assert "exit code 7" in result.text


@pytest.mark.parametrize("build", [lambda: 3, lambda size: Small(), "absent:Net", "flaws:Absent", "flaws:CALLS"])
def test_build_that_cannot_work_is_refused(build: Any, worker_of: Callable[..., Worker]) -> None:
    """A request that cannot be built is refused in one line that names the subject."""
    result = worker_of(build).run(PREPARE)
    assert "refused" == result.outcome
    assert result.text.startswith("subject mine")
    assert 1 == len(result.text.splitlines())


def test_pool_keeps_one_worker(tmp_path: Path) -> None:
    """The worker of the subject before is ended, and what killed it is remembered."""
    pool = Pool(Settings(time_limit=60, threads=1))
    subject, other = own(crash), Subject("other", build=Small, input_shape=INPUT_SHAPE)
    first = pool.worker(subject)
    assert "crashed" == first.run(CHECK[SAME].task("")).outcome
    assert pool.worker(subject) is first
    assert "passed" == pool.worker(other).run(CHECK[SNAPSHOT].task("")).outcome
    assert first.process is None
    assert "not executed" == pool.worker(subject).run(CHECK[SAME].task("")).outcome
    pool.close()
    pool.close()


def test_worker_is_sparing_with_memory_unless_told_otherwise(
    worker_of: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has one scratch space, and gives back what is freed; the user's environment comes first."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "77")
    expected = [*({**SPARING, "MALLOC_MMAP_THRESHOLD_": "77"}).values()]
    assert str(expected) in worker_of(Saying).run(CHECK[PREDICT].task("hybridized")).text


def test_largest_experiment_fits_into_four_gigabytes() -> None:
    """A VGG in float64 with its gradients, the most that a check keeps of one of the 12 networks, and its copies."""
    with closing(Worker(Subject("vgg11"), Settings(threads=1))) as worker:
        for check in ("numerics.gradients_accumulate", "numerics.derivative", "files.export_after_cast"):
            result = worker.run(CHECK[check].task(""))
            assert "passed" == result.outcome, result.text
            assert 0 < result.peak < 4e9, check


def test_cores_are_shared_among_xdist_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pytest worker takes its share of the cores, and at least one."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    assert 8 == share_of_cores()
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    assert 2 == share_of_cores()
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "16")
    assert 1 == share_of_cores()
