"""The result format: one JSON document per run, one `Row` per benchmark; every key is described here.

The document is ``{"geneb_type": "benchmark-results", "geneb_version": 1, "rows": [Row, …]}``. Times are wall
seconds unless the key says otherwise. Keys that a row has no figure for hold null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geneb_jax.errors import DataError

TYPE, VERSION = "benchmark-results", 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Model):
    """The size of the work."""

    name: str = Field(description="workload: task and encoder with their subset")
    n: int = Field(description="training rows")
    m: int = Field(description="test rows")
    d: int = Field(description="width of the embeddings")
    k: int = Field(description="classes")
    lanes: int = Field(description="probes asked for, repeated ones included")


class Steady(_Model):
    """Steady calls."""

    median: float
    min: float
    max: float
    repeats: int


class Rival(_Model):
    """One rival and its seconds at each thread setting."""

    name: str
    dtype: str = Field(description="precision the rival computes in, as seen from its coefficients")
    seconds: dict[str, float] = Field(description="setting -> seconds for the whole work")
    as_shipped: float | None = Field(description="seconds at the setting the library comes with")
    best: float | None = Field(description="fewest seconds over the settings")
    scaled: str | None = Field(default=None, description="how the time was extrapolated, null when it was not")
    note: str | None = Field(default=None, description="what the rival did not reach, or why it was left out")


class Check(_Model):
    """Correctness, asserted in the same process on the same results."""

    ok: bool
    reference: str = Field(description="what the optimum was taken from")
    reference_bound: float = Field(description="proven bound on the reference's own relative distance from the optimum")
    gap: float = Field(description="largest (F - F_ref)/F_ref over the lanes, both evaluated in float64")
    rows_compared: int = Field(description="test rows over the checked lanes with a margin of at least 1e-6")
    rows_tied: int = Field(description="rows with a smaller margin: the optimum does not decide their class")
    rows_different: int = Field(description="of those, rows predicted differently from the reference")
    mcc_difference: float = Field(
        description="largest |MCC - MCC_ref| over the lanes, tied rows counted as in the reference"
    )
    trouble: list[str] = Field(default_factory=list, description="what failed, empty when ok")


class Target(_Model):
    """A goal set beforehand, and whether this run met it."""

    measure: str
    value: float | None
    sense: Literal["≥", "≤"]
    bound: float
    met: bool | None = Field(description="null at toy size, where no goal applies")


class Ceilings(_Model):
    """What the machine reached in the same run."""

    copy_bytes_per_s: float = Field(description="bytes read and written by a large float32 copy, per second")
    matrix_flops_per_s: float = Field(description="fastest float32 product: of two large squares, or XᵀX of this X")
    gram_s: dict[str, float] = Field(description="XᵀX of this X: 'xla' and 'numpy'")
    floor_s: float = Field(description="longer of flops / matrix rate and bytes / copy rate")
    fraction: float = Field(description="floor_s / steady median: 1 is the hardware's limit")


class Memory(_Model):
    """Resident memory of a fresh process that loads X and runs our side alone."""

    peak_bytes: int = Field(description="largest resident size of the process")
    before_bytes: int = Field(description="resident size with libraries and X loaded, before the fit")
    allowed_bytes: int = Field(description="1.5 × bytes_X + 300 MB")
    kept_bytes: int | None = Field(
        None, description="largest resident size of a second such process, which finds its programs compiled"
    )


class Row(_Model):
    """One benchmark's outcome."""

    name: str
    what: str = Field(description="the work in one sentence")
    size: Literal["toy", "real"]
    workload: Shape
    device: dict[str, Any]
    dtype: str = Field(description="precision of our fit")
    precision: str = Field(description="how our matrix products are computed")
    compile_s: float | None = Field(description="first_s minus the steady median")
    first_s: float | None = Field(description="first call, with compilation")
    steady_s: Steady | None = Field(description="calls after it, transfer to the device and scoring included")
    compilations: int | None = Field(description="XLA compilations of the first call")
    steady_compilations: int | None = Field(
        description="XLA compilations of the steady calls; anything but 0 is a fault"
    )
    cache_hits: int | None = Field(description="programs found in the persistent compilation cache by the first call")
    rivals: list[Rival]
    ratio_as_shipped: float | None = Field(description="rival's seconds as shipped / steady median")
    ratio_best: float | None = Field(description="rival's fewest seconds over all settings / steady median")
    measures: dict[str, float] = Field(description="the row's own further figures")
    targets: list[Target]
    check: Check
    flops: int | None = Field(
        description="floor of the work: a forward and a backward pass, scoring, a Gram where the path forms one"
    )
    bytes: int | None = Field(description="floor of the traffic: each embedding read once")
    bytes_X: int = Field(description="bytes of both splits' embeddings")  # noqa: N815
    ceilings: Ceilings | None
    memory: Memory | None
    points: list[dict[str, float]] = Field(description="the points of a curve, empty otherwise")
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None = Field(description="whether source files differed from the commit")
    date: str
    load: float | None = Field(description="one-minute load average when the row began")


def dump(rows: list[Row], path: Path) -> None:
    """Write the document."""
    body = {"geneb_type": TYPE, "geneb_version": VERSION, "rows": [row.model_dump(mode="json") for row in rows]}
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def open_document(path: Path, kind: str | None = None, version: int = VERSION) -> dict[str, Any]:
    """A result file, of one kind or of any. Raises DataError."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"this is no readable JSON: {error}", where=path.name) from error
    found = body.get("geneb_type") if isinstance(body, dict) else None
    if not isinstance(found, str) or (kind is not None and found != kind):
        raise DataError(
            f"this file holds {found or 'no benchmark results'}, not {kind or 'results'}",
            where=path.name,
            cure="write one with --out",
        )
    if body.get("geneb_version") != version:
        raise DataError(f"this file has version {body.get('geneb_version')!r}, not {version}", where=path.name)
    return dict(body)


def read(path: Path) -> list[Row]:
    """Read and validate a document of rows. Raises DataError."""
    body = open_document(path, TYPE)
    try:
        return [Row.model_validate(row) for row in body["rows"]]
    except (KeyError, ValidationError) as error:
        raise DataError(f"a row does not follow the format: {error}", where=path.name) from error
