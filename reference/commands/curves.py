"""The curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reference.runtime.files import replace_file

CURVES = "curves.png"
PANELS = (
    ("cross-entropy of an image", (("loss", "train, in its step"), ("test_loss", "test"))),
    ("accuracy", (("train_accuracy", "train, in its step"), ("test_accuracy", "test"))),
)


def write_curves(history: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """Draw loss and accuracy over epochs.

    Args:
        history: The metrics of each epoch.
        folder: Gets `CURVES`.

    Yields:
        Where it is, or why there is none.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        yield "no curves: they need matplotlib, pip install gluon-conformance[train]"
        return
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for name, label in lines:
            axes.plot([row["epoch"] for row in history], [row[name] for row in history], marker="o", label=label)
        axes.set(title=title, xlabel="epoch", xlim=(0.5, history[-1]["epoch"] + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.legend()
    replace_file(folder / CURVES, lambda file: figure.savefig(file, format="png"))
    yield f"curves: {folder / CURVES}"
