"""Writing files that a command was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geneb_jax.errors import UsageError
from geneb_jax.plain import write_whole


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Raise UsageError, naming the file or else `where`, in place of what the system says when it cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"the file cannot be written: {reason}", where=str(error.filename or where)) from error


def write_text(path: Path, text: str) -> None:
    """Write a file at one instant, and the folders above it where they are missing. Raises UsageError."""
    with writing(path):
        write_whole(path, text)
