"""Writing files that a command was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geneb_jax.errors import UsageError


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
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a pipe or a terminal
            path.write_text(text, encoding="utf-8")
            return
        # always of one name: what a killed command left, the next one writes over
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path.resolve() if path.is_symlink() else path)
