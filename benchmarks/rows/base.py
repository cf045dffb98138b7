"""What every row is made of: its definition, the settings of a run, and the common part of the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import machine
from benchmarks.ceilings import floor_work, forms_gram, measure_ceilings
from benchmarks.peak import peak_memory
from benchmarks.record import Ceilings, Check, Memory, Rival, Row, Shape, Steady, Target
from benchmarks.timing import Timed, time_call
from benchmarks.workloads import Problem, Size, available, geneb_lanes, load_problem, workload
from geneb_jax.probes import Lane, LaneResult, LogisticSpec, fit_task


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
    sense: Literal["≥", "≤"]
    bound: float

    @property
    def text(self) -> str:
        """As in the listing."""
        return f"{self.measure.replace('_', ' ')} {self.sense} {self.bound:g}"


@dataclass(frozen=True)
class Bench:
    """A named row: the work, the rival, the goals, and the function that measures it.

    `work` makes the call that is timed, for a profile; None where it is no single call.
    """

    name: str
    what: str
    rival: str
    real: str
    toy: str
    goals: tuple[Goal, ...]
    measure: Callable[[Context, Bench], Row]
    lanes: Callable[[Size], list[Lane]] = field(default=lambda size: geneb_lanes())
    points: Mapping[Size, Sequence[int]] | None = None
    work: Callable[[Context, Bench], Callable[[], object]] | None = field(default=lambda *row: fitting(*row))

    def workload_name(self, size: Size) -> str:
        """The workload at a size."""
        return self.toy if size == "toy" else self.real

    def source(self, size: Size) -> tuple[str, str]:
        """The task and the encoder, for the list."""
        shape = workload(self.workload_name(size))
        return f"{shape.home}/{shape.task}", shape.encoder

    def here(self, size: Size, data: Path | None) -> bool:
        """Whether its data are on this machine."""
        return available(workload(self.workload_name(size)), data)

    def problem(self, context: Context) -> Problem:
        """The workload's arrays."""
        return load_problem(workload(self.workload_name(context.size)), context.data)


def fit(problem: Problem, lanes: Sequence[Lane]) -> list[LaneResult]:
    """Our side of every row: from NumPy arrays to scores, transfer included, float32."""
    return fit_task(problem.X_train, problem.y_train, problem.X_test, problem.y_test, lanes)


def fitting(context: Context, bench: Bench) -> Callable[[], object]:
    """The row's fit, to be called."""
    problem, lanes = bench.problem(context), bench.lanes(context.size)
    return lambda: fit(problem, lanes)


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
    """The row of a fit. `main`: how many of the first rivals make up the as-shipped ratio; all make up the best."""
    figures: dict[str, float] = dict(measures or {})
    memory = None
    if context.memory or bench.rival == "bytes of X":
        context.say("peak memory in a fresh process")
        memory = peak_memory(problem, lanes)
        figures["peak_over_allowed"] = memory.peak_bytes / memory.allowed_bytes
    gram = any(lane.regime.shots is None for lane in lanes) and (
        problem.n < problem.d
        or any(result.solver == "newton" for result in timed.value)
        or forms_gram(lambda: fit(problem, [lane for lane in lanes if isinstance(lane.spec, LogisticSpec)]))
    )
    flops, traffic = floor_work(problem, lanes, gram=gram)
    figures["floor_holds_a_gram"] = float(gram)
    machines = None
    if ceilings:
        context.say("ceilings of the machine")
        machines = measure_ceilings(flops, traffic, timed.median, context.size, gram_of=problem.X_train)
    return assemble(
        context,
        bench,
        Shape(name=problem.workload.name, n=problem.n, m=problem.m, d=problem.d, k=problem.classes, lanes=len(lanes)),
        timed,
        check,
        rivals=rivals,
        main=main,
        measures=figures,
        work=(flops, traffic),
        bytes_X=problem.bytes_X,
        ceilings=machines,
        memory=memory,
        points=points,
        load=load,
    )


def assemble(
    context: Context,
    bench: Bench,
    shape: Shape,
    timed: Timed[Any],
    check: Check,
    *,
    rivals: Sequence[Rival] = (),
    main: int = 1,
    measures: Mapping[str, float] | None = None,
    work: tuple[int | None, int | None] = (None, None),
    bytes_X: int = 0,
    ceilings: Ceilings | None = None,
    memory: Memory | None = None,
    points: Sequence[Mapping[str, float]] = (),
    precision: str = "highest",
    load: float | None = None,
) -> Row:
    """The row of any work: ratios to its rivals (`main` as in `finish`), its goals, and where it ran.

    `work` is the least (flops, bytes), None where it was not counted.
    """
    shipped = [rival.as_shipped for rival in rivals[:main] if rival.as_shipped is not None]
    best = [rival.best for rival in rivals if rival.best is not None]
    ratios = {
        "ratio_as_shipped": min(shipped) / timed.median if shipped else None,
        "ratio_best": min(best) / timed.median if best else None,
    }
    figures = dict(measures or {})
    return Row(
        name=bench.name,
        what=bench.what,
        size=context.size,
        workload=shape,
        dtype="float32",
        precision=precision,
        compile_s=timed.compile,
        first_s=timed.first,
        steady_s=Steady(median=timed.median, min=min(timed.steady), max=max(timed.steady), repeats=len(timed.steady)),
        compilations=timed.compilations,
        steady_compilations=timed.steady_compilations,
        cache_hits=timed.cache_hits,
        rivals=list(rivals),
        **ratios,
        measures=figures,
        targets=[_target(goal, ratios.get(goal.measure, figures.get(goal.measure)), context) for goal in bench.goals],
        check=check,
        flops=work[0],
        bytes=work[1],
        bytes_X=bytes_X,
        ceilings=ceilings,
        memory=memory,
        points=[dict(point) for point in points],
        load=load,
        **machine.facts(),
    )


def _target(goal: Goal, value: float | None, context: Context) -> Target:
    met = None
    if value is not None and context.size == "real":
        met = value >= goal.bound if goal.sense == "≥" else value <= goal.bound
    return Target(measure=goal.measure, value=value, sense=goal.sense, bound=goal.bound, met=met)
