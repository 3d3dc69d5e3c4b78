"""Recordings: what a network computed, kept as digests and small summaries instead of tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from conformance.tensors.comparison import Array, Summary
from conformance.tensors.label import Label
from reference.runtime.mxnet_compat import mx


class _Shared:
    """Lets NumPy read an MXNet array in place, through DLPack."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, stream: Any = None) -> Any:
        return self.array.to_dlpack_for_read()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def read(array: Any) -> Array:
    """An MXNet array as NumPy: in place where its memory is the CPU's, a copy otherwise."""
    if array.context.device_type == "cpu" and array.shape:
        array.wait_to_read()
        with contextlib.suppress(mx.MXNetError):  # memory in oneDNN's own layout cannot be shared
            return np.from_dlpack(_Shared(array))
    return np.asarray(array.asnumpy())


class Notes(Protocol):
    """Whatever takes tensors as they are computed."""

    def note(self, label: Label, array: Any) -> None:
        """Take one tensor (NumPy or MXNet)."""


class Everything:
    """Names of which every one is among them."""

    def __contains__(self, name: object) -> bool:
        """Say so."""
        return True


EVERYTHING = Everything()


@dataclass
class Recording:
    """Tensors in the order they were computed, as summaries; those named in ``keep`` also whole.

    With ``expected``, each tensor is compared with the summary of the same name there, bit for bit.
    """

    expected: Recording | None = None
    keep: Container[Label] = frozenset()
    summaries: dict[Label, Summary] = field(default_factory=dict)
    tensors: dict[Label, Array] = field(default_factory=dict)

    def note(self, label: Label, array: Any) -> None:
        """Add one tensor (NumPy or MXNet)."""
        values = array if isinstance(array, np.ndarray) else read(array)
        self.summaries[label] = Summary.of(values)
        if label in self.keep:
            self.tensors[label] = values.copy()

    def renamed(self, names: Mapping[str, str]) -> Recording:
        """The same tensors under other names of parameters."""

        def new(label: Label) -> Label:
            return label._replace(name=names.get(label.name, label.name))

        return Recording(
            summaries={new(label): summary for label, summary in self.summaries.items()},
            tensors={new(label): tensor for label, tensor in self.tensors.items()},
        )

    def different(self) -> list[Label]:
        """Labels whose bits differ from ``expected``, or that only one of the two has, in order."""
        if self.expected is None:
            return []
        labels = dict.fromkeys([*self.expected.summaries, *self.summaries])
        return [label for label in labels if self.expected.summaries.get(label) != self.summaries.get(label)]
