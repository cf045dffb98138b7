"""The solver asked for by name: the exact Newton meets the iterative one, on shared rows and on rows of their own."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.errors import UnknownNameError
from geneb_jax.probes import exact_rounds
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.solvers import check_solver
from geneb_jax.probes.spec import LogisticSpec
from tests.problems import FULL, SPECS, make_task

FEW = (Regime(1), Regime(10))
CASES = [
    # k, n, d: more rows than columns, and fewer
    (2, 100, 24, "float32"),
    (3, 100, 24, "float64"),
    (3, 40, 56, "float64"),
]


def asked() -> list[Lane]:
    few = [Lane(regime, seed, LogisticSpec(C=C)) for regime in FEW for seed in (13, 997) for C in (1.0, 0.1)]
    return [*(Lane(FULL, 13, spec) for spec in SPECS), *few]


@pytest.mark.slow
@pytest.mark.parametrize(("k", "n", "d", "dtype"), CASES)
def test_newton_and_newton_cg_meet(k: int, n: int, d: int, dtype: str) -> None:
    task = make_task(7, k, n=n, d=d, m=200)
    exact = fit_task(*task, asked(), dtype=dtype, solver="newton")  # type: ignore[arg-type]
    iterative = fit_task(*task, asked(), dtype=dtype, solver="newton-cg")  # type: ignore[arg-type]
    for one, other in zip(exact, iterative, strict=True):
        assert (one.solver.split(" ")[0], other.solver.split(" ")[0]) == ("newton", "newton-cg")
        assert one.status == other.status
        near = 1e-9 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(one.objective, other.objective, rtol=near)
        scale = np.abs(other.coef).max()
        np.testing.assert_allclose(one.coef, other.coef, atol=(1e-5 if dtype == "float64" else 5e-3) * scale)


def test_many_wide_rows_in_single_precision_keep_their_name() -> None:
    """Beyond `FEW_ROWS` rows fewer than the columns, all lanes share the rows."""
    task = make_task(8, 2, n=300, d=320, m=100)
    lanes = [Lane(FULL, 13, LogisticSpec(C=C)) for C in (0.01, 0.001)]
    exact = fit_task(*task, lanes, solver="newton")
    iterative = fit_task(*task, lanes, solver="newton-cg")
    assert {r.solver for r in exact} == {"newton, dual"}
    assert {r.solver for r in iterative} == {"newton-cg, dual"}
    for one, other in zip(exact, iterative, strict=True):
        np.testing.assert_allclose(one.objective, other.objective, rtol=1e-5)


@pytest.mark.parametrize("together", [1, 3])
def test_lanes_that_wait_for_one_another_are_the_same(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(7, 3, m=200)
    whole = fit_task(*task, asked(), dtype="float64", solver="newton")
    monkeypatch.setattr(exact_rounds, "SYSTEM_BYTES", together * 250_000)
    for one, other in zip(fit_task(*task, asked(), dtype="float64", solver="newton"), whole, strict=True):
        assert one.status == other.status
        np.testing.assert_allclose(one.coef, other.coef, rtol=1e-8, atol=1e-10)


def test_the_choice_says_why() -> None:
    result = fit_task(*make_task(7, 2, m=200), asked()[:1])[0]
    assert result.solver == "newton-cg"
    assert "cost model" in result.solver_reason
    named = fit_task(*make_task(7, 2, m=200), asked()[:1], solver="newton-cg")[0]
    assert "asked for by name" in named.solver_reason


def test_a_solver_that_is_none() -> None:
    with pytest.raises(UnknownNameError, match="newton"):
        check_solver("newtn")
