"""Comparing recordings: what agrees, which layer is named for which fault, and what is said about it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.contract.subject import Subject
from conformance.contract.tolerances import RECORDED
from conformance.experiments.network import Network
from conformance.report.recordings import Verdicts, as_json, sections_table
from conformance.tensors.comparison import Array
from conformance.tensors.fingerprint import Fingerprint
from conformance.tensors.recording_diff import Comparison, compare_records, merged
from conformance.tensors.recording_file import SECTIONS, SubjectRecord, Tensor, Unreadable
from flaws import Patch, after, attribute, nn, setting, swap
from recorded_blocks import SHAPE, Deep, recording
from reference.runtime.mxnet_compat import mx

BOUND = RECORDED["forward"].bound
#: A fault in one layer, the layer that must be named, the sections that it must not touch.
FAULTS: dict[str, tuple[Patch, str, tuple[str, ...]]] = {
    "epsilon": (setting("features.5.1", eps=1.1e-5), "BatchNorm in features.5.1", ("predict",)),
    "stride of values": (after("features.0.0", lambda F, y: y * 1.001), "_mul_scalar in features.0.0", ()),
    "tiny": (after("features.7.2", lambda F, y: y + 1e-9), "_plus_scalar in features.7.2", ()),
    "backward": (attribute("features.5.4", "factor", 2.0), "Custom in features.5.4", ("forward", "predict")),
    "tiny in backward": (attribute("features.5.4", "factor", 1 + 1e-9), "Custom in features.5.4", ("forward",)),
    "blocked": (after("features.3.0", lambda F, y: F.BlockGrad(y)), "BlockGrad in features.3.0", ()),
    "pooled": (swap("features.4.3", lambda: nn.MaxPool2D(3, 1, 1)), "Pooling in features.4.3", ()),
    "momentum": (setting("features.2.1", momentum=0.8), "BatchNorm in features.2.1", ("forward", "backward")),
}


@pytest.fixture(scope="module")
def deep() -> SubjectRecord:
    """Return the recording of a right block."""
    return recording(Deep)


def tensor(values: Array, section: str = "forward", name: str = "x") -> Tensor:
    """Return a recorded tensor."""
    return Tensor(section, name, f"layer of {name}", Fingerprint.of(values), float(np.abs(values).max()))


def judged(expected: Array, actual: Array, section: str = "forward") -> Comparison:
    """Compare two recordings of one tensor."""
    return compare_records(
        *(SubjectRecord("mine", {}, (tensor(values, section),)) for values in (expected, actual)),
    )


def test_recording_agrees_with_itself_bit_for_bit(deep: SubjectRecord) -> None:
    """A second run of the same block gives the same file, dropout in layers and in functions notwithstanding."""
    again = recording(Deep)

    assert deep.text() == again.text()
    assert {"identical"} == {verdict.outcome for verdict in compare_records(deep, again).verdicts}
    assert set(SECTIONS) == {tensor.section for tensor in deep.tensors}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_by_its_layer(fault: str, deep: SubjectRecord) -> None:
    """A fault in one layer is refused, and that layer is the first that diverges."""
    patch, layer, untouched = FAULTS[fault]

    found = compare_records(deep, recording(Deep, patch=patch))

    assert found.first is not None
    assert layer == found.first.tensor.layer
    for section in untouched:
        assert not [verdict for verdict in found.section(section) if verdict.fails]


def test_changed_weight_is_named_by_its_layer(tmp_path: Path) -> None:
    """One weight of trained weights that differs by a tenth is seen at its layer, forward in both modes."""
    found = []
    for factor in (1.0, 1.1):
        path = tmp_path / f"{factor}.params"
        net = Network(Subject("mine", build=Deep, input_shape=SHAPE)).new()
        weight = net.features[6][0].weight
        values = weight.data().asnumpy().copy()
        values[1, 2, 1, 1] *= factor
        weight.set_data(mx.nd.array(values))
        net.save_parameters(str(path))
        found.append(recording(Deep, weights=path))

    result = compare_records(*found)

    assert result.first is not None
    assert "Convolution in features.6.0" == result.first.tensor.layer
    (first,) = [verdict.tensor.layer for verdict in result.section("predict") if verdict.fails][:1]
    assert "Convolution in features.6.0" == first


def test_other_number_of_classes_is_a_shape(deep: SubjectRecord) -> None:
    """Tensors of other shapes are told so."""

    def five(net: Any) -> None:
        net.output = nn.Dense(5)

    found = compare_records(deep, recording(Deep, patch=five))

    assert found.first is not None
    assert found.first.text == "FullyConnected in output: expected float64 (2, 4), actual float64 (2, 5)"


@pytest.mark.parametrize(
    ("factor", "outcome"), [(0.0, "identical"), (0.99, "within"), (1.01, "beyond"), (math.nan, "beyond")]
)
def test_largest_magnitude_has_the_tensors_own_bound(factor: float, outcome: str) -> None:
    """The largest magnitude may differ by the bound times the scale; a number that is not one never agrees."""
    expected, actual = np.array([4.0, 1.0]), np.array([4.0 * (1 + factor * BOUND), 1.0])

    assert [outcome] == [verdict.outcome for verdict in judged(expected, actual).verdicts]


@pytest.mark.parametrize(("factor", "outcome"), [(7.9, "within"), (8.1, "beyond")])
def test_projection_has_eight_times_the_bound(factor: float, outcome: str) -> None:
    """Differences that all projections see alike are held to eight times the bound."""
    expected = np.array([0.5, 1.0])
    actual = expected + np.array([factor * BOUND * math.sqrt(2), 0])
    (verdict,) = judged(expected, actual).verdicts

    assert outcome == verdict.outcome
    assert ("projection 1 expected " in verdict.text) == (outcome == "beyond")
    assert factor / 8 == pytest.approx(verdict.share, rel=1e-3)


def test_tensor_that_should_be_zero_is_held_to_zero() -> None:
    """Where all is zero, nothing else agrees, and JSON says so without an infinity."""
    found = judged(np.zeros(3), np.array([0, 0, 1e-30]))
    report = as_json(Verdicts((found,), {}))

    assert ["beyond"] == [verdict.outcome for verdict in found.verdicts]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_same_bits_agree_even_where_they_are_not_finite() -> None:
    """Infinity that both computed in the same places is the same bits."""
    assert judged(np.array([np.inf, 1]), np.array([np.inf, 1])).agrees


def test_missing_tensor_is_named(deep: SubjectRecord) -> None:
    """A tensor that only one of the two has is a failure, wherever it is missing."""
    shorter = replace(deep, tensors=tuple(t for t in deep.tensors if t.name != "Activation in features.3.2"))

    for pair, says in (((deep, shorter), "missing in B"), ((shorter, deep), "only in B")):
        found = compare_records(*pair)
        assert found.first is not None
        assert f"Activation in features.3.2: {says}" == found.first.text
        assert ["forward", "predict"] == [v.tensor.section for v in found.verdicts if v.outcome == "missing"]


def test_unexpected_tensor_stands_where_it_was_computed() -> None:
    """One that only B has comes behind its predecessor there, first of all, or behind another such."""
    a, b, c = (tensor(np.ones(1), name=name) for name in "abc")
    keys = [t.key for t in (a, b, c)]

    for right in ("abc", "bac", "cab"):
        names = {t.key: t for t in (tensor(np.ones(1), name=name) for name in right)}
        assert [f"forward/{name}" for name in right] == merged({keys[0]: a}, names)


def test_full_tensors_tell_difference_and_index(tmp_path: Path) -> None:
    """Where both have full tensors, every element is compared, and the largest difference has its index."""
    found = []
    for name, patch in (("a", attribute("features.5.4", "factor", 1.0)), ("b", setting("features.5.1", eps=1.1e-5))):
        (tmp_path / name).mkdir()
        found.append(recording(Deep, tmp_path / name, patch))

    assert compare_records(found[0], found[0]).agrees
    result = compare_records(*found)
    assert result.first is not None
    assert "BatchNorm in features.5.1" == result.first.tensor.layer
    assert " at (" in result.first.text
    assert RECORDED["forward"].provenance in result.first.text
    assert not compare_records(found[0], replace(found[1], whole=False)).agrees


def test_full_tensors_that_do_not_belong_are_refused(tmp_path: Path, deep: SubjectRecord) -> None:
    """A file of full tensors that is missing, damaged or of another recording is named."""
    right = recording(Deep, tmp_path)
    moved = replace(right.tensors[0], fingerprint=replace(right.tensors[0].fingerprint, dtype="float64"))
    summary = replace(moved.fingerprint.summary, checksum=1)
    other = replace(right, tensors=(replace(moved, fingerprint=replace(moved.fingerprint, summary=summary)),))

    with pytest.raises(Unreadable, match=r"mine\.npz: full tensors missing or damaged: forward/.* is not the tensor"):
        compare_records(right, other)
    with pytest.raises(Unreadable, match=r"absent/mine\.npz: full tensors missing or damaged"):
        compare_records(right, replace(right, folder=tmp_path / "absent"))
    (tmp_path / "mine.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:-100])
    with pytest.raises(Unreadable, match="full tensors missing or damaged"):
        compare_records(right, right)


def test_table_counts_every_tensor(deep: SubjectRecord) -> None:
    """One row a section, with all its tensors in one of the counts."""
    found = compare_records(deep, recording(Deep, patch=FAULTS["blocked"][0]))
    table = sections_table(found)
    columns = [list(column.cells) for column in table.columns]

    assert list(SECTIONS.values()) == columns[0]
    for place, section in enumerate(SECTIONS):
        counts = [int(str(column[place])) for column in columns[1:6]]
        assert len(found.section(section)) == counts[0] == sum(counts[1:])
    assert "BlockGrad in features.3.0" == columns[-1][0]


def test_json_names_tolerance_and_layer(deep: SubjectRecord) -> None:
    """The JSON has every tensor that is not bit-identical, and the tolerances with their provenance."""
    found = compare_records(deep, recording(Deep, patch=FAULTS["momentum"][0]))
    report = as_json(Verdicts((found,), {"other": "B"}))
    step = report["subjects"]["mine"]["sections"]["first step"]

    assert (False, {"other": "B"}) == (report["agree"], report["missing"])
    assert "BatchNorm in features.2.1" == report["subjects"]["mine"]["first_diverging_layer"]
    assert step["tensors"] == step["identical"] + len(step["different"])
    assert "other (not in B), mine (first diverging layer: BatchNorm in features.2.1)" in report["conclusion"]
    assert set(SECTIONS) == set(report["tolerances"])
