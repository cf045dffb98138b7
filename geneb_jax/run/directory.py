"""The run directory: what a command leaves behind, and how it is written so that nothing finished is lost.

::

    RUN/
      run.json            settings, versions, devices, timings, digests of everything (see `run.meta`)
      records.parquet     one row per (encoder, task, regime, seed, probe) (see `run.record`)
      predictions.zarr/   the predicted class of every test row (see `run.predictions`)
      parts/              finished (encoder, task) pairs of a run that has not come to its end yet

A part holds the records of one (encoder, task) pair, or of a block of its draws where there are very many. It counts
from the instant it is renamed into ``parts/``, after its predictions are on disk. Ctrl-C or a kill loses the part
being worked on and nothing else; the same command goes on from there, and so does one that asks for more draws. At
the end the parts are merged into ``records.parquet``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.errors import RunError, unknown_name
from geneb_jax.run.meta import RunMeta, Session, TaskMeta, differing_setting, now, parse_meta
from geneb_jax.run.predictions import PREDICTIONS, Predictions, read_predictions, write_predictions
from geneb_jax.run.presets import NEVER, by_preset, presets_text
from geneb_jax.run.record import Record, read_table, schema, to_table
from geneb_jax.status import Status
from geneb_jax.store.files import interrupt_later

if TYPE_CHECKING:
    import pyarrow as pa
    from filelock import FileLock

_META, _RECORDS, _PARTS, _LOCK = "run.json", "records.parquet", "parts", "run.lock"
_OURS = {_META, _RECORDS, PREDICTIONS, _PARTS, _LOCK, "store", "sensitivity.json"}
_PARTIAL = ".partial"
"""How a file is called until it is whole; what a killed command left under such a name is deleted by the next."""
_RETRIED = {Status.BAD_DATA.label, Status.BAD_EMBEDDING.label}


class Run:
    """A run directory, open for reading. A run that was interrupted shows what it has finished."""

    def __init__(self, path: Path, meta: RunMeta, records: pa.Table) -> None:
        self.path = path
        self.meta = meta
        self.records = records

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Read a run directory.

        Raises:
            RunError: there is none, or it is damaged, was changed, or is newer than this package.
        """
        folder = Path(path)
        meta = _read_meta(folder)
        if meta is None:
            raise RunError(
                "there is no run here" if folder.exists() else "this folder does not exist",
                where=str(path),
                cure="name the folder that --out of `geneb probe`, `run` or `quickstart` was given",
            )
        _require_recorded(folder, meta)
        return cls(folder, meta, _ordered(_all_records(folder), meta))

    @property
    def has_predictions(self) -> bool:
        """Whether the predictions are still beside the records; everything but resampling does without them."""
        return (self.path / PREDICTIONS).exists()

    @property
    def has_faults(self) -> bool:
        """Whether some record has no score, or one that says nothing about the encoder."""
        by_label = {s.label: s for s in Status}
        found = {by_label[label] for label in self.records["status"].to_pylist() if label in by_label}
        return any(s.is_degenerate or not s.has_score for s in found)

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Per encoder the tasks of the suite of which it has no record, where there are any."""
        columns = self.records.select(["encoder", "task"]).to_pydict()
        held: dict[str, set[str]] = {}
        for encoder, task in zip(columns["encoder"], columns["task"], strict=True):
            held.setdefault(encoder, set()).add(task)
        absent = {e: tuple(t for t in self.meta.suite.categories if t not in held[e]) for e in held}
        return {encoder: tasks for encoder, tasks in absent.items() if tasks}

    def predictions(self, record_id: str) -> Predictions | None:
        """The test rows of one record, or None where the record has no score.

        Raises:
            UnknownNameError: the run holds no such record.
            RunError: its predictions are missing or damaged.
        """
        import pyarrow.compute as pc

        found = self.records.filter(pc.equal(self.records["record_id"], record_id)).to_pylist()
        if not found:
            raise unknown_name("record", record_id, self.records["record_id"].to_pylist())
        row = found[0]
        if row["mcc"] is None:
            return None
        encoder = self.meta.encoder(row["encoder_digest"])
        element = encoder.element if encoder else row["encoder_digest"][:12]
        return read_predictions(self.path / PREDICTIONS, element, row["task"], record_id)


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a run directory, rather than a store."""
    return (Path(path) / _META).is_file()


