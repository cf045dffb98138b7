"""One outcome: what a row of ``records.parquet`` says, and how old files are read.

``records.parquet`` holds one row per (encoder, task, regime, seed, probe). The file's schema metadata carries
``geneb_type`` ("records") and ``geneb_version``; the version rises when a column changes its meaning, not
when one is added. A reader fills the columns that a file does not have with nulls and keeps those that it
does not know. A missing value is null, never NaN or infinite: a lane that has no score has null scores.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geneb_jax.errors import RunError

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS_TYPE: Final = "records"
RECORDS_VERSION: Final = 1

COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "record_id": (
        "string",
        "16 hex digits over everything that decides the outcome; the key of its predictions",
    ),
    "encoder": ("string", "short name of the encoder, for tables"),
    "encoder_digest": ("string", "SHA-256 of the encoder's manifest: its identity"),
    "preset": (
        "string",
        "rule of a registry model: normalized, or reference (GENEB's own extractor); null for encoders without presets",
    ),
    "defect": ("string", "what is known to be wrong with the rule that made the vectors; null where nothing is"),
    "control": (
        "string",
        "what was destroyed on purpose: labels, mono or di (geneb_jax.task.control), with -KEY where the key is not 0; "
        "null for real scores",
    ),
    "suite": ("string", "name of the suite"),
    "suite_version": ("string", "version of the suite"),
    "task": ("string", "id of the task in the suite"),
    "category": ("string", "category of the task, over which scores are averaged first"),
    "regime": ("string", "how many training rows the probe saw: full, or <k>shot per class"),
    "seed": ("int64", "seed of the few-shot draw; full-data fits do not depend on it"),
    "draw": ("int64", "number of the draw in the run's list of seeds, from 0"),
    "probe": ("string", "name of the probe's specification"),
    "probe_digest": ("string", "SHA-256 over every setting of the probe, or of the rule that chooses its C"),
    "C": (
        "float64",
        "inverse penalty of the fit, scikit-learn's C (ridge: 1 / (2 alpha)); null for probes without one, and where C "
        "was to be chosen and nothing fitted",
    ),
    "c_selection": (
        "string",
        "how C came about: fixed (asked for); held-out (best MCC on a held-out part of the training rows the probe "
        "saw); default (too few rows to hold any out). Null in records of older versions: fixed",
    ),
    "c_grid": ("list<float64>", "the values that C was chosen from, ascending; null where it was fixed"),
    "held_out_mcc": (
        "list<float64>",
        "MCC on the held-out rows of each value of c_grid; an entry is null where that fit failed",
    ),
    "n_held_out": ("int64", "training rows held out to choose C, before the fit on all of them"),
    "engine": ("string", "jax, sklearn-stock (GENEB's script), sklearn (its settings in float64) or sklearn-optimum"),
    "dtype": ("string", "precision of the fit, and of the vectors that it is given"),
    "mcc": ("float64", "Matthews correlation over the test rows, -1 to 1; GENEB's score"),
    "accuracy": ("float64", "share of test rows given their true class"),
    "macro_f1": ("float64", "mean over classes of the F1 score"),
    "status": ("string", "why the fit stopped: a label of geneb_jax.status.Status"),
    "message": ("string", "what went wrong, with place and cure; empty otherwise"),
    "num_steps": ("int64", "iterations of the solver"),
    "grad_norm": ("float64", "Euclidean norm of the objective's gradient at the end"),
    "relative_gap": ("float64", "bound or estimate of (objective - optimum) / objective; null where unknown"),
    "objective": ("float64", "C · sum of weighted losses + half the squared norm of the weights"),
    "num_ties": ("int64", "test rows whose two best classes the arithmetic cannot tell apart"),
    "n_train": ("int64", "training rows the probe saw"),
    "n_train_total": ("int64", "training rows of the task"),
    "n_test": ("int64", "test rows, all of which are scored"),
    "num_classes": ("int64", "classes in training and test rows together"),
    "width": ("int64", "columns of the embedding"),
    "letters": (
        "int64",
        "letters of the training and test rows; null, as the seven below, where they were not counted",
    ),
    "unknown_letters": ("int64", "those that the encoder has no sign for: unknown tokens, ambiguity codes it zeroes"),
    "unknown_sequences": ("int64", "rows with such letters"),
    "dropped_letters": ("int64", "those of which nothing reaches the encoder: its tokenizer makes no token of them"),
    "dropped_sequences": ("int64", "rows with such letters"),
    "cut_letters": ("int64", "those past what the encoder reads of a sequence: truncated, or cropped"),
    "cut_sequences": ("int64", "rows with such letters"),
    "respelled_sequences": ("int64", "rows that were given with U as T, or T as U: the letter that the encoder knows"),
    "unread_allowed": ("int64", "1 where more was unread than embedding stops at, and the user went on; else 0"),
    "seconds": (
        "float64",
        "time attributed to this fit; lanes fitted together share it, repeats cost nothing",
    ),
}
"""Every column: its type and what it says, in file order."""


@dataclass(frozen=True)
class Record:
    """One (encoder, task, regime, seed, probe) outcome; `COLUMNS` documents the fields."""

    record_id: str
    encoder: str
    encoder_digest: str
    suite: str
    suite_version: str
    task: str
    category: str
    regime: str
    seed: int
    probe: str
    probe_digest: str
    C: float | None
    engine: str
    dtype: str
    status: str
    mcc: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    message: str = ""
    num_steps: int | None = None
    grad_norm: float | None = None
    relative_gap: float | None = None
    objective: float | None = None
    num_ties: int | None = None
    n_train: int | None = None
    n_train_total: int | None = None
    n_test: int | None = None
    num_classes: int | None = None
    width: int | None = None
    seconds: float | None = None
    draw: int | None = None
    c_selection: str = "fixed"
    c_grid: tuple[float, ...] | None = None
    held_out_mcc: tuple[float | None, ...] | None = None
    n_held_out: int | None = None
    preset: str | None = None
    defect: str | None = None
    control: str | None = None
    letters: int | None = None
    unknown_letters: int | None = None
    unknown_sequences: int | None = None
    dropped_letters: int | None = None
    dropped_sequences: int | None = None
    cut_letters: int | None = None
    cut_sequences: int | None = None
    respelled_sequences: int | None = None
    unread_allowed: int | None = None

    def __post_init__(self) -> None:
        for name in _FLOATS:
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                object.__setattr__(self, name, None)


_FLOATS = tuple(f.name for f in fields(Record) if f.type == "float | None")


def record_id(*parts: object) -> str:
    """16 hex digits over the parts of a record's identity; the same outcome has the same id in every run."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def schema() -> pa.Schema:
    """The file's schema, with every column's meaning in its metadata."""
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "list<float64>": pa.list_(pa.float64()),
    }
    columns = [pa.field(name, kinds[kind], metadata={"description": text}) for name, (kind, text) in COLUMNS.items()]
    return pa.schema(columns, metadata={"geneb_type": RECORDS_TYPE, "geneb_version": str(RECORDS_VERSION)})


