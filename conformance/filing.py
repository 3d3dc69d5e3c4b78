"""Files: the subject's parameters saved and loaded, and its exported network read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.comparison import Summary
from conformance.recording import read
from conformance.schooling import School
from conformance.tracing import structural_names
from reference.mxnet_compat import mx


class Filing(School):
    """A runner that also writes its subject to disk and reads it back."""

    @contextmanager
    def saved_parameters(self) -> Iterator[Path]:
        """A parameter file of the subject, removed afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.params"
            self.net(train=False).save_parameters(str(path))
            yield path

    @contextmanager
    def foreign_parameters(self) -> Iterator[Path]:
        """A parameter file of another small network, removed afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "foreign.params"
            net = mx.gluon.nn.Dense(3, in_units=2)
            net.initialize(ctx=self.ctx)
            net.save_parameters(str(path))
            yield path

    def loaded_parameters(self, path: Path) -> dict[str, Summary]:
        """Load a file into a new instance and summarize what it then holds."""
        net = self.build()
        net.load_parameters(str(path), ctx=self.ctx)
        names = structural_names(net)
        return {names[full]: Summary.of(read(p.data())) for full, p in net.collect_params().items()}

    def loads(self, path: Path) -> bool:
        """Whether a new instance accepts a file."""
        try:
            self.build().load_parameters(str(path), ctx=self.ctx)
        except Exception:
            return False
        return True

    def exported_parameters(self) -> dict[str, Summary]:
        """Summarize what the imported network holds, by structural name."""
        names = self.exported.names
        parameters = self.exported.load(self.ctx).collect_params()
        return {names[full]: Summary.of(read(p.data())) for full, p in parameters.items() if full in names}