class RunWriter:
    """The one writer of a run directory. Use as a context manager; leaving it merges what is finished."""

    def __init__(self, path: str | os.PathLike[str], meta: RunMeta, session: Session) -> None:
        self.path = Path(path)
        self.session = session
        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        self._lock = _acquire(self.path)
        try:
            self.meta = self._continue(meta)
            self.meta.sessions.append(session)
            with _writing(self.path):
                for name in _OURS:
                    (self.path / f"{name}{_PARTIAL}").unlink(missing_ok=True)
                for left in self.path.glob(f"{PREDICTIONS}/**/*{_PARTIAL}"):
                    left.unlink(missing_ok=True)
                if (self.path / _PARTS).exists():
                    self._merge()  # what a killed command left, so that no part of this one takes its name
                (self.path / _PARTS).mkdir(exist_ok=True)
                self.save_meta()
        except BaseException:
            self._lock.release()
            raise
        self.done = _finished_records(self.path)

    def _continue(self, new: RunMeta) -> RunMeta:
        old = _read_meta(self.path)
        if old is None:
            # a command that was killed early leaves the lock, a store, or the first file half written
            foreign = sorted(p.name for p in self.path.iterdir() if p.name.removesuffix(_PARTIAL) not in _OURS)
            if foreign:
                raise RunError(
                    f"the folder is not empty and holds no run: {', '.join(foreign[:3])}",
                    where=str(self.path),
                    cure="give --out a new or an empty folder",
                )
            return new
        if (self.path / _RECORDS).exists():
            _require_recorded(self.path, old)
        difference = differing_setting(old, new)
        if difference:
            raise RunError(
                f"this folder holds a run made with other settings: {difference}",
                where=str(self.path),
                cure="give --out another folder, or repeat the command with the settings of the run",
            )
        found = by_preset((e.name, e.settings) for e in (*old.encoders, *new.encoders))
        if len(found) > 1:
            raise RunError(
                f"{NEVER}, and this folder holds a run of the other one",
                where=f"{self.path} ({presets_text(found)})",
                cure="give --out another folder",
            )
        old.settings.extend(new.settings)
        known = {e.digest for e in old.encoders}
        old.encoders += [e for e in new.encoders if e.digest not in known]
        # a suite may have grown within its version, as a folder of tasks does
        old.suite.categories.update(new.suite.categories)
        old.suite.labels.update(new.suite.labels)
        return old

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._merge()
        finally:
            self._lock.release()

    def check_task(self, task: str, meta: TaskMeta) -> None:
        """Take in what is known of a task; every encoder of a run must be scored on the same rows.

        Raises:
            RunError: the run already holds this task with other data.
        """
        new = task not in self.meta.tasks
        known = self.meta.tasks.setdefault(task, meta)
        if known.leaked is None:  # of a run that began before leaks were counted
            known.leaked, known.leaked_other_label = meta.leaked, meta.leaked_other_label
        if new:
            self.save_meta()  # before its first score: no score is ever there of which nothing says what rows it is of
        if (known.train_digest, known.test_digest) != (meta.train_digest, meta.test_digest):
            raise RunError(
                "the rows of this task differ from those that the run already holds",
                where=f"task {task}",
                cure="give --out another folder, or embed the same data with every encoder",
            )

    @property
    def scored(self) -> Counter[tuple[str, str]]:
        """How many records there are that need not be made again, by encoder digest and task."""
        return Counter({key: len(records) for key, records in self.done.items()})

    def drop(self, tasks: Collection[str]) -> None:
        """Take out every record of these tasks, and what was known of their rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = _all_records(self.path)
        stale = pc.is_in(table["task"], value_set=pa.array(list(tasks), pa.string()))
        self._write_records(table.filter(pc.invert(stale)))
        # only now: a command that is killed before finds records of rows that are others, as this one did
        for task in tasks:
            self.meta.tasks.pop(task, None)
        self.save_meta()
        self.done = _finished_records(self.path)

    def write_pair(
        self,
        element: str,
        records: Sequence[Record],
        predicted: Sequence[NumpyInt | None] | NumpyInt | None,
        true: NumpyInt,
    ) -> None:
        """Commit records of one (encoder, task) pair, in addition to those of it that the run holds.

        `predicted` are the labels `(m,)` of each record and `true` `(m,)` the true ones; rows of records without a
        score are ignored. None where no record has one.
        """
        import pyarrow.parquet as pq

        first = records[0]
        name = hashlib.sha256(f"{first.encoder_digest}\0{first.task}\0{first.record_id}".encode()).hexdigest()[:24]
        with _writing(self.path), interrupt_later():
            if predicted is not None:
                held = self.done.get((first.encoder_digest, first.task), set())
                task = self.meta.tasks[first.task]
                scored = {
                    r.record_id: p if r.mcc is not None else None for r, p in zip(records, predicted, strict=True)
                }
                write_predictions(self.path / PREDICTIONS, element, first.task, task, scored, true, held)
            partial = self.path / _PARTS / f"{name}{_PARTIAL}"
            pq.write_table(to_table(records), partial)
            _replace(partial, partial.with_suffix(".parquet"))
        self.done.setdefault((first.encoder_digest, first.task), set()).update(r.record_id for r in records)

    def save_meta(self) -> None:
        """Write ``run.json`` in one step."""
        partial = self.path / f"{_META}{_PARTIAL}"
        with _writing(self.path):
            partial.write_text(self.meta.model_dump_json(indent=2) + "\n", encoding="utf-8")
            _replace(partial, self.path / _META)

    def _merge(self) -> None:
        with _writing(self.path), interrupt_later():
            self._write_records(_ordered(_all_records(self.path), self.meta))
            self.save_meta()
            # last: until here every record is in the parts as well
            shutil.rmtree(self.path / _PARTS, ignore_errors=True)

    def _write_records(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        partial = self.path / f"{_RECORDS}{_PARTIAL}"
        with _writing(self.path), interrupt_later():
            pq.write_table(table, partial)
            self.meta.hashes[_RECORDS] = _sha256(partial)
            _replace(partial, self.path / _RECORDS)


def finish(writer: RunWriter) -> None:
    """Note that the command came to its end."""
    writer.session.finished = now()


def _read_meta(folder: Path) -> RunMeta | None:
    try:
        text = (folder / _META).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunError(f"the run cannot be read: {error.strerror}", where=str(folder)) from error
    return parse_meta(text, f"{folder.name}/{_META}")


def _require_recorded(folder: Path, meta: RunMeta) -> None:
    """Raise RunError where the records are not those that ``run.json`` was written for."""
    recorded, path = meta.hashes.get(_RECORDS), folder / _RECORDS
    if not recorded or (folder / _PARTS).exists():  # between two steps of a command, or before it was recorded
        return
    if not path.exists():
        problem = "the records of this run are missing"
    elif _sha256(path) != recorded:
        problem = "the records are not those that this run wrote: their SHA-256 is not the one in run.json"
    else:
        return
    raise RunError(
        problem,
        where=f"{folder.name}/{_RECORDS}",
        cure="get the file back as it was, or delete it and repeat the command that made the run",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _all_records(folder: Path) -> pa.Table:
    """The merged records and the parts that are not merged yet; a part replaces what was merged before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [read_table(p) for p in sorted((folder / _PARTS).glob("*.parquet"))]
    merged = folder / _RECORDS
    tables = [pa.concat_tables(parts, promote_options="default")] if parts else []
    if merged.exists():
        old = read_table(merged)
        if tables:
            stale = pc.is_in(old["record_id"], value_set=tables[0]["record_id"].combine_chunks())
            old = old.filter(pc.invert(stale))
        tables.insert(0, old)
    return pa.concat_tables(tables, promote_options="default") if tables else schema().empty_table()


