"""The bootstrap in registers: the generator's published bits, exact scores of its weights, and their spread."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from sklearn.metrics import matthews_corrcoef

from geneb_kernels.confusion import mcc
from geneb_kernels.resample import mosaic_gpu, resampled_mcc, resampled_sums, xla
from geneb_kernels.resample.config import ResampleConfig
from geneb_kernels.resample.threefry import threefry2x32, weights
from tests.kernels.simulator import lowered, simulate
from tests.tolerances import limit

KEY = np.array([7, 4_000_000_000], np.uint32)

draw = jax.jit(weights, static_argnums=(1, 2))


def predictions(n: int, lanes: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """True classes and predictions that are right more often from lane to lane."""
    rng = np.random.default_rng(n)
    truth = rng.integers(k, size=n)
    right = rng.random((lanes, n)) < np.linspace(0.4, 0.9, lanes)[:, None]
    return truth, np.where(right, truth, rng.integers(k, size=(lanes, n)))


def test_the_generator_is_the_published_one() -> None:
    counters = np.random.default_rng(0).integers(1 << 32, size=(2, 100), dtype=np.uint32)
    found = threefry2x32((KEY[0], KEY[1]), (jnp.asarray(counters[0]), jnp.asarray(counters[1])))
    assert np.array_equal(np.concatenate(found), threefry_2x32(jnp.asarray(KEY), counters.ravel()))
    # Random123's known answers for 20 rounds
    zero, full = np.zeros(1, np.uint32), np.full(1, 0xFFFFFFFF, np.uint32)
    assert [int(w[0]) for w in threefry2x32((zero, zero), (zero, zero))] == [0x6B200159, 0x99BA4EFE]
    assert [int(w[0]) for w in threefry2x32((full, full), (full, full))] == [0x1CB996FC, 0xBB002BE7]


def test_weights_are_poisson_and_depend_on_resample_and_row_alone() -> None:
    drawn = np.asarray(draw(KEY, 400, 700))
    m = drawn.size
    assert abs(drawn.mean() - 1) < 5 / np.sqrt(m)
    assert abs(drawn.var() - 1) < 5 * np.sqrt(3 / m)  # a Poisson(1) number has fourth central moment 4
    assert abs((drawn == 0).mean() - np.exp(-1)) < 5 * np.sqrt(0.2325 / m)
    for axis in (0, 1):
        a, b = np.delete(drawn, 0, axis), np.delete(drawn, -1, axis)
        assert abs(np.mean((a - 1) * (b - 1))) < 5 / np.sqrt(m)
    assert np.array_equal(draw(KEY, 5, 90, first=300), drawn[300:305, :90])


def test_scores_are_those_of_the_weighted_rows() -> None:
    truth, predicted = predictions(130, 2, 3)
    found = xla.resampled_mcc(jnp.asarray(KEY), jnp.asarray(truth), jnp.asarray(predicted), 3, 7)
    drawn = np.asarray(draw(KEY, 7, 130))
    exact = [[matthews_corrcoef(truth, p, sample_weight=w) for p in predicted] for w in drawn]
    np.testing.assert_allclose(found, exact, atol=limit("float32", "score"))


def test_the_spread_is_that_of_drawing_rows() -> None:
    truth, predicted = predictions(400, 1, 2)
    found = resampled_mcc((1, 2), truth, predicted, 2, 4000)[:, 0]
    cells = (truth * 2 + predicted[0])[:, None] == np.arange(4)
    tables = resampled_sums((1, 2), cells.astype(np.float32), 4000).reshape(-1, 2, 2)
    drawn = np.asarray(mcc(jnp.asarray(tables)))
    assert abs(found.std() / drawn.std() - 1) < 5 * np.sqrt(2 / (2 * 4000))
    assert abs(found.mean() - drawn.mean()) < 5 * drawn.std() * np.sqrt(2 / 4000)


@pytest.mark.parametrize(("n", "lanes", "k", "b"), [(300, 4, 11, 70), (131, 2, 20, 3)])
def test_the_kernel_in_the_simulator(n: int, lanes: int, k: int, b: int) -> None:
    given = (KEY, *predictions(n, lanes, k))
    found = simulate(partial(mosaic_gpu.resampled_mcc, k=k, b=b, config=ResampleConfig(columns=64)), *given)
    np.testing.assert_allclose(found, xla.resampled_mcc(*map(jnp.asarray, given), k, b), atol=limit("float32", "score"))


@pytest.mark.parametrize("k", [41])
def test_the_kernel_is_a_program_for_hopper(k: int) -> None:
    assert "mosaic_gpu" in lowered(partial(mosaic_gpu.resampled_mcc, k=k, b=130), KEY, *predictions(300, 20, k))


def test_what_the_kernel_does_not_take_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="70 classes do not fit"):
        mosaic_gpu.resampled_mcc(KEY, *predictions(9, 1, 70), 70, 3)
    with pytest.raises(ValueError, match="do not fit shared memory"):
        ResampleConfig(columns=256)
    with pytest.raises(ValueError, match=r"predicted \(l, n\)"):
        resampled_mcc((1,), *predictions(9, 1, 2)[::-1], 2, 3)
