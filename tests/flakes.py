"""Look for false alarms: the catalogue on the right networks, over seeds and orders, with one and two workers.

``python tests/flakes.py RUNS [NETWORK ...]`` runs the catalogue RUNS times on each network named (default: all 12),
every time with another seed and in another random order, and prints failures out of network-runs with the bound
that follows. Exit code 1 where anything failed.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from conformance.specification import SPECIFICATIONS
from conformance.summary import CASE

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Round:
    """One run of pytest: which networks failed, and how many cases ran.

    Attributes:
        seed: Of weights, images, dropout masks and of the order.
        failed: Cases that failed, by id.
        executed: How many cases ran.
        code: Pytest's exit code.
    """

    seed: int
    failed: tuple[str, ...]
    executed: int
    code: int


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
    subjects: dict[str, list[object]] = {}
    for item in items:
        match = CASE.search(item.nodeid.partition("@")[0])
        subjects.setdefault(match["subject"] if match else "", []).append(item)
    groups = list(subjects.values())
    order.shuffle(groups)
    for group in groups:
        order.shuffle(group)
    items[:] = [item for group in groups for item in group]


def run(seed: int, networks: list[str], workers: int) -> Round:
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
    return Round(seed, failed, executed, done.returncode)


def main(runs: int, networks: list[str], first: int = 1) -> None:
    """Run rounds, with two workers and with one in turn."""
    failed = cases = 0
    for number in range(runs):
        workers = 2 - number % 2
        found = run(first + number, networks, workers)
        subjects = {name.partition("[")[2].partition("-")[0] for name in found.failed}
        failed, cases = failed + len(subjects), cases + found.executed
        words = f"FAILED {' '.join(found.failed)}" if found.failed or found.code else "passed"
        print(f"seed {found.seed}, {workers} worker(s), {len(networks)} networks: {words}", flush=True)
        failed += bool(found.code and not found.failed)
    total = runs * len(networks)
    bound = f"; below {upper_bound(total):.2%} a network-run with 95 % confidence" if not failed else ""
    print(f"{failed} failures in {total} network-runs ({cases} cases){bound}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 17, sys.argv[2:] or list(SPECIFICATIONS))
