"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

UNFINISHED = ".unfinished"


def replace_file(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file that takes its place only once it is on the disk; until then the old one stays.

    Args:
        path: The file.
        write: Writes its content.

    Raises:
        OSError: If it cannot be written, for example as the disk is full; nothing is left behind.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
