"""What every row is made of: its definition, the settings of a run, and the common part of the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.ceilings import floor_work, measure_ceilings
from benchmarks.peak import peak_memory
from benchmarks.record import Check, Rival, Row, Shape, Steady, Target
from benchmarks.timing import Timed, time_call
from benchmarks.workloads import Problem, Size, available, geneb_lanes, load_problem, workload
from geneb_jax.probe import Lane, LaneResult, fit_task


@dataclass(frozen=True)
class Context:
    """Settings of one run.

    cap: seconds after which a rival's single run in a race is given up. clear: forget compiled programs before every
    first call, so that its compile time is honest; tests leave them.
    """

    size: Size = "real"
    data: Path | None = None
    repeats: int = 7
    memory: bool = True
    stock_dtypes: tuple[str, ...] = ("float32", "float64")
    cap: float = 60.0
    clear: bool = True
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Goal:
    """A target of the row: measure, direction, bound."""

    measure: str
    sense: str
    bound: float

    @property
    def text(self) -> str:
        """As in the listing."""
        return f"{self.measure.replace('_', ' ')} {self.sense} {self.bound:g}"


@dataclass(frozen=True)
class Bench:
    """A named row: the work, the rival, the goals, and the function that measures it."""

    name: str
    what: str
    rival: str
    real: str
    toy: str
    goals: tuple[Goal, ...]
    measure: Callable[[Context, Bench], Row]
    lanes: Callable[[Size], list[Lane]] = field(default=lambda size: geneb_lanes())
    points: Mapping[Size, Sequence[int]] | None = None

    def workload_name(self, size: Size) -> str:
        """The workload at a size."""
        return self.toy if size == "toy" else self.real

    def here(self, size: Size, data: Path | None) -> bool:
        """Whether its data are on this machine."""
        return available(workload(self.workload_name(size)), data)

    def problem(self, context: Context) -> Problem:
        """The workload's arrays."""
        return load_problem(workload(self.workload_name(context.size)), context.data)


def fit(problem: Problem, lanes: Sequence[Lane]) -> list[LaneResult]:
    """Our side of every row: from NumPy arrays to scores, transfer included, float32."""
    return fit_task(problem.X_train, problem.y_train, problem.X_test, problem.y_test, lanes)


def time_fit(context: Context, problem: Problem, lanes: Sequence[Lane]) -> Timed[list[LaneResult]]:
    """First and steady calls of `fit`."""
    context.say(f"our fit of {len(lanes)} probes on {problem.n:,} × {problem.d:,}")
    return time_call(lambda: fit(problem, lanes), repeats=context.repeats, clear=context.clear)


def finish(
    context: Context,
    bench: Bench,
    problem: Problem,
    lanes: Sequence[Lane],
    timed: Timed[list[LaneResult]],
    check: Check,
    *,
    rivals: Sequence[Rival] = (),
    main: int = 1,
    measures: Mapping[str, float] | None = None,
    points: Sequence[Mapping[str, float]] = (),
    ceilings: bool = True,
    load: float | None = None,
) -> Row:
    """Assemble the row. `main`: how many of the first rivals make up the as-shipped ratio; all make up the best."""
    shipped = [rival.as_shipped for rival in rivals[:main] if rival.as_shipped is not None]
    best = [rival.best for rival in rivals if rival.best is not None]
    figures: dict[str, float] = dict(measures or {})
    ratios = {
        "ratio_as_shipped": min(shipped) / timed.median if shipped else None,
        "ratio_best": min(best) / timed.median if best else None,
    }
    memory = None
    if context.memory or bench.rival == "bytes of X":
        context.say("peak memory in a fresh process")
        memory = peak_memory(problem, lanes)
        figures["peak_over_allowed"] = memory.peak_bytes / memory.allowed_bytes
    targets = []
    for goal in bench.goals:
        value = ratios.get(goal.measure, figures.get(goal.measure))
        met = None if value is None else value >= goal.bound if goal.sense == "≥" else value <= goal.bound
        targets.append(
            Target(
                measure=goal.measure,
                value=value,
                sense=goal.sense,  # type: ignore[arg-type]
                bound=goal.bound,
                met=met if context.size == "real" else None,
            )
        )
    if ceilings:
        context.say("ceilings of the machine")
    flops, traffic = floor_work(problem, lanes)
    return Row(
        name=bench.name,
        what=bench.what,
        size=context.size,
        workload=Shape(
            name=problem.workload.name,
            n=problem.n,
            m=problem.m,
            d=problem.d,
            k=problem.classes,
            lanes=len(lanes),
        ),
        device=machine.device(),
        dtype="float32",
        precision="highest",
        compile_s=timed.compile,
        first_s=timed.first,
        steady_s=Steady(median=timed.median, min=min(timed.steady), max=max(timed.steady), repeats=len(timed.steady)),
        compilations=timed.compilations,
        steady_compilations=timed.steady_compilations,
        cache_hits=timed.cache_hits,
        rivals=list(rivals),
        ratio_as_shipped=ratios["ratio_as_shipped"],
        ratio_best=ratios["ratio_best"],
        measures=figures,
        targets=targets,
        check=check,
        flops=flops,
        bytes=traffic,
        bytes_X=problem.bytes_X,
        ceilings=measure_ceilings(problem, lanes, timed.median, context.size) if ceilings else None,
        memory=memory,
        points=[dict(point) for point in points],
        versions=machine.versions(),
        commit=machine.commit(),
        dirty=machine.dirty(),
        date=machine.now(),
        load=load,
    )
