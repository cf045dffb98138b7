"""Probe every task of one or more stores: read each task's vectors once, fit all its lanes, write, go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal, get_args

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import GenebError, UsageError
from geneb_jax.probe.lane import Lane, LaneResult
from geneb_jax.probe.regime import GENEB_REGIMES, GENEB_SEEDS, Regime
from geneb_jax.probe.spec import Dtype, LogisticSpec
from geneb_jax.run import plan
from geneb_jax.run.directory import Run, RunWriter, finish
from geneb_jax.run.meta import (
    RunMeta,
    Session,
    Settings,
    TaskMeta,
    now,
    package_versions,
    probe_settings,
    without_paths,
)
from geneb_jax.run.phases import PhaseClock, device_names
from geneb_jax.run.record import Record, record_id
from geneb_jax.status import Status
from geneb_jax.store import SplitIndex
from geneb_jax.task import Suite

Engine = Literal["jax", "sklearn", "sklearn-optimum"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)

FitTask = Callable[[NumpyFloat, NumpyInt, NumpyFloat, NumpyInt, Sequence[Lane]], list[LaneResult]]


def probe(
    stores: Sequence[str | os.PathLike[str]],
    suite: Suite | str | None,
    out: str | os.PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    regimes: Sequence[str] = GENEB_REGIMES,
    seeds: Sequence[int] = GENEB_SEEDS,
    specs: Sequence[LogisticSpec] = (LogisticSpec(),),
    engine: Engine = "jax",
    dtype: Dtype = "float32",
    progress: bool = True,
    command: Sequence[str] = (),
    encoders: Collection[str] | None = None,
) -> Run:
    """Fit and score every probe of every (encoder, task) pair of the stores, into the run directory `out`.

    `suite` None takes the suite that the stores say they were made from. `tasks` are globs on task ids; a
    task of the suite that no store holds is left out, and every aggregate says so. A pair that cannot be
    probed gets records that say why, and the others run on. A directory that an interrupted command left is
    continued. `command` is what the user typed, for the protocol in ``run.json``. `encoders` are the digests of
    the only encoders to probe, where a store holds more.

    Raises:
        UsageError: an empty or contradictory list of regimes, seeds or probes.
        StoreError: a store that is no store, is damaged as a whole, or holds no task of the suite.
        UnknownNameError: a task pattern that matches nothing.
        RunError: `out` cannot be written to, or holds a run with other settings.
    """
    lanes = _lanes(regimes, seeds, specs)
    if engine not in ENGINES:
        raise UsageError(f"there is no engine called {engine!r}", cure=f"use {', '.join(ENGINES)}")
    if engine != "jax":
        dtype = "float64"
    named = plan.open_elements(stores, encoders)
    elements = [element for _, element in named]
    whole = plan.resolve_suite(suite, elements)
    chosen = whole.select(list(tasks or ()))
    check = plan.DataCheck(whole)
    pairs = plan.make_pairs(elements, chosen, check)
    if not pairs:
        raise plan.nothing_to_probe(chosen, elements)

    settings = Settings(
        regimes=[Regime.parse(r).name for r in regimes],
        seeds=list(seeds),
        probes=probe_settings(specs),
        engine=engine,
        dtype=dtype,
    )
    meta = RunMeta(
        suite=plan.suite_meta(whole), settings=settings, encoders=[plan.encoder_meta(n, e) for n, e in named]
    )
    session = Session(started=now(), command=without_paths(command), versions=package_versions())
    clock = PhaseClock(session)
    with RunWriter(out, meta, session) as writer:
        todo = [p for p in pairs if (p.element.manifest.digest, p.info.id) not in writer.done]
        if todo and engine == "jax":
            with clock("start"):
                session.devices = device_names()
        worker = _Worker(writer, clock, whole, check, lanes, settings, _fitter(engine, dtype))
        with _bar(len(todo), enabled=progress) as advance:
            for pair in todo:
                worker.run(pair)
                advance(pair)
        finish(writer)
    return Run.open(out)


class _Worker:
    """Everything that stays the same from pair to pair."""

    def __init__(
        self,
        writer: RunWriter,
        clock: PhaseClock,
        suite: Suite,
        check: plan.DataCheck,
        lanes: Sequence[Lane],
        settings: Settings,
        fit: FitTask,
    ) -> None:
        self.writer, self.clock, self.suite, self.check = writer, clock, suite, check
        self.lanes, self.settings, self.fit = lanes, settings, fit

    def run(self, pair: plan.Pair) -> None:
        """Probe one pair and commit its records, whatever becomes of it."""
        train = test = None
        problem, status = pair.problem, Status.BAD_DATA
        results: list[LaneResult] = []
        if not problem:
            try:
                with self.clock("read"):
                    train = pair.element.split(pair.info.id, "train")
                    test = pair.element.split(pair.info.id, "test")
                    self.check.require_same(pair.info.id, {s.split: s.data_digest for s in (train, test)})
                    self.writer.check_task(pair.info.id, _task_meta(train, test))
                    X_train, X_test = pair.element.read(train.rows), pair.element.read(test.rows)
                problem = _non_finite(X_train, X_test)
                if problem:
                    status = Status.BAD_EMBEDDING
                else:
                    with self.clock("fit"):
                        results = self.fit(X_train, train.labels, X_test, test.labels, self.lanes)
            except GenebError as error:
                problem = plan.one_line(error)
        with self.clock("write"):
            self._commit(pair, train, test, results, problem, status)

    def _commit(
        self,
        pair: plan.Pair,
        train: SplitIndex | None,
        test: SplitIndex | None,
        results: Sequence[LaneResult],
        problem: str,
        status: Status,
    ) -> None:
        if problem or train is None or test is None:
            records = [self._record(pair, lane, train, test, status=status, message=problem) for lane in self.lanes]
            self.writer.write_pair(pair.element.key, records, None, np.zeros(0, np.int64))
            return
        records = [self._scored(pair, result, train, test) for result in results]
        fill = test.labels[:1].repeat(len(test))  # stands in where a lane has no prediction; never read back
        predicted = np.stack([fill if r.predictions is None else r.predictions for r in results])
        self.writer.write_pair(pair.element.key, records, predicted, test.labels)

    def _scored(self, pair: plan.Pair, result: LaneResult, train: SplitIndex, test: SplitIndex) -> Record:
        scored = result.status.has_score
        return self._record(
            pair,
            result.lane,
            train,
            test,
            status=result.status,
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
        )

    def _record(
        self,
        pair: plan.Pair,
        lane: Lane,
        train: SplitIndex | None,
        test: SplitIndex | None,
        *,
        status: Status,
        **values: object,
    ) -> Record:
        manifest, settings = pair.element.manifest, self.settings
        identity = (
            manifest.digest,
            self.suite.name,
            self.suite.version,
            pair.info.id,
            lane.regime.name,
            lane.seed,
            lane.spec.digest,
            settings.engine,
            settings.dtype,
        )
        return Record(
            record_id=record_id(*identity),
            encoder=manifest.name,
            encoder_digest=manifest.digest,
            suite=self.suite.name,
            suite_version=self.suite.version,
            task=pair.info.id,
            category=pair.info.category,
            regime=lane.regime.name,
            seed=lane.seed,
            probe=lane.spec.name,
            probe_digest=lane.spec.digest,
            C=lane.spec.C,
            engine=settings.engine,
            dtype=settings.dtype,
            status=status.label,
            n_train_total=None if train is None else len(train),
            n_test=None if test is None else len(test),
            width=manifest.width,
            **values,  # type: ignore[arg-type]
        )


def _lanes(regimes: Sequence[str], seeds: Sequence[int], specs: Sequence[LogisticSpec]) -> list[Lane]:
    for name, given in (("regime", regimes), ("seed", seeds), ("probe", specs)):
        if not given:
            raise UsageError(f"no {name} was given", cure="give at least one, or leave the option out")
        if len(set(given)) != len(given):
            raise UsageError(f"a {name} was given twice", cure="give each once")
    return [Lane(Regime.parse(r), seed, spec) for spec in specs for r in regimes for seed in seeds]


def _fitter(engine: Engine, dtype: Dtype) -> FitTask:
    if engine == "jax":
        from geneb_jax.probe.fit import fit_task
        from geneb_jax.run.compile_cache import enable_compile_cache

        enable_compile_cache()
        return partial(fit_task, dtype=dtype)
    from geneb_jax.probe.harness import fit_task_sklearn

    return partial(fit_task_sklearn, stock=engine == "sklearn")


def _task_meta(train: SplitIndex, test: SplitIndex) -> TaskMeta:
    return TaskMeta(
        n_train=len(train),
        n_test=len(test),
        train_digest=train.data_digest,
        test_digest=test.data_digest,
        labels=np.union1d(train.labels, test.labels).tolist(),
        warnings=list(dict.fromkeys((*train.warnings, *test.warnings))),
    )


def _non_finite(X_train: NumpyFloat, X_test: NumpyFloat) -> str:
    for name, X in (("training", X_train), ("test", X_test)):
        bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
        if len(bad):
            return (
                f"{len(bad)} of {len(X)} {name} vectors hold NaN or infinite values, first row {bad[0]}; "
                "check the encoder and its precision, and embed again"
            )
    return ""


@contextmanager
def _bar(total: int, *, enabled: bool) -> Iterator[Callable[[plan.Pair], None]]:
    """A progress bar on the terminal, with the time left; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("probing"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    quiet = not (enabled and console.is_terminal)
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task("", total=total, last="")

        def advance(pair: plan.Pair) -> None:
            bar.update(task, advance=1, last=f"{pair.element.manifest.name} · {pair.info.label}"[:40])

        yield advance
