"""A turn on a GPU: how the processes of a run share its devices."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO


class Turn:
    """A place on a device, held while a subject runs; freed also where the process is killed."""

    def __init__(self, device: int, slots: int, folder: Path | None = None) -> None:
        """Wait for one of ``slots`` places on a device."""
        folder = folder or Path(tempfile.gettempdir())
        self.files: list[IO[bytes]] = []
        paths = [folder / f"gluon-conformance-{os.getuid()}-gpu{device}-{slot}.lock" for slot in range(slots)]
        while not any(self._take(path) for path in paths):
            time.sleep(0.05)

    def _take(self, path: Path) -> bool:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self.files.append(file)
        return True

    def end(self) -> None:
        """Give the place back."""
        for file in self.files:
            file.close()
        self.files.clear()
