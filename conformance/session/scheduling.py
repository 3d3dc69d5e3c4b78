"""How pytest-xdist spreads the catalogue: all checks of a subject in one process, so that its network is built once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from conformance.session.cases import Case, case_of


class SubjectScheduling(LoadScopeScheduling):
    """Hand out whole subjects.

    xdist's own ``--dist loadgroup`` reads the group from a suffix that it adds to the node id, which newer
    versions of pytest do not let it do.
    """

    def __init__(self, config: pytest.Config, log: Any, known: Mapping[str, Case]) -> None:
        """Keep the cases of the run, by id."""
        super().__init__(config, log)
        self.known = known

    def _split_scope(self, nodeid: str) -> str:
        """Name the subject of a case, or the test itself where it is none."""
        case = case_of(nodeid, self.known)
        return nodeid if case is None else case.subject.name
