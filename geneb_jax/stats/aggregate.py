"""From records to scores: the mean over draws first, then categories, macro and micro, as GENEB defines them.

- The score of a task is the mean over its draws (five seeds in GENEB).
- A category's score is the mean over its tasks; **macro** is the mean of the categories, **micro** of the tasks.
- A suite of which some tasks have no score is *partial*: macro and micro are over what is there, and the aggregate
  names what is missing. Partial aggregates of different tasks must not be compared.
- The spread of an aggregate is the standard deviation (ddof 1) of the same aggregate computed draw by draw. At full
  data there is none: lbfgs ignores the seed, so the five fits are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from geneb_jax.run.controls import require_one_control
from geneb_jax.run.presets import require_one_preset
from geneb_jax.stats.marks import DEFAULT_C, SHORT, is_short
from geneb_jax.stats.ties import best_first
from geneb_jax.status import Status

if TYPE_CHECKING:
    import pyarrow as pa

Metric = Literal["mcc", "accuracy", "macro_f1"]
METRICS: Final[tuple[Metric, ...]] = ("mcc", "accuracy", "macro_f1")
FLOOR_FAMILY: Final = "kmer"


@dataclass(frozen=True)
class Series:
    """What is compared with what: one encoder under one probe, engine and precision.

    `C` is None where each fit has its own, chosen on held-out training rows.
    """

    encoder: str
    encoder_digest: str
    probe: str
    probe_digest: str
    C: float | None
    engine: str
    dtype: str


@dataclass(frozen=True)
class TaskScore:
    """One series on one task in one regime: `draws` holds the metric per seed, None where there is no score.

    `chosen` counts the draws by the C that was chosen for them on held-out rows; `num_default` are those that had too
    few rows for a choice. `num_short` draws saw fewer rows of some class than the regime asks for.
    """

    series: Series
    regime: str
    task: str
    category: str
    draws: Mapping[int, float | None]
    statuses: Mapping[Status, int]
    message: str = ""
    chosen: Mapping[float, int] = field(default_factory=dict)
    num_default: int = 0
    num_short: int = 0

    @property
    def num_scores(self) -> int:
        """Draws that have a score."""
        return sum(v is not None for v in self.draws.values())

    @property
    def mean(self) -> float | None:
        """Mean over the draws that have a score; None when none has."""
        values = [v for v in self.draws.values() if v is not None]
        return float(np.mean(values)) if values else None

    @property
    def std(self) -> float | None:
        """Standard deviation over draws (ddof 1); None at full data and for fewer than two scores."""
        values = [v for v in self.draws.values() if v is not None]
        return None if self.regime == "full" or len(values) < 2 else float(np.std(values, ddof=1))

    @property
    def marks(self) -> frozenset[str]:
        """The names of the marks of its fits."""
        found = {status.label for status in self.statuses if status.mark}
        found |= {SHORT} if self.num_short else set()
        return frozenset(found | ({DEFAULT_C} if self.num_default else set()))


@dataclass(frozen=True)
class CategoryScore:
    """Mean over the tasks of a category that have a score, and how many of its tasks those are."""

    mean: float
    num_tasks: int
    num_in_suite: int


@dataclass(frozen=True)
class Aggregate:
    """One series in one regime over a whole suite, or over the part of it that has scores.

    `num_draws` are the fewest and the most draws that a scored task has a score of; `chosen` and `num_default` count
    fits as in `TaskScore`.
    """

    series: Series
    regime: str
    macro: float | None
    micro: float | None
    categories: Mapping[str, CategoryScore]
    num_tasks: int
    num_in_suite: int
    num_categories_in_suite: int
    missing: tuple[str, ...]
    macro_std: float | None = None
    micro_std: float | None = None
    gain: float | None = None
    statuses: Mapping[Status, int] = field(default_factory=dict)
    chosen: Mapping[float, int] = field(default_factory=dict)
    num_default: int = 0
    num_draws: tuple[int, int] = (0, 0)

    @property
    def partial(self) -> bool:
        """Whether some task of the suite has no score."""
        return bool(self.missing)


def task_scores(records: pa.Table, metric: Metric = "mcc") -> list[TaskScore]:
    """One score per (series, regime, task), in the order in which they first occur in the records.

    Raises:
        UsageError: the records are of both presets of registry models, or of a control and of something else, wherever
            they were gathered.
    """
    if "control" in records.column_names:
        sources = dict.fromkeys(zip(records["suite"].to_pylist(), records["control"].to_pylist(), strict=True))
        require_one_control(sources)
    if "preset" in records.column_names:
        pairs = dict.fromkeys(zip(records["encoder"].to_pylist(), records["preset"].to_pylist(), strict=True))
        require_one_preset(((name, {"preset": preset}) for name, preset in pairs), cure="score each preset on its own")
    names = [
        "encoder", "encoder_digest", "probe", "probe_digest", "C", "engine", "dtype", "regime", "task",
        "c_selection", "category", "seed", "status", "message", metric, "n_train", "num_classes",
    ]  # fmt: skip
    columns = [records[name].to_pylist() for name in names]
    # a probe whose C is chosen fit by fit is one series, whatever was chosen
    free = [selection not in (None, "fixed") for selection in columns[9]]
    asked = [None if one else C for one, C in zip(free, columns[4], strict=True)]
    grouped: dict[tuple[Any, ...], list[int]] = {}
    for i, found in enumerate(zip(*columns[:4], asked, *columns[5:9], strict=True)):
        grouped.setdefault(found, []).append(i)
    labels = {s.label: s for s in Status}
    chosen, selections, categories, seeds, statuses, messages, values, sizes, classes = columns[4], *columns[9:]
    return [
        TaskScore(
            series=Series(*group[:7]),
            regime=group[7],
            task=group[8],
            category=categories[rows[0]],
            draws={seeds[i]: values[i] for i in rows},
            statuses=Counter(labels[statuses[i]] for i in rows if statuses[i] in labels),
            message=next((messages[i] for i in rows if messages[i]), ""),
            chosen=dict(sorted(Counter(chosen[i] for i in rows if free[i] and selections[i] == "held-out"
                                       and chosen[i] is not None).items())),
            num_default=sum(selections[i] == "default" for i in rows),
            num_short=sum(is_short(group[7], sizes[i], classes[i]) for i in rows),
        )
        for group, rows in grouped.items()
    ]  # fmt: skip


def aggregate(scores: Iterable[TaskScore], suite: Mapping[str, str], *, floors: Iterable[str] = ()) -> list[Aggregate]:
    """Categories, macro and micro of every series and regime, best macro first within a regime (equal ones by name).

    `suite` maps every task of the suite to its category: the denominator. `floors` are digests of the k-mer
    encoders; the best of them in a regime, over the same tasks and under the same probe, is what `gain`
    counts from.
    """
    grouped: dict[tuple[Series, str], list[TaskScore]] = {}
    for score in scores:
        grouped.setdefault((score.series, score.regime), []).append(score)
    found = [_aggregate_one(series, regime, tasks, suite) for (series, regime), tasks in grouped.items()]
    found = _with_gains(found, set(floors))
    order = {regime: i for i, regime in enumerate(dict.fromkeys(regime for _, regime in grouped))}
    ranked = best_first(found, lambda a: a.macro, lambda a: str(a.series))
    return sorted(ranked, key=lambda a: order[a.regime])


def category_means(values: Mapping[str, float], categories: Mapping[str, str]) -> dict[str, float]:
    """Mean of task values per category, categories in the order of `categories`."""
    members: dict[str, list[float]] = {}
    for task, category in categories.items():
        if task in values:
            members.setdefault(category, []).append(values[task])
    return {category: float(np.mean(v)) for category, v in members.items()}


def macro_micro(values: Mapping[str, float], categories: Mapping[str, str]) -> tuple[float, float] | None:
    """(mean of category means, mean of tasks) of task values; None when there are none."""
    means = category_means(values, categories)
    if not means:
        return None
    return float(np.mean(list(means.values()))), float(np.mean([values[t] for t in categories if t in values]))


def _aggregate_one(series: Series, regime: str, tasks: Iterable[TaskScore], suite: Mapping[str, str]) -> Aggregate:
    scored = {t.task: t for t in tasks}
    # tasks that the suite no longer lists still count, under the category they were recorded with
    categories = {**suite, **{t.task: t.category for t in scored.values() if t.task not in suite}}
    values = {name: t.mean for name, t in scored.items()}
    present = {name: v for name, v in values.items() if v is not None}
    total = Counter(categories.values())
    count = Counter(categories[name] for name in present)
    both = macro_micro(present, categories)
    spread = _spread(regime, [scored[name] for name in present], categories)
    statuses: Counter[Status] = Counter()
    chosen: Counter[float] = Counter()
    for score in scored.values():
        statuses.update(score.statuses)
        chosen.update(score.chosen)
    draws = [scored[name].num_scores for name in present]
    return Aggregate(
        series=series,
        regime=regime,
        macro=both[0] if both else None,
        micro=both[1] if both else None,
        categories={
            name: CategoryScore(mean, count[name], total[name])
            for name, mean in category_means(present, categories).items()
        },
        num_tasks=len(present),
        num_in_suite=len(categories),
        num_categories_in_suite=len(total),
        missing=tuple(name for name in categories if name not in present),
        macro_std=spread[0] if spread else None,
        micro_std=spread[1] if spread else None,
        statuses=dict(statuses),
        chosen=dict(sorted(chosen.items())),
        num_default=sum(score.num_default for score in scored.values()),
        num_draws=(min(draws), max(draws)) if draws else (0, 0),
    )


def _spread(regime: str, scores: list[TaskScore], categories: Mapping[str, str]) -> tuple[float, float] | None:
    """Standard deviation over draws of (macro, micro), over the draws that every task has."""
    if regime == "full" or not scores:
        return None
    complete = [{seed for seed, v in t.draws.items() if v is not None} for t in scores]
    seeds = sorted(set.intersection(*complete))
    if len(seeds) < 2:
        return None
    values = np.asarray([[t.draws[seed] for seed in seeds] for t in scores], dtype=np.float64)
    members: dict[str, list[int]] = {}
    for i, score in enumerate(scores):
        members.setdefault(categories[score.task], []).append(i)
    macro = np.mean([values[rows].mean(axis=0) for rows in members.values()], axis=0)
    return float(np.std(macro, ddof=1)), float(np.std(values.mean(axis=0), ddof=1))


def _with_gains(found: list[Aggregate], floors: set[str]) -> list[Aggregate]:
    from dataclasses import replace

    result = []
    for one in found:
        rivals = [
            other.macro
            for other in found
            if other.series.encoder_digest in floors
            and other.regime == one.regime
            and other.series.probe_digest == one.series.probe_digest
            and (other.series.engine, other.series.dtype) == (one.series.engine, one.series.dtype)
            and other.missing == one.missing
            and other.macro is not None
        ]
        result.append(one if one.macro is None or not rivals else replace(one, gain=one.macro - max(rivals)))
    return result
