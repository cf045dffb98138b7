"""The outermost door of the command: output that cannot fail half way, and a sentence for every foreign error."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TextIO

from geneb_jax.backend import one_line
from geneb_jax.errors import GenebError

DEBUG = "GENEB_DEBUG"
"""Set to 1: the traceback of an unforeseen error is printed below its sentence."""

_CURES = {
    errno.ENOSPC: "free some space, or write to another disk; run the same command again to resume",
    errno.EDQUOT: "free some of the quota, or write to another disk; run the same command again to resume",
    errno.EROFS: "the disk is read-only: name a folder that can be written",
    errno.EACCES: "change the permissions, or name another file or folder",
    errno.EPERM: "change the permissions, or name another file or folder",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "name a folder, not a file",
    errno.ENOENT: "check the name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ELOOP: "a link leads to itself: name the file that is meant",
}


class _Output(io.RawIOBase):
    """A stream of bytes whose reader may go away, or whose disk may fill, while the work goes on.

    What a closed pipe would have got is dropped, as for `geneb tasks | head`; any other failure is kept in `failure`
    and told at the end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._gone = False
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        if not self._gone:
            try:
                return os.write(self._descriptor, view)
            except OSError as error:
                self._gone = True
                if error.errno != errno.EPIPE:
                    self.failure = error
        return view.nbytes


def open_streams() -> list[_Output]:
    """Let standard output and standard error take any letter and outlive their reader; what fails is in the result.

    A letter that the encoding lacks is written as a question mark. Streams that a test or a notebook has put there are
    left as they are.
    """
    guarded = []
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:  # closed by the caller: what would be printed has no reader
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            try:
                if stream.fileno() != descriptor:
                    continue
                stream.flush()
            except (OSError, ValueError):
                pass
            raw = _Output(descriptor)
            guarded.append(raw)
            wrapped = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors="replace",
                line_buffering=stream.line_buffering or descriptor == 2,
                write_through=stream.write_through,
            )
            setattr(sys, name, wrapped)
    return guarded


def close_streams(guarded: list[_Output]) -> GenebError | None:
    """Write out what is buffered; the error to tell when the results did not reach their file."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for raw in guarded:
        if raw.failure is not None and raw.fileno() == 1:
            return GenebError(
                f"what was printed could not be written: {raw.failure.strerror}",
                where="standard output",
                cure=f"{_CURES.get(raw.failure.errno or 0, 'print to another place')}; files of the command are whole",
            )
    return None


def in_words(error: Exception) -> GenebError:
    """A foreign error as one of ours: what happened, where, and what to do."""
    if isinstance(error, MemoryError):
        return GenebError(
            f"memory ran out: {one_line(error)}",
            where=_place(error),
            cure="ask for less at once: fewer tasks or --resamples, a smaller --memory-budget or batch_size; what is "
            "finished is kept",
        )
    if isinstance(error, RecursionError):
        return GenebError("a file is nested too deeply to be read", where=_place(error), cure="check the files named")
    if isinstance(error, OSError) and error.errno is not None:
        name = error.filename if error.filename is not None else None
        return GenebError(
            f"the system refused: {error.strerror or one_line(error)}",
            where=str(name) if name is not None else _place(error),
            cure=_CURES.get(error.errno, "check the file or folder named"),
        )
    if isinstance(error, ImportError):
        return GenebError(
            f"a package that this needs cannot be imported: {one_line(error)}",
            where=_place(error),
            cure="install or mend it; `geneb doctor` shows what is here",
        )
    last = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)][-1:]
    if "initialize backend" in str(error) or "jax" in "".join(last).split("."):
        kept = _keep_traceback(error)
        return GenebError(
            f"JAX refused: {type(error).__name__}: {one_line(error)}",
            where=_place(error),
            cure="check the environment variables JAX_… and XLA_FLAGS; `geneb doctor` shows what JAX finds; " + kept,
        )
    kept = _keep_traceback(error)
    return GenebError(
        f"the command met an error that nobody foresaw: {type(error).__name__}: {one_line(error)}",
        where=_place(error),
        cure=f"check the files and options named; {kept}. What is finished is kept",
    )


def debugging() -> bool:
    """Whether GENEB_DEBUG asks for tracebacks."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def _place(error: BaseException) -> str | None:
    """The innermost line of ours that the error passed."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = frame.f_globals.get("__name__", "")
        if name.startswith("geneb_") and name != "geneb_jax.cli.main":
            found = f"{name}, line {line}"
    return found


def _keep_traceback(error: Exception) -> str:
    """Keep the traceback in a file, for a report; says where."""
    if debugging():
        return "the traceback is above"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="geneb-error-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
        return f"the traceback for a report is in {Path(file.name)}"
    except OSError:
        return f"{DEBUG}=1 prints the traceback for a report"
