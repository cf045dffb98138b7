"""Rows, draws, tasks and many encoders: how often intervals hold the truth, and tests find what is not there.

``python -m benchmarks.studies --out FILE`` writes every table as JSON, ``--markdown`` prints the tables of
docs/uncertainty.md from such a file. Studies are made by `benchmarks.simulated`; intervals and tests are the package's
own, called as the commands call them. A share of `repeats` studies is known to ±2·√(p(1-p)/repeats): ±1 with 2,000.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from benchmarks.simulated import Study, simulate
from geneb_jax.axes import NumpyFloat
from geneb_jax.published import tasks
from geneb_jax.stats.bootstrap import Distribution, Source, task_distribution
from geneb_jax.stats.compare import Paired, Rivals, paired_wins
from geneb_jax.stats.intervals import interval
from geneb_jax.stats.means import CategorySums, Mean
from geneb_jax.stats.task_spread import task_means

RESAMPLES: Final = 400
LEVEL: Final = 0.95
GENEB: Final = tuple(Counter(task.category for task in tasks()).values())
"""Tasks of GENEB's categories."""

Row = dict[str, Any]

TYPE: Final = {"geneb_type": "simulated-studies", "geneb_version": 1}


def draws_table(repeats: int) -> Iterator[Row]:
    """Rows and draws together, one task and macro of several: standard errors, coverage of scores and differences."""
    one = Study(strengths=(0.7, 0.7))
    studies = {
        "one task, few effects of draws": replace(one, effect=0.05, fit=1.0),
        "one task": one,
        "one task, strong effects of draws": replace(one, effect=0.4),
        "one task, 100 rows": replace(one, n=100),
        "one task, 4 classes, 5 : 1": replace(one, k=4, odds=5),
        "one task, 3 draws": replace(one, draws=3),
        "one task, 20 draws": replace(one, draws=20),
        "3 categories of 1, 2 and 3 tasks, related": replace(one, n=200, categories=(1, 2, 3), over_tasks=0.65),
        "3 categories of 1, 2 and 3 tasks, unrelated": replace(one, n=200, categories=(1, 2, 3), over_tasks=0.0),
        "GENEB's categories, related a little": replace(one, n=200, categories=GENEB, over_tasks=0.14),
    }
    sources: tuple[Source, ...] = ("both", "draws", "rows")
    for name, study in studies.items():
        many = len(study.tasks) > 10
        for source in sources if name == "one task" else sources[:1]:
            scope = "task" if len(study.tasks) == 1 else "macro"
            errors: dict[str, list[tuple[float, float, bool]]] = {"score": [], "difference": []}
            count = max(repeats // 8, 1) if many else repeats
            for seed in range(count):
                found, true = mean_of(study, seed, source, scope, resamples=RESAMPLES)
                C = found.covariance
                ends = interval(found.values[:, 0], found.estimate[0])
                errors["score"].append((found.estimate[0] - true[0], C[0, 0], bool(ends[0] <= true[0] <= ends[1])))
                gap = found.estimate[0] - found.estimate[1]
                low, high = interval(found.values[:, 0] - found.values[:, 1], gap)
                errors["difference"].append((gap, C[0, 0] + C[1, 1] - 2 * C[0, 1], bool(low <= 0 <= high)))
            row: Row = {"study": name, "source": source, "repeats": count}
            for what, rows in errors.items():
                error, variance, held = map(np.array, zip(*rows, strict=True))
                row[f"{what}: s.e. over truth"] = round(float(np.sqrt(variance.mean() / (error**2).mean())), 3)
                row[f"{what}: held"] = round(100 * float(held.mean()), 1)
            yield row


def mean_of(study: Study, seed: int, source: Source, scope: str, *, resamples: int) -> tuple[Distribution, NumpyFloat]:
    """One study's distribution of a mean over its tasks, and the true values."""
    samples, true = simulate(study, seed)
    sums: CategorySums[Distribution] = CategorySums()
    means: CategorySums[NumpyFloat] = CategorySums()
    for sample, own in zip(samples, true, strict=True):
        found = task_distribution(sample, "mcc", source=source, resamples=resamples, seed=seed, influence=False)
        sums.add(sample.category, found)
        means.add(sample.category, own)
    wanted = "macro" if scope == "task" else scope  # of one task they are the same

    def pick(among: Iterator[Mean[Any]]) -> Any:
        return next(mean.value for mean in among if mean.scope == wanted)

    return pick(sums.means()), pick(means.means())


def families_table(repeats: int) -> Iterator[Row]:
    """How often any of several equal encoders is called different, and any worse than the leader."""
    settings = {
        "full data": Study(draws=0, n=300),
        "5 draws, few effects": Study(n=300),
        "5 draws, strong effects": Study(n=300, effect=0.4, over_encoders=0.2, fit=0.3),
        "20 draws, strong effects": Study(n=300, draws=20, effect=0.4, over_encoders=0.2, fit=0.3),
    }
    for name, study in settings.items():
        for encoders in (2, 10, 40):
            count = max(repeats // (4 if encoders > 10 else 1), 1)
            differ = worse = 0
            for seed in range(count):
                (sample,), _ = simulate(replace(study, strengths=(0.7,) * encoders), 50_000 + seed)
                found = task_distribution(sample, "mcc", resamples=RESAMPLES, seed=seed, influence=False)
                wins = paired_wins(sample, np.arange(encoders))
                names = tuple(unit.series for unit in sample.units)
                pairs = Rivals.of("task", "t", "r", names, Paired(found, wins, study.n - 1, True), LEVEL)
                differ += bool(pairs.tests.apart.any())
                worse += bool(pairs.tests.apart[: encoders - 1].any())
            yield {
                "draws": name, "encoders": encoders, "repeats": count, "any pair": round(100 * differ / count, 1),
                "any worse than the leader": round(100 * worse / count, 1),
            }  # fmt: skip


def tasks_table(repeats: int) -> Iterator[Row]:
    """Tasks drawn anew in GENEB's categories, whose tasks differ by the same or by other amounts."""
    categories = [f"c{c}" for c, size in enumerate(GENEB) for _ in range(size)]
    for uneven in (0.0, 0.3, 0.5):
        rng = np.random.default_rng(7)
        held: Counter[str] = Counter()
        for _ in range(repeats * 4):
            scale = np.exp(uneven * rng.standard_normal(len(GENEB)))
            for mean in task_means(rng.standard_normal(len(categories)) * np.repeat(scale, GENEB), categories):
                low, high = mean.ends(LEVEL)
                held[mean.name] += low <= 0 <= high
        share = {name: round(100 * count / (repeats * 4), 1) for name, count in held.items()}
        several = [share[f"c{c}"] for c, size in enumerate(GENEB) if size > 1]
        single = [share[f"c{c}"] for c, size in enumerate(GENEB) if size == 1]
        yield {
            "categories differ by a factor of about": round(float(np.exp(uneven)), 2), "macro": share["macro"],
            "micro": share["micro"], "category, lowest": min(several), "category, highest": max(several),
            "category of one task": min(single),
        }  # fmt: skip


TABLES: Final[dict[str, Callable[[int], Iterator[Row]]]] = {
    "draws": draws_table,
    "families": families_table,
    "tasks": tasks_table,
}


def markdown(rows: Sequence[Row]) -> str:
    """A table of rows that have the same columns."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(f"{value:,}" if isinstance(value, int) else str(value)
                                                  for value in row.values()) + " |" for row in rows)])  # fmt: skip


@click.command()
@click.option("--repeats", default=1_000, show_default=True, help="Simulated studies of a row, fewer of large ones.")
@click.option("--table", "names", multiple=True, type=click.Choice(tuple(TABLES)), help="Only these.")
@click.option("--out", type=click.Path(path_type=Path), help="Write JSON here, keeping other tables that it holds.")
@click.option("--markdown", "shown", type=click.Path(path_type=Path, exists=True), help="Print this file's tables.")
def main(repeats: int, names: Sequence[str], out: Path | None, shown: Path | None) -> None:
    """Simulate and tabulate coverage, type I and standard errors."""
    if shown is not None:
        for name, table in json.loads(shown.read_text())["tables"].items():
            click.echo(f"{name}, {table['repeats']:,} studies\n\n{markdown(table['rows'])}\n")
        return
    held: dict[str, Any] = json.loads(out.read_text()) if out and out.exists() else {**TYPE, "tables": {}}
    for name in names or TABLES:
        began = time.perf_counter()
        rows = []
        for row in TABLES[name](repeats):
            rows.append(row)
            click.echo(row, err=True)
        seconds = round(time.perf_counter() - began)
        held["tables"][name] = {"repeats": repeats, "resamples": RESAMPLES, "seconds": seconds, "rows": rows}
        if out is not None:
            out.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
        else:
            click.echo(f"{name}, {repeats:,} studies\n\n{markdown(rows)}\n")


if __name__ == "__main__":
    main()
