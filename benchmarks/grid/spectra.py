"""What real embeddings look like, in the six numbers that the grid's synthetic ones are drawn with.

``python -m benchmarks.grid.spectra ENCODER…`` prints them for real encoders on real tasks. They are:

- ``decay``: the eigenvalues of the columns' correlation matrix fall like j^-decay (least squares of log over log, the
  first half of them);
- ``size``: median standard deviation of the columns;
- ``spread``: standard deviation of the log of the columns' standard deviations;
- ``offset``: median over columns of |mean| / standard deviation;
- ``signal_share``: how much of the squared distance between the classes' means, in units of the spread within them and
  with what chance adds taken away, lies in the first tenth of the components;
- ``signal_decay``: that share as the exponent of a power law over the components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy.optimize import brentq

from benchmarks.workloads import Workload, find_data, load_problem
from geneb_jax.axes import NumpyFloat, NumpyInt

ROWS = 4_000
TASKS = ("leannmlindsey_GUE_prom_core_notata", "deep4mc_E.coli_4mC", "leannmlindsey_GUE_mouse_0")


@dataclass(frozen=True)
class Spectrum:
    """The six numbers; the module says what they are."""

    decay: float
    size: float
    spread: float
    offset: float
    signal_share: float
    signal_decay: float


def tenth(d: int) -> int:
    """How many components are the first tenth."""
    return max(1, d // 10)


def share_of_tenth(exponent: float, d: int) -> float:
    """The first tenth's share of Σ j^-exponent over d components."""
    mass = np.arange(1, d + 1.0) ** -exponent
    return float(mass[: tenth(d)].sum() / mass.sum())


def measure(X: NumpyFloat, y: NumpyInt) -> Spectrum:
    """The numbers of embeddings X (n, d) with two classes; columns that do not vary are left out."""
    X = np.asarray(X, np.float64)
    mean, size = X.mean(axis=0), X.std(axis=0)
    varies = size > 1e-6 * np.abs(mean) + 1e-12
    X, mean, size = (X[:, varies] - mean[varies]) / size[varies], mean[varies], size[varies]
    values, vectors = np.linalg.eigh(X.T @ X / len(X))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > 1e-6 * values[0]  # what rounding made is no component
    values, vectors = values[kept], vectors[:, kept]
    half = np.arange(1, max(3, len(values) // 2) + 1)
    decay = -float(np.polyfit(np.log(half), np.log(values[: len(half)]), 1)[0])
    white = X @ vectors / np.sqrt(values)
    first, second = (white[y == label] for label in np.unique(y)[:2])
    chance = 1 / len(first) + 1 / len(second)
    apart = np.maximum((first.mean(axis=0) - second.mean(axis=0)) ** 2 - chance, 0)
    d = len(values)
    share = float(apart[: tenth(d)].sum() / max(apart.sum(), 1e-12))
    inside = np.clip(share, share_of_tenth(-2.0, d) + 1e-9, share_of_tenth(6.0, d) - 1e-9)
    exponent = float(brentq(lambda power: share_of_tenth(power, d) - inside, -2.0, 6.0))
    return Spectrum(
        decay, float(np.median(size)), float(np.log(size).std()), float(np.median(np.abs(mean) / size)), share, exponent
    )


@click.command()
@click.argument("encoders", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path), help="As for the benchmarks.")
def main(encoders: Sequence[str], data: Path | None) -> None:
    """Print the numbers of every ENCODER on the tasks, and their medians over the tasks."""
    for encoder in encoders:
        found = []
        for task in TASKS:
            shape = Workload(f"spectrum-{task}", "geneb", task, encoder, rows=ROWS, test_rows=1)
            problem = load_problem(shape, find_data(data))
            found.append(measure(problem.X_train, problem.y_train))
        middle = {name: float(np.median([getattr(one, name) for one in found])) for name in Spectrum.__annotations__}
        figures = ", ".join(f"{name} {value:.3g}" for name, value in middle.items())
        click.echo(f"{encoder.rsplit('/', 1)[-1]}, width {problem.d}: {figures}")


if __name__ == "__main__":
    main()
