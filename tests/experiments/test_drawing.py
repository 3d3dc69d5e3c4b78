"""What is drawn of a network: its graph, and where the error from its reference begins and how it goes on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benches import bench
from conformance.contract.subject import Subject
from conformance.worker.bench import drawn as drawn_by_worker
from flaws import Small
from reference.runtime.mxnet_compat import mx
from small_networks import BUILD, claim, own


def other_epsilon(**_: Any) -> Any:
    """Return a small network whose BatchNorm has another epsilon."""
    net = Small()
    net.norm._kwargs["eps"] = 1e-2
    return net


class Wider(Small):
    """A small network with one more operator, before all others."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Double the images and compute the logits."""
        return super().hybrid_forward(F, x * 2)


def drawing_of(subject: Subject) -> Any:
    """Return the drawing of a subject."""
    return json.loads(bench(subject).run(drawn_by_worker))


@cache
def drawn(name: str) -> Any:
    """Return the drawing of one of the subjects below."""
    subject = {
        "own": own("small", BUILD["small"]),
        "resnet": own("resnet", BUILD["resnet"]),
        "equal": claim("small", BUILD["small"]),
        "epsilon": claim("small", other_epsilon),
        "wider": claim("small", Wider),
    }[name]
    return drawing_of(subject)


def test_graph_is_drawn_with_its_connections() -> None:
    """Every operator with layer, shape, what tells it from its like, and what it reads."""
    nodes = drawn("resnet")["nodes"]
    first = {"operator": "Convolution", "layer": "features.0", "attributes": "kernel=(7,7) stride=(2,2) num_filter=16"}
    assert first | {"shape": [1, 16, 16, 16], "inputs": [-1]} == nodes[0]
    assert any(node["operator"] == "add" and len(node["inputs"]) == 2 for node in nodes)


@pytest.mark.parametrize("name", ["own", "resnet"])
def test_fused_graph_is_compared_layer_by_layer(name: str) -> None:
    """The fused operators have small errors, each at the last operator that it stands for; own blocks no reference."""
    drawing = drawn(name)
    assert {} == drawing["reference"]
    assert 5 <= len(drawing["fused"]) < len(drawing["nodes"])
    assert str(len(drawing["nodes"]) - 1) in drawing["fused"]
    assert all(0 <= error < 1e-5 for error in drawing["fused"].values())


def test_error_of_a_claim_begins_where_it_parts() -> None:
    """Before the wrong layer there is none, from there on there is, also where weights cannot be matched by hash."""
    errors = drawn("epsilon")["reference"]
    assert 0 == errors["0"]
    assert all(error > 1e-4 for place, error in errors.items() if place != "0")
    assert {0.0} == set(drawn("equal")["reference"].values())
    assert {} == drawn("wider")["reference"]


def test_weights_of_a_user_are_not_compared(tmp_path: Path) -> None:
    """They fit the reference only where the graphs are equal."""
    net = Small()
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.save_parameters(str(tmp_path / "mine.params"))
    subject = Subject("mine", Small, input_shape=(3, 32, 32), reference=Small, weights=tmp_path / "mine.params")
    assert {} == drawing_of(subject)["reference"]


def test_build_without_onednn_has_no_fused_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is drawn all the same."""
    monkeypatch.setenv("MXNET_MKLDNN_ENABLED", "0")
    drawing = drawing_of(own("small", BUILD["small"]))
    assert {} == drawing["fused"]
    assert 7 == len(drawing["nodes"])