def to_table(records: Iterable[Record]) -> pa.Table:
    """Records as a table in the file's schema."""
    import pyarrow as pa

    rows = list(records)
    return pa.table({name: [getattr(r, name) for r in rows] for name in COLUMNS}, schema=schema())


def read_table(path: Path) -> pa.Table:
    """Read one records file, of this version or an older one.

    Raises:
        RunError: the file is damaged, is no records file, or was written by a newer version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RunError(
            f"the records cannot be read: {error}",
            where=path.name,
            cure="remove the file and run the probe again",
        ) from error
    metadata = table.schema.metadata or {}
    kind, version = metadata.get(b"geneb_type", b"").decode(), metadata.get(b"geneb_version", b"0").decode()
    if kind != RECORDS_TYPE:
        raise RunError(f"this is no records file (geneb_type is {kind or 'absent'!r})", where=path.name)
    if int(version) > RECORDS_VERSION:
        raise RunError(
            f"the records have version {version}; this package reads up to {RECORDS_VERSION}",
            where=path.name,
            cure="install a newer geneb_jax",
        )
    return conform(table)


def conform(table: pa.Table) -> pa.Table:
    """Known columns first, in order and with their types, null where absent; unknown ones are kept behind."""
    import pyarrow as pa

    wanted = schema()
    arrays, columns = [], []
    for column in wanted:
        if column.name in table.column_names:
            arrays.append(table[column.name].cast(column.type))
        else:
            arrays.append(pa.nulls(len(table), column.type))
        columns.append(column)
    for name in table.column_names:
        if name not in COLUMNS:
            arrays.append(table[name])
            columns.append(table.schema.field(name))
    return pa.table(arrays, schema=pa.schema(columns, metadata=wanted.metadata))
