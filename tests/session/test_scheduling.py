"""Under pytest-xdist, the checks of one subject stay in one process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

NETS = """
from mxnet.gluon import nn


def small():
    net = nn.HybridSequential()
    net.add(nn.Flatten(), nn.Dense(2))
    return net
"""


def test_a_subject_stays_in_one_process(tmp_path: Path) -> None:
    """Two subjects in two processes: each is run in one of them, and both are used."""
    (tmp_path / "nets.py").write_text(NETS)
    subjects = ("--subject", "one=nets:small", "--subject", "two-2=nets:small", "--input-shape", "1,4,4")
    command = ("-m", "pytest", "--pyargs", "conformance", *subjects, "--family", "files", "-n", "2", "-v")

    result = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)

    processes = defaultdict(set)
    for process, subject in re.findall(r"^\[(gw\d)\].*\[(one|two-2)-files\.", result.stdout, re.MULTILINE):
        processes[subject].add(process)
    assert 0 == result.returncode, result.stdout
    assert {"one": 1, "two-2": 1} == {subject: len(used) for subject, used in processes.items()}
    assert processes["one"] != processes["two-2"]
