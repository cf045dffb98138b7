"""Full data whose penalty outweighs them: no Gram matrix is built, unless the diagonal does not do."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from geneb_jax.probes import rounds
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from tests.problems import assert_reaches, optimum

ROWS, WIDTH = 640, 400


def features(kind: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """Like frequencies of words: a hundredth of one each; `alike`: columns that mix a few directions of all sizes."""
    X = rng.normal(size=(n, WIDTH))
    if kind == "alike":
        mixing = np.random.default_rng(7).normal(size=(60, WIDTH)) * np.logspace(0, -2, 60)[:, None]
        X = rng.normal(size=(n, 60)) @ mixing / np.linalg.norm(mixing, axis=0)
    return (0.01 + 0.05 * X).astype(np.float32)


@pytest.mark.parametrize(("kind", "grams"), [("independent", 0), ("alike", 1)])
def test_the_optimum_is_met_with_and_without_a_gram(kind: str, grams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, X_test = features(kind, rng, ROWS), features(kind, rng, 50)
    y = (X[:, :5].sum(axis=1) + 0.2 * rng.normal(size=ROWS) > 0.05).astype(int)
    built = 0
    real = rounds._gram_of_all

    def counted(*args: object) -> jax.Array:
        nonlocal built
        built += 1
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(rounds, "_gram_of_all", counted)
    spec = LogisticSpec(C=2.0)
    (result,) = fit_task(X, y, X_test, np.arange(50) % 2, [Lane(Regime(None), 13, spec)], solver="newton-cg")
    assert built == grams
    assert_reaches(result, optimum(X, y, spec), X_test, "float32")


def test_large_features_go_straight_to_the_gram() -> None:
    lanes = rounds.Lanes(
        X=np.zeros((ROWS, 3)), Y=np.zeros((ROWS, 1)), C=np.ones(2), weights=np.ones((2, ROWS)),
        penalty=np.array([[1e4, 1e4, 0], [1e4, 1.0, 0]]),
    )  # type: ignore[arg-type]  # fmt: skip
    assert not rounds.small_features(lanes)
    assert rounds.small_features(lanes._replace(penalty=np.full((2, 3), 1e4)))  # type: ignore[arg-type]