def _finished_records(folder: Path) -> dict[tuple[str, str], set[str]]:
    """Per (encoder digest, task) the records that need not be made again: all but those whose input was bad."""
    table = _all_records(folder).select(["encoder_digest", "task", "status", "record_id"]).to_pydict()
    found: dict[tuple[str, str], set[str]] = {}
    for encoder, task, status, record in zip(*table.values(), strict=True):
        if status not in _RETRIED:
            found.setdefault((encoder, task), set()).add(record)
    return found


def _ordered(table: pa.Table, meta: RunMeta) -> pa.Table:
    """Encoders in the order in which they came, tasks in the suite's; within a pair as written."""
    encoders = {e.digest: i for i, e in enumerate(meta.encoders)}
    tasks = {t: i for i, t in enumerate(meta.suite.categories)}
    columns = table.select(["encoder_digest", "task"]).to_pydict()
    keys = [
        (encoders.get(e, len(encoders)), tasks.get(t, len(tasks)), t)
        for e, t in zip(columns["encoder_digest"], columns["task"], strict=True)
    ]
    return table.take(np.asarray(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64))


def _acquire(folder: Path) -> FileLock:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            "another command is writing to this run directory",
            where=str(folder),
            cure="wait until it has finished, or give --out another folder",
        ) from None
    return lock


def _replace(partial: Path, final: Path) -> None:
    with partial.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(partial, final)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"the run directory cannot be written to: {error.strerror or error}",
            where=str(folder),
            cure="free some space or choose a folder you may write to; finished tasks are kept, and the same "
            "command goes on from there",
        ) from error
