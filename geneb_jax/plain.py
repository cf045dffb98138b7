"""Files that a user names: read only where they are files of a size that such a file can have, and written whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from geneb_jax.errors import DataError

MOST = 256 * 2**20
"""Bytes. A CSV of groups for every test row of GENEB has 20 MB."""


def require_file(path: Path, *, most: int = MOST) -> None:
    """Raise DataError where a path is a folder, a device, a pipe or too large; what is absent is for the caller."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe, which may have no end"
        raise DataError(f"this is {kind}, and not a file", where=str(path), cure="name a file that lies on a disk")
    if found.st_size > most:
        raise DataError(
            f"the file has {found.st_size:,} bytes, and at most {most:,} are read",
            where=str(path),
            cure="check that it is the file that is meant",
        )


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file at one instant, text as UTF-8, and the folders above it where they are missing."""
    data = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # a pipe or a terminal
        path.write_bytes(data)
        return
    # always of one name: what a killed command left, the next one writes over
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data)
    os.replace(partial, path.resolve() if path.is_symlink() else path)
