"""Files: the subject's parameters saved and loaded, and its exported network read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.experiments import variants
from conformance.experiments.runs import Runs
from conformance.graphs.tracing import parameters_of, structural_names
from conformance.tensors.comparison import Array, Summary
from conformance.tensors.recording import read
from reference.runtime.mxnet_compat import mx


class Files:
    """Writes a network to disk and reads it back.

    Args:
        runs: Of the network.
    """

    def __init__(self, runs: Runs) -> None:
        """Take the runs."""
        self.runs, self.network = runs, runs.network

    @contextmanager
    def saved_parameters(self) -> Iterator[Path]:
        """A parameter file of the subject, removed afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.params"
            self.runs.net(train=False).save_parameters(str(path))
            yield path

    @contextmanager
    def foreign_parameters(self) -> Iterator[Path]:
        """A parameter file of another small network, removed afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "foreign.params"
            net = mx.gluon.nn.Dense(3, in_units=2)
            net.initialize(ctx=self.network.ctx)
            net.save_parameters(str(path))
            yield path

    def loaded_parameters(self, path: Path) -> dict[str, Summary]:
        """Load a file into a new instance and summarize what it then holds."""
        net = self.network.build()
        net.load_parameters(str(path), ctx=self.network.ctx)
        return {name: Summary.of(read(p.data())) for name, p in parameters_of(net).items()}

    def loads(self, path: Path) -> bool:
        """Whether a new instance accepts a file."""
        try:
            self.network.build().load_parameters(str(path), ctx=self.network.ctx)
        except Exception:
            return False
        return True

    def exported_parameters(self) -> dict[str, Summary]:
        """Summarize what the imported network holds, by structural name."""
        names = self.runs.exported.names
        parameters = self.runs.exported.load(self.network.ctx).collect_params()
        return {names[full]: Summary.of(read(p.data())) for full, p in parameters.items() if full in names}

    def logits_after_cast_and_export(self) -> tuple[Array, Array]:
        """Logits of the network cast to float64, and of its exported and imported copy."""
        wide = self.runs.in_float64
        images = wide.network.images(wide.network.shape(1, train=True))
        net = wide.net(train=False)
        names = structural_names(net)
        net.hybridize()
        expected, exported = net(images).asnumpy(), variants.export(net, images, names)
        del net  # a large network in float64 does not fit twice into a worker's memory
        return expected, exported.load(wide.network.ctx)(images).asnumpy()
