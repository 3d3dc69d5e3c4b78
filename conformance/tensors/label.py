"""What the tensors of a run are called."""

from __future__ import annotations

from typing import NamedTuple


class Label(NamedTuple):
    """What a tensor of a run is.

    Attributes:
        step: The training step, or the run in predict mode, from 1 on.
        kind: What it is of the step: ``logits``, ``gradient``, ``parameter``, ...
        name: The parameter that it belongs to, or the shape of a run's images.
    """

    step: int
    kind: str
    name: str = ""

    def __str__(self) -> str:
        """Put it into words."""
        return f"logits of run {self.step} {self.name}" if self.kind == "run" else f"step {self.step}: {self.words}"

    @property
    def words(self) -> str:
        """What it is of its step."""
        return {"parameter": self.name, "gradient": f"gradient of {self.name}"}.get(self.kind, self.kind)

    @property
    def of_logits(self) -> bool:
        """Whether it is an output of the network."""
        return self.kind == "run" or "logits" in self.kind
