"""One or several run directories looked at as one, by the one rule by which runs are merged.

- A *fit* is one (encoder, task, regime, seed, probe, engine, precision). What several runs hold of it is counted once;
  a fit with a score goes before one without.
- Draws of one series that lie in different runs are all counted: its score is the mean over the union of its draws.
- Runs are never in one table with other data under one task's name, with another category of a task, with registry
  models of both presets, or with controls beside real scores: this is refused by name.
- A fit that several runs hold with other predictions is refused as well, unless so few rows differ that another
  machine's rounding can be the reason; then it is said, and the run that was begun first is shown.

Runs are put into the order in which they were begun, so that nothing depends on the order in which they were named.
Predictions follow the records: what a score is computed from and what is resampled are the same rows.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.errors import RunError, UsageError
from geneb_jax.probes.regime import GENEB_SEEDS
from geneb_jax.run.controls import control_of, require_one_control
from geneb_jax.run.directory import Run
from geneb_jax.run.meta import EncoderMeta, RunMeta, Session, TaskMeta
from geneb_jax.run.predictions import PREDICTIONS, PairPredictions, read_pair
from geneb_jax.run.presets import require_one_preset

if TYPE_CHECKING:
    import pyarrow as pa

FIT: Final = ("encoder_digest", "task", "regime", "seed", "probe_digest", "engine", "dtype")
"""The columns that say which fit a record is of. Its id also names the suite, which does not change a fit."""

ROUNDING: Final = 0.01
"""Share of the test rows (and always one row) that another machine's rounding may give another class."""

_SCORES: Final = ("mcc", "accuracy", "macro_f1")


@dataclass(frozen=True)
class TaskPredictions:
    """Of one task: `true` (m,) and, by record id, the predicted classes (m,), as indices into `labels`."""

    true: NumpyInt
    labels: NumpyInt
    predicted: Mapping[str, NumpyInt]


class Runs:
    """Runs as one: the union of their records, and of what they know of suites, tasks and encoders.

    `parts` are the runs themselves, in the order in which they were begun. `meta` is their description as one,
    `records` the union. `notes` are sentences that must be said beside every score.
    """

    def __init__(
        self, parts: Sequence[Run], meta: RunMeta, records: pa.Table, owners: NumpyInt, notes: Sequence[str]
    ) -> None:
        self.parts = tuple(parts)
        self.meta = meta
        self.records = records
        self.notes = tuple(notes)
        self._owners = owners

    @classmethod
    def of(cls, runs: Runs | Run | str | os.PathLike[str] | Iterable[Run | str | os.PathLike[str]]) -> Runs:
        """Open runs, given as directories or as open ones, or one of them; what is open as one already stays so.

        Raises:
            UsageError: there is none, or some must not stand in one table.
            RunError: one is missing or damaged, or two hold other data, categories or predictions under one name.
        """
        if isinstance(runs, Runs):
            return runs
        given = [runs] if isinstance(runs, Run | str | os.PathLike) else list(runs)
        opened = [one if isinstance(one, Run) else Run.open(one) for one in given]
        parts = sorted({run.path.resolve(): run for run in opened}.values(), key=_age)
        if not parts:
            raise UsageError("there is no run to look at", cure="name at least one run directory")
        require_one_preset(
            ((encoder.name, encoder.settings) for run in parts for encoder in run.meta.encoders),
            cure="look at the runs of each preset on their own",
        )
        require_one_control((run.path.name, control_of(run.meta.suite.name)) for run in parts)
        _require_same_data(parts)
        records, owners, twins = _union(parts)
        notes = _compare_twins(parts, records, owners, twins)
        return cls(parts, _merged_meta(parts), records, owners, notes)

    @property
    def name(self) -> str:
        """The names of the directories."""
        return ", ".join(run.path.name for run in self.parts)

    @property
    def categories(self) -> dict[str, str]:
        """Every task with a record, and its category, in the order of the suites."""
        columns = self.records.select(["task", "category"]).to_pydict()
        recorded = dict(zip(columns["task"], columns["category"], strict=True))
        known = {task: category for task, category in self.meta.suite.categories.items() if task in recorded}
        return {**known, **{task: category for task, category in recorded.items() if task not in known}}

    @property
    def has_predictions(self) -> bool:
        """Whether all predictions are there; everything but resampling does without them."""
        return all(run.has_predictions for run in self.parts)

    @property
    def has_faults(self) -> bool:
        """Whether some record has no score, or one that says nothing about the encoder."""
        return any(run.has_faults for run in self.parts)

    def only(self, tasks: Collection[str]) -> Runs:
        """The part that is about these tasks."""
        meta = self.meta.model_copy(deep=True)
        meta.suite.categories = {task: c for task, c in meta.suite.categories.items() if task in tasks}
        keep = np.array([task in tasks for task in self.records["task"].to_pylist()], dtype=bool)
        return Runs(self.parts, meta, self.records.take(np.flatnonzero(keep)), self._owners[keep], self.notes)

    def predictions(self, task: str) -> TaskPredictions:
        """The predictions of every record of a task that has a score.

        Raises:
            RunError: they are missing or damaged, or runs disagree about the true classes.
        """
        import pyarrow.compute as pc

        scored = pc.and_(pc.equal(self.records["task"], task), pc.is_valid(self.records["mcc"]))
        rows = np.flatnonzero(scored.to_numpy())
        columns = self.records.select(["record_id", "encoder_digest"]).take(rows).to_pydict()
        wanted: dict[tuple[int, str], list[str]] = {}
        for row, record_id, digest in zip(rows, *columns.values(), strict=True):
            wanted.setdefault((int(self._owners[row]), digest), []).append(record_id)
        first: PairPredictions | None = None
        predicted: dict[str, NumpyInt] = {}
        for (owner, digest), record_ids in wanted.items():
            pair = _read(self.parts[owner], digest, task)
            first = first or pair
            if not (np.array_equal(first.labels, pair.labels) and np.array_equal(first.true, pair.true)):
                raise RunError(
                    "the true classes of two runs differ", where=f"task {task}", cure="compare runs of the same data"
                )
            predicted.update(_lines(self.parts[owner], pair, task, record_ids))
        if first is None:
            raise KeyError(task)
        return TaskPredictions(first.true, first.labels, predicted)


