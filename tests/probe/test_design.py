"""Solver coordinates: centred, scaled, padded, and the way back to raw coefficients."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.probes.design import (
    Design,
    _apply,
    _host_apply,
    _transform,
    build_design,
    host_transform,
    pad,
    padded_rows,
    raw_coefficients,
    transform_rows,
)
from tests.problems import D, M, N
from tests.tolerances import EPS


def design_of(X: np.ndarray, dtype: str, *, centre: bool = True, intercept: bool = True) -> Design:
    with jax.enable_x64(dtype == "float64"):
        made = build_design(X, np.dtype(dtype), centre=centre, intercept=intercept)
        return Design(*(np.asarray(a) for a in made[:4]), made.rows)


@given(st.integers(1, 10**7))
def test_padded_rows_are_few_and_near(n: int) -> None:
    size = padded_rows(n)
    assert n <= size <= max(8, n * 9 / 8)
    assert padded_rows(size) == size
    assert size % (1 << max(0, size.bit_length() - 4)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("centre", "intercept"), [(True, True), (True, False), (False, False)])
def test_raw_coefficients_give_the_same_logits(dtype: str, centre: bool, intercept: bool) -> None:
    rng = np.random.default_rng(0)
    scale = np.logspace(-3, 3, D)
    X = ((rng.normal(size=(N, D)) + 5) * scale).astype(np.float32)
    test = ((rng.normal(size=(M, D)) + 5) * scale).astype(np.float32)
    X[:, 3], test[:, 3] = 7.5, 7.5
    X[:, 4], test[:, 4] = 0, 0
    design = design_of(X, dtype, centre=centre, intercept=intercept)
    assert design.X.dtype == dtype
    assert design.X.shape == (padded_rows(N), D + 1)
    assert not design.X[N:].any()
    assert (design.X[:N, -1] == (1 if intercept else 0)).all()
    body = design.X[:N, :-1].astype(np.float64)
    if centre:
        assert design.constant.tolist() == [i in (3, 4) for i in range(D)]
        assert np.abs(body.mean(axis=0)).max() < 100 * EPS[dtype]
    else:
        assert design.constant.tolist() == [i == 4 for i in range(D)]
        assert not design.shift.any()
    size = np.sqrt((body**2).mean(axis=0))
    np.testing.assert_allclose(size[~design.constant], 1, rtol=1000 * EPS[dtype])

    W = rng.normal(size=(D + 1, 2))
    W[:-1][design.constant] = 0  # a zero column has no coefficient
    W[-1] *= intercept
    coef, b = raw_coefficients(W, design.shift, design.scale)
    for raw, rows in ((X, design.X[:N]), (test, None)):
        if rows is None:
            with jax.enable_x64(dtype == "float64"):
                rows = np.asarray(transform_rows(design, raw))[:M]
        np.testing.assert_allclose(raw @ coef + b, rows @ W, atol=2000 * EPS[dtype] * np.abs(W).sum())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mean_far_above_the_spread_is_removed_exactly(dtype: str) -> None:
    X = (1000 + np.random.default_rng(0).normal(size=(N, D))).astype(np.float32)
    design = design_of(X, dtype)
    assert not design.constant.any()
    exact = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    found = design.X[:N, :-1] * design.scale.astype(np.float64)
    # what is left of the mean is the rounding of the shift, one unit of 1000 in this precision
    assert np.abs(found - exact).max() < 1000 * 4 * EPS[dtype]


def test_constant_columns_of_any_size_are_found() -> None:
    X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    values = [1e-20, 1e-3, 1 / 3, 1e3 / 7, 1e10, -1e10 / 3]
    X[:, : len(values)] = np.array(values, np.float32)
    for dtype in ("float32", "float64"):
        design = design_of(X, dtype)
        assert design.constant.tolist() == [i < len(values) for i in range(D)]
        assert not design.X[:, : len(values)].any()


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("n", [9, 700])
def test_host_and_device_make_the_same_design(n: int, centre: bool) -> None:
    """CPUs transform with NumPy and accelerators with XLA; column 2 is constant, column 3 far from zero."""
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, 5)).astype(np.float32) * np.float32([1, 1e-3, 0, 1, 1e3]) + np.float32([0, 0, 3, 1e4, 0])
    size = padded_rows(n)
    dtype = np.dtype(np.float32)
    on_host = host_transform(X, size, dtype, centre=centre, intercept=centre)
    on_device = [np.asarray(a) for a in _transform(pad(X, size), np.asarray(n), centre, centre)]
    np.testing.assert_array_equal(on_host[3], on_device[3])
    np.testing.assert_allclose(on_host[1], on_device[1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(on_host[2], on_device[2], rtol=1e-3)
    np.testing.assert_allclose(on_host[0], on_device[0], atol=4e-3)
    design = build_design(X, dtype, centre=centre, intercept=centre)
    rows = _host_apply(design, X[:7], 8)
    other = _apply(pad(X[:7], 8), design.shift, design.scale, design.constant)
    np.testing.assert_allclose(rows[:7], np.asarray(other)[:7], rtol=1e-6, atol=1e-6)
