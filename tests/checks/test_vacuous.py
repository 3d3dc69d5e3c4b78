"""A check that did not do what its name says fails as vacuous; one that does not apply says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benches import bench, bench_of_block, run_check
from broken_blocks import INPUT_SHAPE, own
from conformance.contract.outcomes import NotApplicable, Vacuous
from conformance.experiments import variants
from flaws import Patch, Pooled, Small, after
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn


class Dropped(Pooled):
    """A dropout on values that are all 0."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Average each channel, let nothing pass, and drop half of it."""
        return F.Dropout(F.relu(-1 - F.abs(super().hybrid_forward(F, x))), p=0.5)


@pytest.mark.parametrize(
    ("check", "build", "says"),
    [
        ("behaviour.parameters_move", Pooled, "the network has no parameter"),
        ("behaviour.gradients_reach_every_parameter", Pooled, "the network has no gradient"),
        ("behaviour.dropout", Dropped, "only 0 values enter it"),
        ("files.export_round_trip", Pooled, "no parameter came back"),
    ],
)
def test_check_of_nothing_is_vacuous(check: str, build: Callable[[], Any], says: str) -> None:
    """A check that had nothing to look at proves nothing, and fails."""
    of_nothing = bench_of_block(build)
    with pytest.raises(Vacuous, match=says):
        run_check(check, of_nothing)


@pytest.mark.parametrize(
    ("check", "change", "says"),
    [
        ("execution.predict_mode", lambda F, y: y * 0, "are all zero"),
        ("execution.predict_mode", lambda F, y: y / 0 - y / 0, "is not finite"),
        ("execution.train_mode", lambda F, y: y / 0, "is not finite"),
    ],
)
def test_logits_that_prove_nothing_fail(check: str, change: Callable[[Any, Any], Any], says: str) -> None:
    """Logits that are zero or not finite are equal in every variant, and prove nothing."""
    with pytest.raises(AssertionError, match=says):
        run_check(check, bench(own(after("", change))), "hybridized")


def test_equal_logits_make_batch_independence_vacuous() -> None:
    """Where all samples give the same logits, nothing can depend on the batch."""
    with pytest.raises(Vacuous, match="different samples give the same logits"):
        run_check("behaviour.batch_independence", bench(own(after("", lambda F, y: y * 0))))


def hybridized(**flags: Any) -> Any:
    """Return a small block that has run as a cached graph."""
    net = Small()
    net.initialize()
    net.hybridize(**flags)
    net(mx.nd.zeros((1, *INPUT_SHAPE)))
    return net


def imperative(patch: Patch) -> Any:
    """Return a small block that has run imperatively."""
    net = Small()
    net.initialize()
    patch(net)
    net(mx.nd.zeros((1, *INPUT_SHAPE)))
    return net


@pytest.mark.parametrize(
    ("variant", "net", "says"),
    [
        ("imperative", hybridized, "imperative was asked for, but the network ran as a cached graph"),
        ("imperative", lambda: imperative(lambda net: net.conv.hybridize()), "but conv ran as a cached graph"),
        ("hybridized", lambda: imperative(lambda net: None), "no cached graph was built: it ran imperatively"),
        ("static_alloc", hybridized, "static_alloc was asked for, but the cached graph's flags are"),
        ("static_shape", lambda: hybridized(static_alloc=True), "static_shape was asked for, but"),
        ("hybridized", lambda: hybridized(static_alloc=True), "hybridized was asked for, but"),
        ("imported", hybridized, "imported was asked for, but a Small ran"),
    ],
)
def test_prove_refuses_what_ran_otherwise(variant: str, net: Callable[[], Any], says: str) -> None:
    """A variant that was not used is vacuous."""
    with pytest.raises(Vacuous, match=says):
        variants.prove(variant, net())


def test_prove_accepts_what_ran() -> None:
    """A network that ran as asked proves it."""
    variants.prove("imperative", imperative(lambda net: None))
    variants.prove("hybridized", hybridized())
    variants.prove("static_shape", hybridized(static_alloc=True, static_shape=True))


def test_fusion_does_not_apply_where_nothing_fuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with nothing to fuse, or MXNet without oneDNN or what asks for it, is not applicable."""
    with pytest.raises(NotApplicable, match="oneDNN found nothing to fuse"):
        run_check("execution.predict_mode", bench_of_block(Pooled), "fused")
    with monkeypatch.context() as off, pytest.raises(NotApplicable, match="switched off by MXNET_MKLDNN_ENABLED=0"):
        off.setenv("MXNET_MKLDNN_ENABLED", "0")
        run_check("execution.predict_mode", bench_of_block(Pooled), "fused")
    with monkeypatch.context() as old, pytest.raises(NotApplicable, match=r"no HybridBlock\.optimize_for"):
        old.delattr(mx.gluon.HybridBlock, "optimize_for")
        run_check("execution.predict_mode", bench_of_block(Pooled), "fused")
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda self, name: False)
    with pytest.raises(NotApplicable, match="no oneDNN"):
        run_check("execution.predict_mode", bench(own(lambda net: None)), "fused")


@pytest.mark.parametrize("check", ["behaviour.dropout", "behaviour.running_statistics"])
def test_check_of_an_absent_layer_does_not_apply(check: str) -> None:
    """A network without the layer a check is about is not applicable."""
    with pytest.raises(NotApplicable, match="the network has no "):
        run_check(check, bench_of_block(Pooled))
