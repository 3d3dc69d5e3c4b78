"""Which devices the command line chooses, and what is refused before anything is built."""

from __future__ import annotations

import pytest

from reference.__main__ import main
from reference.commands import commands, options
from reference.runtime.mxnet_compat import mx


def test_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--ctx gpu:1` is the second GPU, `gpu:0,2` the first and the third, `auto` the best device."""
    monkeypatch.setattr(options, "try_gpu", lambda index=0: mx.gpu(index))
    assert [mx.gpu(1)] == options.contexts("gpu:1")
    assert [mx.gpu(0), mx.gpu(2)] == options.contexts("gpu:0,2")
    assert [mx.gpu(0)] == options.contexts("gpu") == options.contexts("auto")
    assert [mx.cpu()] == options.contexts("cpu")


def test_mixed_precision_starts_before_the_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a GPU, `--amp` changes MXNet's operators before anything is built of them."""

    def start() -> None:
        raise ValueError("started")

    monkeypatch.setattr(options, "try_gpu", lambda index=0: mx.gpu(index))
    monkeypatch.setattr(commands, "start_mixed_precision", start)
    with pytest.raises(SystemExit) as end:
        main(["train", "alexnot", "--amp"])
    assert (2, "python -m reference: started\n") == (end.value.code, capsys.readouterr().err)


def test_batch_too_small_for_all_is_refused() -> None:
    """Where the last batch has no image for some device of some worker, the run does not begin."""
    commands._require_images_for_all(36, 16, workers=2, devices=2)
    with pytest.raises(ValueError, match="--batch-size 16: the last batch has 3 of the 35 images, and each of 2 dev"):
        commands._require_images_for_all(35, 16, workers=2, devices=2)
