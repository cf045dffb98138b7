"""The result of a grid run as one JSON document; every key is described here.

``{"geneb_type": "benchmark-grid", "geneb_version": 1, …}``. Seconds are wall seconds; figures of the whole grid are
extrapolated wherever `scale` is below 1, and `Phase.model` says by what.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.record import open_document
from geneb_jax.errors import DataError

TYPE, VERSION = "benchmark-grid", 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(_Model):
    """How much work."""

    encoders: int
    tasks: int
    cells: int = Field(description="(encoder, task) pairs")
    rows: int = Field(description="rows of all tasks, both splits")
    bytes: int = Field(description="of all embeddings, float32")
    widths: list[int] = Field(description="of the encoders, sorted")


class Phase(_Model):
    """One phase of the run."""

    name: str
    seconds: float = Field(description="measured in this run")
    whole_seconds: float = Field(description="of the whole grid; extrapolated where the scale is below 1")
    observations: int = Field(description="timed calls that the model was fitted on")
    model: dict[str, float] = Field(description="seconds per unit of each part of the cost; empty where all was run")
    held_out_error: float | None = Field(
        description="predicted over measured seconds, less 1, over all calls, each predicted from the others"
    )
    held_out_largest: float | None = Field(description="the same for the call that took longest")


class Floors(_Model):
    """What the work costs at least on this machine, at rates measured in the same run."""

    disk_bytes_per_s: float = Field(description="reading a file in order that was dropped from the page cache before")
    matrix_flops_per_s: float
    read_s: float = Field(description="the run's embeddings at that rate")
    gram_s: float = Field(description="one symmetric Gram matrix of each cell's training rows")
    whole_read_s: float
    whole_gram_s: float


class GridRival(_Model):
    """A rival on some of the cells."""

    name: str
    cells: list[list[int]] = Field(description="n, m, d, k of the cells timed")
    seconds: list[float] = Field(description="of each, all fits and scores")
    ours: list[float] = Field(description="our seconds of the same cells, whole fits by themselves")
    whole_seconds: float | None = Field(description="of the whole grid, extrapolated; null where it was not asked")
    processes: int
    held_out_error: float | None
    note: str


class GridResult(_Model):
    """A run of the grid."""

    scale: float
    row_share: float = Field(description="share of each task's rows that the run kept")
    run: Size
    whole: Size
    phases: list[Phase]
    floors: Floors
    rivals: list[GridRival]
    streamed: int = Field(description="cells whose vectors did not fit the memory budget and were read in blocks")
    faults: list[str] = Field(description="records without a score, in words")
    resamples: int
    mcc_wanted: list[float] = Field(description="5, 25, 50, 75, 95 % of the MCC at full data that was drawn for")
    mcc_reached: list[float] = Field(description="the same of what the fits reached")
    task_sizes: dict[str, int] = Field(description="tasks by where their rows come from; benchmarks/grid/shape.py")
    disk_bytes: int = Field(description="the most that lies on the disk at a time, asked for beforehand")
    sessions: int = Field(description="1, or more where the run was interrupted and taken up again")
    peak_memory: int | None
    device: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    date: str
    load: float | None = Field(description="one-minute load average when the run began")
    busy: bool = Field(description="whether other work ran on the machine then: such figures are not to be quoted")

    @property
    def exact(self) -> bool:
        """Whether the whole grid ran, so that nothing is extrapolated."""
        return self.scale == 1

    def phase(self, name: str) -> Phase:
        """A phase by name."""
        return next(phase for phase in self.phases if phase.name == name)


def dump_grid(result: GridResult, path: Path) -> None:
    """Write the document."""
    body = {"geneb_type": TYPE, "geneb_version": VERSION, **result.model_dump(mode="json")}
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_grid(path: Path) -> GridResult:
    """Read and validate the document. Raises DataError."""
    body = open_document(path, TYPE, VERSION)
    try:
        return GridResult.model_validate({k: v for k, v in body.items() if not k.startswith("geneb_")})
    except ValidationError as error:
        raise DataError(f"the result does not follow the format: {error}", where=path.name) from error