def draw_order(seed: int, draw: int | None) -> tuple[int, int, int]:
    """The place of a draw among those of a series: GENEB's seeds first, then by number."""
    places = len(GENEB_SEEDS)
    return (GENEB_SEEDS.index(seed) if seed in GENEB_SEEDS else places, places if draw is None else draw, seed)


def _age(run: Run) -> tuple[str, str, list[str]]:
    """What runs are ordered by: when they were begun, then what does not depend on how they were named either."""
    began = run.meta.sessions[0].started if run.meta.sessions else ""
    return began, run.path.name, sorted(run.records["record_id"].to_pylist())


def _require_same_data(parts: Sequence[Run]) -> None:
    """Raise RunError where runs that hold records of one task disagree about its data or its category."""
    seen: dict[str, list[tuple[Run, TaskMeta | None, str]]] = {}
    for run in parts:
        for task in dict.fromkeys(run.records["task"].to_pylist()):
            category = run.meta.suite.categories.get(task, "")
            seen.setdefault(task, []).append((run, run.meta.tasks.get(task), category))
    for task, holders in seen.items():
        for what in ("test_digest", "train_digest", "n_test", "n_train"):
            held = {getattr(meta, what): run for run, meta, _ in holders if meta is not None and getattr(meta, what)}
            if len(held) > 1:
                names = " and ".join(run.path.name for run in held.values())
                rows = "test" if "test" in what else "training"
                raise RunError(
                    f"these runs were made from other {rows} rows under one task's name",
                    where=f"task {task}: {names}",
                    cure="look at runs that were made from the same data, or at each on its own",
                )
        kinds = {category: run for run, _, category in holders if category}
        if len(kinds) > 1:
            said = " and ".join(f"{category!r} in {run.path.name}" for category, run in kinds.items())
            raise RunError(
                "these runs hold one task in two categories, so they have two macro scores",
                where=f"task {task}: {said}",
                cure="give it one category in the suites, or look at each run on its own",
            )


Twins = list[tuple[int, int, int]]
"""(row of the union, part, row of that part) of every fit that another part holds as well."""


def _union(parts: Sequence[Run]) -> tuple[pa.Table, NumpyInt, Twins]:
    """The records of all parts, each fit once; of every row whose it is; and where its fit stands again."""
    import pyarrow as pa

    if len(parts) == 1:
        return parts[0].records, np.zeros(len(parts[0].records), np.int64), []
    held: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    scored: list[list[bool]] = []
    for number, run in enumerate(parts):
        columns = run.records.select([*FIT, "mcc"]).to_pydict()
        scored.append([value is not None for value in columns.pop("mcc")])
        for row, fit in enumerate(zip(*columns.values(), strict=True)):
            held.setdefault(fit, []).append((number, row))
    starts = np.cumsum([0, *(len(run.records) for run in parts)])
    rows: list[int] = []
    owners: list[int] = []
    twins: Twins = []
    for places in held.values():
        best = next((place for place in places if scored[place[0]][place[1]]), places[0])
        twins += [
            (len(rows), number, row) for number, row in places if (number, row) != best and scored[number][row]
        ]  # fmt: skip
        rows.append(int(starts[best[0]]) + best[1])
        owners.append(best[0])
    table = pa.concat_tables([run.records for run in parts], promote_options="default")
    return table.take(np.asarray(rows, np.int64)), np.asarray(owners, np.int64), twins


