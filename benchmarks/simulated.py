"""Studies with known true scores, to see how often intervals and tests are right.

An encoder's fit is right on a row where

    strength + effect of the draw + difficulty of the row + the encoder's own view of it + the fit's own view of it > 0,

all normal; a wrong answer is any other class. Difficulty is shared by all encoders and draws, which is why differences
are paired; the encoder's view by its draws. The effect of a draw has parts that a seed brings to every task and parts
that it brings to every encoder. The true score of an encoder on a task is the mean over all draws of the score on all
rows: the chance of a right answer given the draw's effect is normal too, so it is an integral.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.counts import columns, scores
from geneb_jax.stats.samples import TaskSample, Unit

NODES = 60
"""Of the integral over draws."""


@dataclass(frozen=True)
class Study:
    """What is simulated. Standard deviations are in units of the whole latent score of a fit on a row, about 1.

    categories: tasks of each. odds: how many times the first class is as frequent as each other one. strengths: of the
    encoders, one number each; `between_tasks` is the standard deviation of what tasks add to all of them. effect: of a
    draw; `over_tasks` and `over_encoders` are the parts of its variance that a seed brings to all tasks and encoders.
    fit, view: standard deviation of the fit's and of the encoder's own view of a row. draws: 0 is full data, one fit.
    """

    categories: tuple[int, ...] = (1,)
    n: int = 400
    k: int = 2
    odds: float = 1.0
    strengths: tuple[float, ...] = (0.7, 0.7)
    between_tasks: float = 0.0
    draws: int = 5
    effect: float = 0.15
    over_tasks: float = 0.3
    over_encoders: float = 0.5
    fit: float = 0.5
    view: float = 0.5

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """Names of the tasks and of their categories."""
        return [(f"t{c}.{i}", f"c{c}") for c, size in enumerate(self.categories) for i in range(size)]

    @property
    def shares(self) -> NumpyFloat:
        """How frequent the classes are."""
        share = np.array([self.odds] + [1.0] * (self.k - 1))
        return share / share.sum()


def units(study: Study, regime: str) -> tuple[Unit, ...]:
    """The encoders."""
    K = max(study.draws, 1)
    return tuple(
        Unit(Series(f"e{i}", f"{i}", "logistic", "p", 1.0, "jax", "float32"), regime, tuple(range(i * K, (i + 1) * K)))
        for i in range(len(study.strengths))
    )


def simulate(study: Study, seed: int, metric: Metric = "mcc") -> tuple[list[TaskSample], NumpyFloat]:
    """One study: the samples of its tasks, and the true scores (t, e) of its encoders."""
    rng = np.random.default_rng(seed)
    E, K, n = len(study.strengths), max(study.draws, 1), study.n
    effect = study.effect if study.draws else 0.0
    members = units(study, f"{10}shot" if study.draws else "full")
    strengths = np.asarray(study.strengths)
    seeds = _parts(rng, study, (K, E))
    samples, true = [], []
    for task, category in study.tasks:
        base = strengths + study.between_tasks * rng.standard_normal()
        both = np.sqrt(study.over_tasks) * seeds + np.sqrt(1 - study.over_tasks) * _parts(rng, study, (K, E))
        latent = (base + effect * both).T[:, :, None] + rng.standard_normal(n)
        latent = latent + study.view * rng.standard_normal((E, 1, n)) + study.fit * rng.standard_normal((E, K, n))
        truth = rng.choice(study.k, size=n, p=study.shares)
        other = (truth + rng.integers(1, study.k, (E, K, n))) % study.k
        predicted = np.where(latent > 0, truth, other).reshape(E * K, n)
        samples.append(TaskSample(task, category, study.k, truth, predicted, members))
        true.append(true_scores(study, base, metric))
    return samples, np.array(true)


def _parts(rng: np.random.Generator, study: Study, shape: tuple[int, int]) -> NumpyFloat:
    """Standard normal effects (K, E), a part of each common to all encoders."""
    K, E = shape
    common, own = rng.standard_normal((K, 1)), rng.standard_normal((K, E))
    return np.asarray(np.sqrt(study.over_encoders) * common + np.sqrt(1 - study.over_encoders) * own)


def true_scores(study: Study, strengths: NumpyFloat, metric: Metric) -> NumpyFloat:
    """Scores (e,) on all rows, averaged over all draws."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights /= weights.sum()
    effect = study.effect if study.draws else 0.0
    right = norm.cdf((strengths[:, None] + effect * nodes) / np.sqrt(1 + study.view**2 + study.fit**2))
    k = study.k
    truth, predicted = (np.ravel(side) for side in np.indices((k, k)))
    by_cell, layout = columns(truth, predicted[None], k, metric)
    diagonal = (truth == predicted).astype(np.float64)
    cells = study.shares[truth] * (
        right[..., None] * diagonal + (1 - right[..., None]) / max(k - 1, 1) * (1 - diagonal)
    )
    found, _ = scores(1e6 * cells.reshape(-1, k * k) @ by_cell, layout, metric)
    return np.asarray(found.reshape(right.shape) @ weights)
