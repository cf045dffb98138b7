"""Timed calls of a run, kept in a file of one JSON object a line so that an interrupted run loses none."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.grid.shape import Cell, Grid
from geneb_jax.errors import StoreError


@dataclass(frozen=True)
class Call:
    """Seconds that one phase took for some cells; `session` counts the processes that worked on the run."""

    phase: str
    seconds: float
    cells: tuple[Cell, ...]
    session: int
    streamed: bool = False


class Calls:
    """All calls so far, and the encoders that are done. Open it with `open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.made: list[Call] = []
        self.done: set[str] = set()
        self.sessions = 0

    @classmethod
    def open(cls, path: Path, part: Grid) -> Calls:
        """Begin a session. Raises StoreError where the file is of another part of the grid."""
        calls, of = cls(path), _digest(part)
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            if line.endswith("}"):  # the last line of a killed run may be cut
                calls._take(json.loads(line), of)
        calls.sessions += 1
        calls._write({"session": calls.sessions, "of": of})
        return calls

    def _take(self, record: dict[str, Any], of: str) -> None:
        if "session" in record:
            if record["of"] != of:
                raise StoreError(
                    "this folder holds an interrupted run of another part of the grid",
                    where=str(self._path.parent),
                    cure="repeat its --scale, or give --store a new folder",
                )
            self.sessions = record["session"]
        elif "done" in record:
            self.done.add(record["done"])
        elif "forget" in record:
            self._drop(record["forget"])
        else:
            cells = tuple(Cell(*sizes) for sizes in record["cells"])
            self.made.append(Call(record["phase"], record["seconds"], cells, self.sessions, record["streamed"]))

    def add(self, phase: str, seconds: float, cells: Sequence[Cell], *, streamed: bool = False) -> None:
        """Take in one call."""
        self.made.append(Call(phase, seconds, tuple(cells), self.sessions, streamed))
        sizes = [[c.n, c.m, c.d, c.k] for c in cells]
        self._write({"phase": phase, "seconds": seconds, "cells": sizes, "streamed": streamed})

    @contextmanager
    def timing(self, phase: str, cells: Sequence[Cell]) -> Iterator[None]:
        """Time a block that ends well."""
        began = time.perf_counter()
        yield
        self.add(phase, time.perf_counter() - began, cells)

    def finish(self, encoder: str) -> None:
        """All of an encoder is probed."""
        self.done.add(encoder)
        self._write({"done": encoder})

    def forget(self, phase: str) -> None:
        """Drop the calls of a phase that is done anew."""
        self._drop(phase)
        self._write({"forget": phase})

    def of(self, phase: str) -> list[Call]:
        """The calls of one phase, in order."""
        return [call for call in self.made if call.phase == phase]

    def total(self) -> float:
        """Seconds of all calls."""
        return sum(call.seconds for call in self.made)

    def _drop(self, phase: str) -> None:
        self.made = [call for call in self.made if call.phase != phase]

    def _write(self, record: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")


def _digest(part: Grid) -> str:
    names = [(e.name, e.width) for e in part.encoders], [(t.id, t.n, t.m, t.k) for t in part.tasks]
    return hashlib.sha256(repr(names).encode()).hexdigest()
