"""The errors a user can meet. Each says what happened, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses of the ``geneb`` command; part of its contract."""

    DONE = 0
    USAGE = 2
    BAD_INPUT = 3
    SOME_FAILED = 4
    INTERRUPTED = 130


class GenebError(Exception):
    """Base of every error this package raises on purpose.

    ``what`` is one sentence, ``where`` names the file, row, key or task, ``cure`` is what to do.
    """

    exit_code: ExitCode = ExitCode.BAD_INPUT

    def __init__(self, what: str, *, where: str | None = None, cure: str | None = None) -> None:
        self.what = what
        self.where = where
        self.cure = cure
        super().__init__(what, where, cure)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.cure:
            lines.append(f"  what to do: {self.cure}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments do not survive the default pickling, and workers send errors home
        return (_rebuild, (type(self), self.what, self.where, self.cure))


def _rebuild(kind: type[GenebError], what: str, where: str | None, cure: str | None) -> GenebError:
    return kind(what, where=where, cure=cure)


class UsageError(GenebError):
    """The call itself is wrong: contradictory or malformed options."""

    exit_code = ExitCode.USAGE


class DataError(GenebError):
    """A task file, split, sequence or label that cannot be used."""


class MissingDataError(GenebError):
    """Data that is neither on disk nor reachable on the hub."""


class UnknownNameError(GenebError):
    """A task, suite, encoder or probe nobody has heard of; lists the near names."""


class EncoderError(GenebError):
    """An encoder that cannot be loaded, or whose vectors fail the checks."""


class StoreError(GenebError):
    """A store that is damaged, foreign, incomplete or not writable."""


class RunError(GenebError):
    """A run directory that cannot be read or written."""


class ProbeError(GenebError):
    """A probe specification or a set of arrays no probe can be fitted to."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, listing: str | None = None) -> UnknownNameError:
    """The error for a failed look-up: names what was asked for and the nearest names that exist.

    ``listing`` is the command that prints all of them, such as ``geneb tasks``.
    """
    names = sorted(set(known))
    lowered = {n.lower(): n for n in names}
    near = [lowered[n] for n in difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.5)]
    if not near:
        near = [n for n in names if name.lower() in n.lower()][:5]
    if near:
        cure = f"did you mean {', '.join(near)}?"
    elif len(names) <= 12:
        cure = f"known: {', '.join(names) or 'none'}"
    else:
        cure = f"{len(names)} are known, such as {', '.join(names[:3])}"
    if listing:
        cure += f"{'' if near else '.'} `{listing}` lists them all."
    return UnknownNameError(f"there is no {kind} called {name!r}", cure=cure)
