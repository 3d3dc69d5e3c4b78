"""The options that the plugin adds to pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance.catalogue import FAMILIES
from conformance.worker import Settings

OPTIONS: dict[str, dict[str, Any]] = {
    "--subject": {
        "action": "append",
        "default": [],
        "dest": "conformance_subjects",
        "metavar": "NAME[=MODULE:ATTRIBUTE|=FILE.onnx]",
        "help": (
            "what to test: a reference network, a claim to be one (a HybridBlock, PyTorch module or ONNX file), or "
            "(with --input-shape) your own block; repeatable; default: the 12 reference networks"
        ),
    },
    "--input-shape": {
        "dest": "conformance_input_shape",
        "metavar": "C,H,W",
        "help": "shape of one input of your own block",
    },
    "--reference": {
        "dest": "conformance_reference",
        "metavar": "MODULE:ATTRIBUTE",
        "help": "what your own block claims to be: it is compared with what this builds, operator by operator",
    },
    "--trainer": {
        "dest": "conformance_trainer",
        "metavar": "MODULE:ATTRIBUTE",
        "help": "a training loop of your own, which the family training then watches",
    },
    "--weights": {
        "dest": "conformance_weights",
        "metavar": "FILE.params",
        "help": "trained weights of the subject, used by the numeric checks",
    },
    "--images": {
        "dest": "conformance_images",
        "metavar": "DIR",
        "help": "image files on which a claim's predictions are compared; default: packaged images of Fashion-MNIST",
    },
    "--family": {
        "dest": "conformance_families",
        "default": "",
        "metavar": "A,B",
        "help": f"families to run: {', '.join(FAMILIES)}",
    },
    "--ctx": {
        "dest": "conformance_ctx",
        "default": "cpu",
        "choices": ("cpu", "gpu"),
        "help": "the device",
    },
    "--snapshot-dir": {
        "dest": "conformance_snapshot_dir",
        "default": "snapshots",
        "metavar": "DIR",
        "help": "where snapshots of your own blocks are (default: ./snapshots)",
    },
    "--expected-failures": {
        "action": "append",
        "default": [],
        "dest": "conformance_expected_failures",
        "metavar": "FILE",
        "help": "TOML file of checks that must fail, each with its reason and a link; repeatable",
    },
    "--conformance-report": {
        "dest": "conformance_report",
        "type": Path,
        "metavar": "DIR",
        "help": "write a report into this folder: index.html to look at, report.json for machines",
    },
    "--seed": {
        "dest": "conformance_seed",
        "type": int,
        "default": 0,
        "metavar": "N",
        "help": "which weights, images and dropout masks the numeric checks use (default: %(default)s)",
    },
    "--time-limit": {
        "dest": "conformance_time_limit",
        "type": float,
        "default": Settings.time_limit,
        "metavar": "SECONDS",
        "help": "seconds one check may take before it counts as hung (default: %(default)s)",
    },
}
"""Flag -> what pytest is told of it."""


def add_options(parser: pytest.Parser) -> None:
    """Add the catalogue's options to pytest's parser."""
    group = parser.getgroup("conformance", "conformance of MXNet Gluon networks")
    for flag, settings in OPTIONS.items():
        group.addoption(flag, **settings)