def _compare_twins(parts: Sequence[Run], records: pa.Table, owners: NumpyInt, twins: Twins) -> list[str]:
    """What is to be said of fits about which runs do not quite agree. Raises RunError where it is too much."""
    differing: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    by_pair: dict[tuple[int, int, str, str], Twins] = {}
    ours = records.select(["record_id", "encoder", "encoder_digest", "task", "n_test", *_SCORES]).to_pydict()
    for one in twins:
        key = (int(owners[one[0]]), one[1], ours["encoder_digest"][one[0]], ours["task"][one[0]])
        by_pair.setdefault(key, []).append(one)
    theirs = [run.records.select(["record_id", *_SCORES]).to_pydict() for run in parts]
    for (owner, number, digest, task), own in by_pair.items():
        run, other = parts[owner], parts[number]
        lines: list[Mapping[str, NumpyInt]] = []
        if run.has_predictions and other.has_predictions:
            for part, ids in (
                (run, [ours["record_id"][i] for i, _, _ in own]),
                (other, [theirs[number]["record_id"][row] for _, _, row in own]),
            ):
                lines.append(_lines(part, _read(part, digest, task), task, ids))
        for i, _, row in own:
            gap = max(abs(float(ours[name][i] or 0) - float(theirs[number][name][row] or 0)) for name in _SCORES)
            share = gap
            limit = ROUNDING
            if lines:
                mine, its = lines[0][ours["record_id"][i]], lines[1][theirs[number]["record_id"][row]]
                share = float(np.mean(mine != its)) if len(mine) == len(its) else 1.0
                limit = max(ROUNDING, 1 / max(1, len(mine)))
                if share == 0 and gap > 1e-9:
                    share = 1.0  # a score that its own predictions do not have
            if share > limit:
                raise RunError(
                    "two runs hold one fit with other results, and more of it differs than rounding explains "
                    f"(scores by up to {gap:.3f})",
                    where=f"{ours['encoder'][i]}, task {task}: {run.path.name} and {other.path.name}",
                    cure="look at each run on its own, or fit this encoder again into a new directory",
                )
            if share > 0:
                differing.setdefault((run.path.name, other.path.name), []).append((ours["encoder"][i], share, gap))
    return [
        f"{len(found)} fit{'s' * (len(found) != 1)} of {', '.join(dict.fromkeys(name for name, _, _ in found))} "
        f"stand{'s' * (len(found) == 1)} in {first} and in {second} with slightly other predictions, as rounding on "
        f"another machine makes them (scores differ by up to {max(gap for *_, gap in found):.3f}): those of {first}, "
        "which was begun first, are shown."
        for (first, second), found in differing.items()
    ]


def _read(run: Run, digest: str, task: str) -> PairPredictions:
    encoder = run.meta.encoder(digest)
    return read_pair(run.path / PREDICTIONS, encoder.element if encoder else digest[:12], task)


def _lines(run: Run, pair: PairPredictions, task: str, record_ids: Sequence[str]) -> dict[str, NumpyInt]:
    """The predictions of some records. Raises RunError where one has none."""
    places = {record_id: line for line, record_id in enumerate(pair.record_ids)}
    for record_id in record_ids:
        if record_id not in places:
            raise RunError(
                "the predictions of a record are missing",
                where=f"{run.path.name}, task {task}, record {record_id}",
                cure="run the probe again in a new directory",
            )
    return {record_id: pair.predicted[places[record_id]] for record_id in record_ids}


def _merged_meta(parts: Sequence[Run]) -> RunMeta:
    """The description of all parts as one; of what they may say differently, the words of all."""
    meta = parts[0].meta.model_copy(deep=True)
    if len(parts) == 1:
        return meta
    others = [run.meta for run in parts[1:]]
    encoders: dict[str, EncoderMeta] = {one.digest: one for one in meta.encoders}
    for other in others:
        for name in ("name", "version", "source"):
            setattr(meta.suite, name, _joined(getattr(meta.suite, name), getattr(other.suite, name)))
        meta.suite.categories = {**other.suite.categories, **meta.suite.categories}
        meta.suite.labels = {**other.suite.labels, **meta.suite.labels}
        for task, facts in other.tasks.items():
            known = meta.tasks.setdefault(task, facts)
            known.warnings = list(dict.fromkeys([*known.warnings, *facts.warnings]))
            if known.leaked is None:
                known.leaked, known.leaked_other_label = facts.leaked, facts.leaked_other_label
        encoders = {**{one.digest: one for one in other.encoders}, **encoders}
        for name in ("engine", "dtype", "solver"):
            setattr(meta.settings, name, _joined(getattr(meta.settings, name), getattr(other.settings, name)))
        for name in ("regimes", "seeds"):
            setattr(meta.settings, name, _listed(getattr(meta.settings, name), getattr(other.settings, name)))
        digests = {probe["digest"] for probe in meta.settings.probes}
        meta.settings.probes += [probe for probe in other.settings.probes if probe["digest"] not in digests]
    meta.encoders = list(encoders.values())
    sessions: list[Session] = [session for run in parts for session in run.meta.sessions]
    meta.sessions = sorted(sessions, key=lambda session: session.started)
    meta.hashes = {}
    return meta


def _joined(first: str, second: str) -> str:
    """Words with commas, each once."""
    return ", ".join(_listed(first.split(", "), second.split(", "))) if first and second else first or second


def _listed(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys([*first, *second]))
