"""Right blocks of one's own are accepted: with what is not trained, and with layers that few values enter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benches import bench, run_check
from conformance import CHECKS, Check, Subject
from conformance.worker.bench import Bench
from reference.runtime.mxnet_compat import mx

nn = mx.gluon.nn


class PartlyFrozen(mx.gluon.HybridBlock):
    """Images (N, 3, H, W) to logits (N, 5); a layer is kept as it is, and 16 values of an image enter the Dropout."""

    def __init__(self) -> None:
        """Create the layers: not trained are a convolution, a BatchNorm's gamma and a constant."""
        super().__init__()
        with self.name_scope():
            self.half = self.params.get_constant("half", mx.nd.array([0.5]))
            self.kept = nn.Conv2D(16, 3, padding=1)
            self.norm = nn.BatchNorm(scale=False)
            self.conv = nn.Conv2D(16, 3, padding=1, use_bias=False)
            self.plain = nn.BatchNorm(center=False)
            self.dropout = nn.Dropout(0.2)
            self.output = nn.Dense(5)
        self.kept.weight.grad_req = "null"  # but not its bias, which the BatchNorm cancels
        self.conv.weight.lr_mult = 0.5

    def hybrid_forward(self, F: Any, x: Any, half: Any) -> Any:
        """Convolve and normalize twice, average and classify."""
        x = F.relu(self.plain(self.conv(F.relu(self.norm(self.kept(x))))))
        x = self.dropout(F.Pooling(x, pool_type="avg", global_pool=True, kernel=(1, 1)))
        return F.broadcast_mul(self.output(x), half)


OWN = [
    pytest.param(check, variant, id="-".join(filter(None, (check.id, variant))))
    for check in CHECKS
    for variant in check.variants or ("",)
    if "own" in check.kinds and not check.ctx and check.id != "structure.snapshot"
]


@pytest.fixture(scope="module")
def on() -> Iterator[Bench]:
    """Give the block's bench."""
    yield bench(Subject("mine", build=PartlyFrozen, input_shape=(3, 32, 32)))


@pytest.mark.parametrize(("check", "variant"), OWN)
def test_right_block_is_accepted(check: Check, variant: str, on: Bench) -> None:
    """What asks for no gradient need not learn; a Dropout is given as many images as its fraction takes."""
    run_check(check, on, variant)
