"""How often 95 % intervals of a score hold the truth: simulation from populations whose score is known.

``python -m benchmarks.coverage`` prints the table of docs/uncertainty.md. A population is a distribution over the k²
cells (true, predicted); its score follows from the cells. Each of many test splits of n rows is a multinomial draw, and
gets intervals by the package's own functions from resamples of its rows.
"""

from __future__ import annotations

import click
import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import METRICS, Metric
from geneb_jax.stats.bootstrap import acceleration
from geneb_jax.stats.counts import columns, scores
from geneb_jax.stats.intervals import METHODS, interval

SIZES = (50, 100, 300, 1_000, 5_000)
BALANCES = {"equal classes": 1.0, "9 : 1": 9.0}
CLASSES = (2, 5)
ACCURACIES = (0.65, 0.9)


def population(k: int, odds: float, accuracy: float) -> NumpyFloat:
    """Cells (k, k) where the first class is `odds` times as frequent as each other one, and rows are classified right
    with this chance, else as any other class."""
    share = np.array([odds] + [1.0] * (k - 1))
    share /= share.sum()
    right = np.where(np.eye(k, dtype=bool), accuracy, (1 - accuracy) / (k - 1))
    return share[:, None] * right


def coverage(
    cells: NumpyFloat, n: int, metric: Metric, *, splits: int, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Per method: the share of intervals that hold the truth, and their mean width."""
    k = len(cells)
    truth, predicted = (np.ravel(side) for side in np.indices((k, k)))
    by_cell, layout = columns(truth, predicted[None], k, metric)
    exact = scores(1e6 * np.ravel(cells)[None] @ by_cell, layout, metric)
    generator = np.random.default_rng(seed)
    held = dict.fromkeys(METHODS, 0)
    width = dict.fromkeys(METHODS, 0.0)
    for _ in range(splits):
        counts = generator.multinomial(n, np.ravel(cells))
        estimate = scores(counts[None] @ by_cell, layout, metric)[0][0]
        drawn = generator.multinomial(n, counts / n, size=resamples)
        values = scores(drawn @ by_cell, layout, metric)[0]
        present = counts > 0
        without = scores(counts @ by_cell - by_cell[present], layout, metric)[0][:, 0]
        centre = (counts[present] * without).sum() / n
        influence = (n - 1) * (centre - without) / n
        a = acceleration((counts[present] * influence**2).sum(), (counts[present] * influence**3).sum())
        for method in METHODS:
            low, high = interval(values, estimate, method=method, acceleration=a)
            held[method] += int(low[0] <= exact[0][0, 0] <= high[0])
            width[method] += float(high[0] - low[0])
    return {method: (held[method] / splits, width[method] / splits) for method in METHODS}


@click.command()
@click.option("--splits", default=2_000, show_default=True, help="Simulated test splits of each population.")
@click.option("--resamples", default=2_000, show_default=True, help="Resamples of each split.")
@click.option("--metric", type=click.Choice(METRICS), default="mcc", show_default=True)
def main(splits: int, resamples: int, metric: Metric) -> None:
    """Print a Markdown table of coverage by classes, balance, accuracy, rows and method."""
    click.echo("| classes | balance | accuracy | rows | " + " | ".join(METHODS) + " |")
    click.echo("|---" * (4 + len(METHODS)) + "|")
    for k in CLASSES:
        for balance, odds in BALANCES.items():
            for accuracy in ACCURACIES:
                for n in SIZES:
                    found = coverage(
                        population(k, odds, accuracy), n, metric, splits=splits, resamples=resamples, seed=n
                    )  # fmt: skip
                    shares = " | ".join(f"{100 * found[m][0]:.1f}" for m in METHODS)
                    click.echo(f"| {k} | {balance} | {accuracy:g} | {n:,} | {shares} |")


if __name__ == "__main__":
    main()
