"""Look for false alarms: the catalogue on the right networks, over seeds and orders, with one and two workers.

``python tests/tools/flakes.py RUNS [NETWORK ...] [--log FILE]`` runs the catalogue RUNS times on each network named
(default: all 12), every time with another seed and in another random order, and prints failures out of network-runs
with the bound that follows. With a log, every round is added to it as it ends, the seeds go on after its last, and what
is printed is about all its rounds. Exit code 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conformance.contract.specification import SPECIFICATIONS

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Round:
    """One run of pytest on some networks.

    Attributes:
        seed: Of weights, images, dropout masks and of the order.
        workers: Processes it ran in.
        networks: It ran on.
        executed: How many cases ran.
        failed: Cases that failed, by id.
        code: Pytest's exit code.
    """

    seed: int
    workers: int
    networks: tuple[str, ...]
    executed: int
    failed: tuple[str, ...]
    code: int

    @property
    def failures(self) -> int:
        """How many networks failed; a run that failed without a failed case counts as one."""
        networks = {name.partition("[")[2].partition("-")[0] for name in self.failed}
        return len(networks) or int(self.code != 0)

    def __str__(self) -> str:
        """One line."""
        words = f"FAILED {' '.join(self.failed)}" if self.failures else "passed"
        return f"seed {self.seed}, {self.workers} worker(s), {len(self.networks)} networks: {words}"


def upper_bound(runs: int, failures: int = 0) -> float:
    """The rate of false alarms that is excluded with 95 % confidence when no run failed: ``1 - 0.05 ** (1 / runs)``.

    Raises:
        ValueError: If there were failures: then their rate is what was seen.
    """
    if failures or runs < 1:
        raise ValueError(f"{failures} failures in {runs} runs: the bound is for no failure in at least one run")
    return float(1 - (1 - CONFIDENCE) ** (1 / runs))


def pytest_collection_modifyitems(config: object, items: list) -> None:  # type: ignore[type-arg]
    """Shuffle subjects, and the checks of each: the hook of this file when pytest loads it as a plugin."""
    order = random.Random(config.option.conformance_seed)  # type: ignore[attr-defined]
    subjects: dict[str, list[Any]] = {}
    for item in items:
        subjects.setdefault(item.callspec.params["case"].subject.name, []).append(item)
    groups = list(subjects.values())
    order.shuffle(groups)
    for group in groups:
        order.shuffle(group)
    items[:] = [item for group in groups for item in group]


def run(seed: int, networks: Sequence[str], workers: int) -> Round:
    """Run the catalogue once."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--pyargs", "conformance", "-q", "-p", "flakes", f"--seed={seed}"]
        command += [f"--subject={name}" for name in networks] + [f"--junit-xml={report}"]
        command += ["-n", str(workers)] if workers > 1 else []
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        if not report.is_file():
            raise SystemExit(f"seed {seed}: pytest ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
        cases = list(ET.parse(report).iter("testcase"))
    bad = (case for case in cases if any(case.find(kind) is not None for kind in ("failure", "error")))
    failed = tuple(case.get("name", "") for case in bad)
    executed = sum(case.find("skipped") is None for case in cases)
    return Round(seed, workers, tuple(networks), executed, failed, done.returncode)


def read(log: Path) -> list[Round]:
    """Return the rounds of a log, or none where there is none yet."""
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return [Round(**{**each, "networks": tuple(each["networks"]), "failed": tuple(each["failed"])}) for each in found]


def summary(rounds: Sequence[Round]) -> str:
    """Say how many network-runs failed out of how many, and what that excludes."""
    failed, total = sum(each.failures for each in rounds), sum(len(each.networks) for each in rounds)
    bound = f"; below {upper_bound(total):.2%} a network-run with 95 % confidence" if not failed else ""
    return f"{failed} failures in {total} network-runs ({sum(each.executed for each in rounds)} cases){bound}"


def main(runs: int, networks: Sequence[str], log: Path | None = None) -> None:
    """Run rounds, with two workers and with one in turn."""
    rounds = read(log) if log else []
    first = max((each.seed for each in rounds), default=0) + 1
    for seed in range(first, first + runs):
        rounds.append(run(seed, networks, 1 + seed % 2))
        print(rounds[-1], flush=True)
        if log:
            with log.open("a") as file:
                file.write(json.dumps(asdict(rounds[-1])) + "\n")
    print(summary(rounds))
    if any(each.failures for each in rounds):
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int, nargs="?", default=17, metavar="RUNS", help="rounds, default: 17")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default: all 12")
    parser.add_argument("--log", type=Path, metavar="FILE", help="JSON lines, a line a round")
    arguments = parser.parse_args()
    main(arguments.runs, arguments.networks or list(SPECIFICATIONS), arguments.log)
