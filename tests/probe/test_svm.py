"""Linear SVMs on whole splits: the exact Newton method in host memory, and the one for accelerators, at the optimum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.probes.heads import svm_host
from geneb_jax.probes.heads.fit import fit_heads
from geneb_jax.probes.heads.line import step_length
from geneb_jax.probes.heads.moments import class_moments
from geneb_jax.probes.heads.specs import SvmSpec
from geneb_jax.probes.heads.svm import Fit, fit_svm
from geneb_jax.probes.heads.svm_host import fit_svm_host
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime
from geneb_jax.solve.host_factor import HostGram
from geneb_jax.status import Status
from tests.problems import make_task

PENALTIES = (0.01, 100.0, 1.0)


def problem(k: int, n: int = 300) -> tuple[NumpyFloat, NumpyInt]:
    """Rows far from the origin whose features differ in size by six orders of magnitude."""
    X, y, *_ = make_task(7, k, n=n)
    return (X * np.logspace(-4, 2, X.shape[1]) + 2).astype(np.float32), np.unique(y, return_inverse=True)[1]


def value(X: NumpyFloat, Y: NumpyFloat, W: NumpyFloat, b: NumpyFloat, C: float) -> NumpyFloat:
    """The objective of each output, as the definition has it, for features X as they are penalised."""
    short = np.maximum(0, 1 - Y * (X @ W + b))
    return np.asarray(0.5 * (W**2).sum(axis=0) + 0.5 * b**2 + C * (short**2).sum(axis=0))


def check(X: NumpyFloat, index: NumpyInt, specs: list[SvmSpec], fits: list[Fit], slack: float) -> None:
    k = int(index.max()) + 1
    m = class_moments(X, index, k, within=True, shrunk=False)
    Y = np.where(index[:, None] == np.arange(k), 1.0, -1.0)[:, (1 if k == 2 else 0) :]
    for spec, fit in zip(specs, fits, strict=True):
        W, b = fit.head
        raw = X.astype(np.float64)
        b = b - m.origin @ W
        if spec.standardize:
            raw = (raw - m.origin - m.mean) / m.scale
            b = b + (m.origin + m.mean) @ W
            W = W * m.scale[:, None]
        ours = value(raw, Y, W, b, spec.C)
        assert fit.converged, spec
        assert fit.objective == pytest.approx(ours.sum(), rel=1e-6)
        for o in range(Y.shape[1]):
            other = LinearSVC(C=spec.C, dual=False, tol=1e-10, max_iter=100_000).fit(raw, Y[:, o])
            theirs = value(raw, Y[:, [o]], other.coef_.T, other.intercept_, spec.C)[0]
            assert ours[o] <= theirs * (1 + slack), f"{spec}, output {o}"
            assert ours[o] >= theirs * (1 - 1e-4), f"{spec}, output {o}: the reference is far off"


@pytest.mark.parametrize("k", [2, 4])
def test_the_exact_method_ends_at_the_optimum(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, index = problem(k)
    # several blocks of rows, and machines in more than one group
    monkeypatch.setattr(svm_host, "BLOCK_NUMBERS", 64 * (X.shape[1] + 1))
    monkeypatch.setattr(svm_host, "GRAM_BYTES", 3 * 8 * (X.shape[1] + 1) ** 2)
    specs = [SvmSpec(C=C, standardize=scaled) for C in PENALTIES for scaled in (False, True)]
    m = class_moments(X, index, k, within=True, shrunk=False)
    check(X, index, specs, fit_svm_host(X, index, m, specs), 1e-10)


def test_the_method_for_accelerators_agrees() -> None:
    X, index = problem(3)
    specs = [SvmSpec(C=C, standardize=True) for C in PENALTIES]
    with jax.enable_x64(True):
        m = class_moments(X, index, 3, within=True, shrunk=False)
        check(X, index, specs, fit_svm(X, index, m, specs, "float64"), 1e-9)


def test_a_machine_adds_and_takes_away_rows_that_cross_the_margin() -> None:
    X = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    rows = svm_host._Rows(X, np.full(6, 0.5))
    full = np.column_stack([X.astype(np.float64) - 0.5, np.ones(50)])
    everything = HostGram(7, np.dtype(np.float64))
    everything.add(full)
    machine = svm_host._Machine(rows, everything)
    count = np.arange(50)
    for inside in (count < 40, count < 43, count > 45, count >= 0, count < 0, count % 2 == 0):
        np.testing.assert_allclose(np.tril(machine.gram(inside)), np.tril(full[inside].T @ full[inside]), atol=1e-12)


def test_the_step_ends_where_the_slope_is_zero() -> None:
    rng = np.random.default_rng(3)
    kinks, weights = rng.uniform(0, 1.5, (40, 6)), rng.uniform(0, 1, (40, 6))
    # rising and piecewise linear; two never reach zero, one is there at a whole step
    offset = np.array([-0.5, -3.0, -0.01, -1e3, -1e4, 0.0])

    def slope(t: jax.Array) -> jax.Array:
        return offset + 0.1 * t + jnp.sum(weights * jnp.maximum(0, t - kinks), axis=0)

    with jax.enable_x64(True):
        offset[5] = -float(slope(jnp.ones(6))[5])
        found = np.asarray(step_length(jax.vmap(slope), jnp.zeros(6)))
        left = np.asarray(slope(jnp.asarray(found)))
    assert found[3:].tolist() == [1, 1, 1]
    assert (np.abs(left[:3]) < 1e-4).all(), "a slope of zero in the last bracket, or a kink in it"
    assert ((found > 0) & (found <= 1)).all()


def test_draws_that_are_nearly_separable_are_solved() -> None:
    X, y, X_test, y_test = make_task(11, 2, n=150, d=160, spread=3.0)
    lanes = [Lane(Regime.parse("full"), 13, SvmSpec(C=C)) for C in (1.0, 1e3, 1e5)]
    for result in fit_heads(X, y, X_test, y_test, lanes):
        assert result.status is Status.CONVERGED
        assert result.num_steps < 60


def test_steps_run_out_with_a_mark() -> None:
    X, index = problem(2)
    m = class_moments(X, index, 2, within=True, shrunk=False)
    (fit,) = fit_svm_host(X, index, m, [SvmSpec(C=100.0, max_steps=1)])
    assert not fit.converged
    assert fit.steps == 1
    assert fit.gap > svm_host.TOLERANCE
