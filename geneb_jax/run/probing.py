"""Probe every task of one or more stores: read each task's vectors once, fit all its lanes, write, go on."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import GenebError, UsageError
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import GENEB_REGIMES, Regime
from geneb_jax.probes.solvers import SolverChoice, check_solver
from geneb_jax.probes.spec import Dtype, HeldOutC, LogisticSpec, ProbeSpec
from geneb_jax.run import plan
from geneb_jax.run.controls import control_of
from geneb_jax.run.directory import Run, RunWriter, finish
from geneb_jax.run.engines import ENGINES, STOCK, Engine, precision
from geneb_jax.run.fitting import fit_sklearn
from geneb_jax.run.lanes import Asked, make_draws, make_lanes
from geneb_jax.run.meta import RunMeta, Session, Settings, now, package_versions, probe_settings, without_paths
from geneb_jax.run.outdated import changed_encoders, outdated_tasks, require_current, stored_digests
from geneb_jax.run.phases import PhaseClock, device_names
from geneb_jax.run.presets import defect_of, preset_of, require_one_preset
from geneb_jax.run.probing_progress import bar
from geneb_jax.run.reading import letter_columns
from geneb_jax.run.ready import Ready, task_meta
from geneb_jax.run.record import Record, record_id
from geneb_jax.run.streaming import Reader
from geneb_jax.status import Status
from geneb_jax.store import SplitIndex
from geneb_jax.task import Suite

if TYPE_CHECKING:
    from geneb_jax.probes.blocks import Rows
    from geneb_jax.probes.choose import Choice

GROUP: Final = 8
GROUP_BYTES: Final = 256 * 2**20
"""Most pairs of one encoder that are fitted together, and most bytes of their vectors. What is fitted together is
committed together, so an interrupted command repeats no more than this."""

FitTask = Callable[[Any, NumpyInt, Any, NumpyInt, Sequence[Lane]], list[LaneResult]]


def probe(
    stores: Sequence[str | os.PathLike[str]],
    suite: Suite | str | None,
    out: str | os.PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    regimes: Sequence[str] = GENEB_REGIMES,
    seeds: Sequence[int] | None = None,
    draws: int | None = None,
    key: int = 0,
    specs: Sequence[ProbeSpec] = (LogisticSpec(),),
    engine: Engine = "jax",
    solver: SolverChoice = "auto",
    dtype: Dtype = "float32",
    memory_budget: int | None = None,
    progress: bool = True,
    command: Sequence[str] = (),
    encoders: Collection[str] | None = None,
    preset: str | None = None,
) -> Run:
    """Fit and score every probe of every (encoder, task) pair of the stores, into the run directory `out`.

    `suite` None takes the suite that the stores say they were made from. `tasks` are globs on task ids; a
    task of the suite that no store holds is left out, and every aggregate says so. A pair that cannot be
    probed gets records that say why, and the others run on. A directory that an interrupted command left is
    continued, and one with fewer draws is extended. Few-shot draws are GENEB's five, or those of `seeds`, or `draws`
    of them with seeds derived from `key` beyond GENEB's (`geneb_jax.run.lanes.make_draws`). A `HeldOutC` among the
    `specs` has its C chosen, fit by fit, on held-out training rows. `command` is what the user typed, for the
    protocol in ``run.json``. `encoders` are the digests of the only encoders to probe, where a store holds more;
    `preset` leaves out the registry models of the other preset: they never share a run (`geneb_jax.run.presets`).
    Vectors whose fit would take more than `memory_budget` bytes, by default half of the available memory, are read in
    blocks, with the same answer; engines other than "jax" always hold them whole. `solver` is what engine "jax" solves
    with; "auto" leaves it to a cost model.

    Raises:
        UsageError: an empty or contradictory list of regimes, seeds or probes, vectors that `solver` cannot read in
            blocks, or registry models of both presets.
        StoreError: a store that is no store, is damaged as a whole, or holds no task of the suite.
        UnknownNameError: a task pattern that matches nothing.
        RunError: `out` cannot be written to, or holds a run with other settings, or scores of other rows that cannot
            all be made again; where they can, they are, and a note of the session says so.
        DataError: the rows behind scores that `out` holds cannot be read any more.
    """
    study = make_draws(seeds, draws, key)
    lanes = make_lanes(regimes, study, specs)
    if engine not in ENGINES:
        raise UsageError(f"there is no engine called {engine!r}", cure=f"use {', '.join(ENGINES)}")
    check_solver(solver)
    dtype = precision(engine, dtype)
    named = plan.open_elements(stores, encoders, preset)
    elements = [element for _, element in named]
    require_one_preset(
        ((e.manifest.name, e.manifest.settings) for e in elements),
        cure="probe each preset into a run directory of its own: --preset normalized, --preset reference",
    )
    whole = plan.resolve_suite(suite, elements)
    chosen = whole.select(list(tasks or ()))
    check = plan.DataCheck(whole)
    pairs = plan.make_pairs(elements, chosen, check)
    if not pairs:
        raise plan.nothing_to_probe(chosen, elements)

    settings = Settings(
        regimes=[Regime.parse(r).name for r in regimes],
        seeds=list(study.seeds),
        full_seeds=None if study.full_seeds == study.seeds else list(study.full_seeds),
        key=key,
        probes=probe_settings(specs),
        engine=engine,
        solver=solver if engine == "jax" else "auto",
        dtype=dtype,
    )
    meta = RunMeta(
        suite=plan.suite_meta(whole), settings=settings, encoders=[plan.encoder_meta(n, e) for n, e in named]
    )
    session = Session(started=now(), command=without_paths(command), versions=package_versions())
    clock = PhaseClock(session)
    with RunWriter(out, meta, session) as writer:
        stored = stored_digests(pairs)
        require_current(writer.scored, stored, check)
        outdated = outdated_tasks(writer.scored, writer.meta.tasks, stored)
        session.notes += [*filter(None, outdated.values()), *changed_encoders(meta.encoders, writer.meta.encoders)]
        if outdated:
            writer.drop(outdated)
        reader = Reader(dtype, memory_budget, blocks=engine == "jax", solver=solver)
        worker = _Worker(writer, session, clock, whole, check, lanes, settings, reader, _fitter(engine, reader))
        todo = [p for p in pairs if worker.asked(p)]
        if todo and engine == "jax":
            with clock("start"):
                session.devices = device_names()
        with bar(len(todo), enabled=progress) as advance:
            for pair in todo:
                worker.run(pair, advance)
            worker.flush(advance)
        finish(writer)
    return Run.open(out)


class _Worker:
    """Everything that stays the same from pair to pair, and pairs that wait to be fitted together."""

    def __init__(
        self,
        writer: RunWriter,
        session: Session,
        clock: PhaseClock,
        suite: Suite,
        check: plan.DataCheck,
        lanes: Sequence[Asked],
        settings: Settings,
        reader: Reader,
        fit: FitTask,
    ) -> None:
        self.writer, self.session, self.clock, self.suite, self.check = writer, session, clock, suite, check
        self.lanes, self.settings, self.reader, self.fit = lanes, settings, reader, fit
        self.waiting: list[Ready] = []

    def asked(self, pair: plan.Pair) -> list[Asked]:
        """The lanes of a pair that the run does not hold yet."""
        held = self.writer.done.get((pair.digest, pair.info.id), set())
        return [lane for lane in self.lanes if not held or self._id(pair, lane) not in held]

    def run(self, pair: plan.Pair, advance: Callable[[plan.Pair], None]) -> None:
        """Probe one pair and commit its records, whatever becomes of it; or let it wait for `flush`."""
        if self.waiting and self.waiting[0].pair.digest != pair.digest:
            self.flush(advance)  # another encoder has another width
        ready, status, problem = self._read(pair)
        if ready is not None and not problem and self._can_wait(ready):
            if sum(r.bytes for r in (*self.waiting, ready)) > GROUP_BYTES:
                self.flush(advance)
            self.waiting.append(ready)
            if len(self.waiting) == GROUP:
                self.flush(advance)
            return
        self.flush(advance)
        if ready is not None and not problem:
            self._alone(ready)
        else:
            self._fail(pair, ready, status, problem)
        advance(pair)

    def flush(self, advance: Callable[[plan.Pair], None]) -> None:
        """Fit the pairs that wait, and commit each one's records."""
        group, self.waiting = self.waiting, []
        found = None
        try:
            if len(group) > 1:
                with self.clock("fit"):
                    found = self._together(group)
        except GenebError:
            pass  # whose fault it is shows when each is fitted alone
        for i, ready in enumerate(group):
            if found is None:
                self._alone(ready)
            else:
                with self.clock("write"):
                    self._commit(ready, ready.lanes, found[i], {})
            advance(ready.pair)

    def _read(self, pair: plan.Pair) -> tuple[Ready | None, Status, str]:
        """A pair's vectors; or what is wrong with it, in words, with what is known of its splits."""
        if pair.problem:
            return None, Status.BAD_DATA, pair.problem
        lanes = self.asked(pair)
        try:
            with self.clock("read"):
                train = pair.element.split(pair.info.id, "train")
                test = pair.element.split(pair.info.id, "test")
                self.check.require_same(pair.info.id, {s.split: s.data_digest for s in (train, test)})
                self.writer.check_task(pair.info.id, task_meta(train, test))
                ready = Ready(pair, lanes, train, test, *self.reader.read(pair.element, train, test, lanes))
            return ready, Status.BAD_EMBEDDING, ready.non_finite()
        except UsageError:
            raise  # not the data's fault
        except GenebError as error:
            return None, Status.BAD_DATA, plan.one_line(error)

    def _can_wait(self, ready: Ready) -> bool:
        """Whether a pair is small, whole and simple enough to be fitted together with others."""
        if self.settings.engine != "jax" or not ready.bytes or ready.bytes > GROUP_BYTES // 2:
            return False
        if any(isinstance(lane.spec, HeldOutC) for lane in ready.lanes) or len(ready.blocks()) > 1:
            return False
        # beside a fit there are the others' vectors, and later a batch of their draws of about the same size
        needed = self.reader.planned(ready.pair.element, ready.train, ready.test, ready.lanes)
        return needed + 2 * GROUP_BYTES <= self.reader.budget

    def _together(self, group: Sequence[Ready]) -> list[list[LaneResult]]:
        from geneb_jax.probes.fit import TaskArrays

        tasks = [TaskArrays(r.X_train, r.train.labels, r.X_test, r.test.labels) for r in group]  # type: ignore[arg-type]
        return self.reader.fit_together(tasks, [[asked.lane() for asked in r.lanes] for r in group])

    def _alone(self, ready: Ready) -> None:
        try:
            for block in ready.blocks():
                with self.clock("fit"):
                    choices, results = self._fit(
                        ready.X_train, ready.train.labels, ready.X_test, ready.test.labels, block
                    )
                with self.clock("write"):
                    self._commit(ready, block, results, choices)
        except GenebError as error:
            self._fail(ready.pair, ready, Status.BAD_DATA, plan.one_line(error))

    def _fail(self, pair: plan.Pair, ready: Ready | None, status: Status, problem: str) -> None:
        """Commit records that say why there is no score, for the lanes that a committed block has not scored."""
        train, test = (None, None) if ready is None else (ready.train, ready.test)
        with self.clock("write"):
            lanes = self.asked(pair)
            records = [self._record(pair, lane, train, test, status=status, message=problem) for lane in lanes]
            self.writer.write_pair(pair.element.key, records, None, np.zeros(0, np.int64))

    def _fit(
        self,
        X_train: NumpyFloat | Rows,
        y_train: NumpyInt,
        X_test: NumpyFloat | Rows,
        y_test: NumpyInt,
        asked: Sequence[Asked],
    ) -> tuple[dict[int, Choice], list[LaneResult]]:
        """Choose C where it was left open, from training rows alone, then fit and score every lane."""
        choices: dict[int, Choice] = {}
        open_lanes = [(i, a.regime, a.seed, a.spec) for i, a in enumerate(asked) if isinstance(a.spec, HeldOutC)]
        if open_lanes:
            from geneb_jax.probes.choose import choose_penalties

            batched = self.settings.engine == "jax"
            chosen = choose_penalties(X_train, y_train, [lane[1:] for lane in open_lanes], self.fit, batched=batched)
            choices = {lane[0]: choice for lane, choice in zip(open_lanes, chosen, strict=True)}
        lanes = [a.lane(choices[i].C if i in choices else None) for i, a in enumerate(asked)]
        return choices, self.fit(X_train, y_train, X_test, y_test, lanes)

    def _commit(
        self, ready: Ready, asked: Sequence[Asked], results: Sequence[LaneResult], choices: Mapping[int, Choice]
    ) -> None:
        pair, train, test = ready.pair, ready.train, ready.test
        records = [
            self._scored(pair, lane, result, choices.get(i), train, test)
            for i, (lane, result) in enumerate(zip(asked, results, strict=True))
        ]
        for result in results:
            if result.solver_reason:
                self.session.solvers.setdefault(result.solver, result.solver_reason)
        self.writer.write_pair(pair.element.key, records, [r.predictions for r in results], test.labels)

    def _scored(
        self,
        pair: plan.Pair,
        asked: Asked,
        result: LaneResult,
        choice: Choice | None,
        train: SplitIndex,
        test: SplitIndex,
    ) -> Record:
        scored = result.status.has_score
        chosen: dict[str, object] = {}
        if choice is not None:
            chosen = {
                "c_selection": choice.selection,
                "held_out_mcc": tuple(v if math.isfinite(v) else None for v in choice.mcc) or None,
                "n_held_out": choice.num_held_out,
            }
        return self._record(
            pair,
            asked,
            train,
            test,
            status=result.status,
            C=result.lane.spec.C,
            mcc=result.mcc if scored else None,
            accuracy=result.accuracy if scored else None,
            macro_f1=result.macro_f1 if scored else None,
            num_steps=result.num_steps,
            grad_norm=result.grad_norm,
            relative_gap=result.relative_gap,
            objective=result.objective,
            num_ties=result.num_ties,
            n_train=result.n_train,
            num_classes=len(result.labels),
            seconds=result.seconds,
            **chosen,
        )

    def _id(self, pair: plan.Pair, lane: Asked) -> str:
        return record_id(
            pair.digest,
            self.suite.name,
            self.suite.version,
            pair.info.id,
            lane.regime.name,
            lane.seed,
            lane.digest,
            self.settings.engine,
            self.settings.dtype,
        )

    def _record(
        self,
        pair: plan.Pair,
        lane: Asked,
        train: SplitIndex | None,
        test: SplitIndex | None,
        *,
        status: Status,
        **values: object,
    ) -> Record:
        manifest, settings, spec = pair.element.manifest, self.settings, lane.spec
        fields: dict[str, object] = {"C": None, "c_selection": "held-out", "c_grid": spec.grid} if isinstance(
            spec, HeldOutC
        ) else {"C": spec.C}  # fmt: skip
        return Record(
            record_id=self._id(pair, lane),
            encoder=manifest.name,
            encoder_digest=pair.digest,
            preset=preset_of(manifest.settings),
            defect=defect_of(manifest.settings),
            control=control_of(pair.info.id),
            suite=self.suite.name,
            suite_version=self.suite.version,
            task=pair.info.id,
            category=pair.info.category,
            regime=lane.regime.name,
            seed=lane.seed,
            draw=lane.draw,
            probe=spec.name,
            probe_digest=lane.digest,
            engine=settings.engine,
            dtype=settings.dtype,
            status=status.label,
            n_train_total=None if train is None else len(train),
            n_test=None if test is None else len(test),
            width=manifest.width,
            **letter_columns(train, test),
            **(fields | values),  # type: ignore[arg-type]
        )


def _fitter(engine: Engine, reader: Reader) -> FitTask:
    if engine == "jax":
        from geneb_jax.run.compile_cache import enable_compile_cache

        enable_compile_cache()
        return reader.fit
    return partial(fit_sklearn, stock=engine in STOCK, cast=engine != "sklearn-stock")
