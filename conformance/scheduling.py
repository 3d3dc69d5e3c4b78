"""How pytest-xdist spreads the catalogue: all checks of a subject in one process, so that its network is built once."""

from __future__ import annotations

from xdist.scheduler.loadscope import LoadScopeScheduling

from conformance.summary import CASE


class SubjectScheduling(LoadScopeScheduling):
    """Hand out whole subjects.

    xdist's own ``--dist loadgroup`` reads the group from a suffix that it adds to the node id, which newer
    versions of pytest do not let it do.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Name the subject of a case, or the test itself where it is none."""
        match = CASE.search(nodeid.partition("@")[0])
        return match["subject"] if match else nodeid
