"""Every probe type beside the logistic one against scikit-learn's own, on whole splits and few-shot draws."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.neighbors import KNeighborsClassifier

from geneb_jax.errors import GenebError
from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.heads import mlp
from geneb_jax.probes.heads.fit import fit_heads
from geneb_jax.probes.heads.harness import fit_heads_sklearn
from geneb_jax.probes.heads.specs import HEADS, AnyHead, MlpSpec, RidgeSpec, parse_head
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import Regime, draw_rows
from geneb_jax.status import Status
from tests.problems import Task, make_task

TYPES = (
    "ridge", "ridge:alpha=30", "svm", "svm:C=0.01", "lda", "lda:shrinkage=0.3", "centroid", "knn",
    "knn:k=3:metric=cosine", "gnb",
)  # fmt: skip
SPECS = [parse_head(text, standardize=scaled) for text in TYPES for scaled in (False, True)]
SEEDS = (13, 17)
CLASSES = (2, 5)


@cache
def task(k: int) -> Task:
    """Rows whose mean is far from the origin, features of unequal scale, one constant and one rarely other than 0."""
    X, y, X_test, y_test = make_task(3, k, n=200)
    # five classes of unequal size leave the smallest with all its rows in a draw
    scale = np.linspace(0.2, 3, X.shape[1]).astype(np.float32)
    X, X_test = X * scale + 3, X_test * scale + 3
    X[:, 5] = X_test[:, 5] = 1.5
    # in a draw it is often constant in a class, where the rounding of a shift must not pass for a spread
    X[:, 6], X_test[:, 6] = X[:, 6] > 9, X_test[:, 6] > 9
    return X, y, X_test, y_test


def lanes(specs: list[AnyHead], regimes: tuple[str, ...]) -> list[Lane[AnyHead]]:
    return [Lane(Regime.parse(r), seed, spec) for spec in specs for r in regimes for seed in SEEDS]


@cache
def fitted(k: int) -> tuple[list[LaneResult], list[LaneResult]]:
    # standardised and not, few rows and a single one, without every combination: each shape is a compilation
    wanted = lanes(SPECS, ("full", "10shot")) if k == 2 else lanes(SPECS[::2], ("full", "1shot"))
    return fit_heads(*task(k), wanted), fit_heads_sklearn(*task(k), wanted, stock=False)


@pytest.mark.parametrize("k", CLASSES)
def test_every_type_predicts_what_scikit_learn_predicts(k: int) -> None:
    compared = 0
    for ours, right in zip(*fitted(k), strict=True):
        name = f"{ours.lane.spec.name}, {ours.lane.regime.name}, seed {ours.lane.seed}"
        if right.status is Status.BAD_DATA:
            # scikit-learn refuses LDA of as many rows as classes
            assert (ours.lane.spec.head, ours.lane.regime.shots) == ("lda", 1), name
            continue
        different = int((ours.predictions != right.predictions).sum())
        assert different <= ours.num_ties, f"{name}: {different} rows differ, {ours.num_ties} tie"
        assert ours.num_ties < len(right.predictions) / 4 or ours.lane.spec.head == "knn", name
        if not different:
            assert ours.mcc == pytest.approx(right.mcc, abs=1e-12), name
            assert ours.macro_f1 == pytest.approx(right.macro_f1, abs=1e-12), name
            assert (ours.confusion == right.confusion).all(), name
            assert ours.status is right.status, name
        assert ours.n_train == right.n_train, name
        compared += 1
    assert compared == (len(SPECS) * 4 if k == 2 else len(SPECS) * 2 - 2 * len(SEEDS))


@pytest.mark.parametrize("k", CLASSES)
def test_linear_types_return_the_coefficients_that_predict(k: int) -> None:
    X_test = task(k)[2].astype(np.float64)
    for result in fitted(k)[0]:
        if result.lane.spec.head in ("knn", "gnb"):
            assert result.coef is None
            assert result.intercept is None
            continue
        Z = X_test @ result.coef + result.intercept
        best = (Z[:, 0] > 0).astype(int) if Z.shape[1] == 1 else Z.argmax(axis=1)
        assert (result.classes[best] != result.predictions).sum() <= result.num_ties


def test_lda_of_one_row_a_class_is_the_nearest_centroid() -> None:
    found = {
        (r.lane.spec.name, r.lane.regime.name, r.lane.seed): r
        for r in fitted(5)[0]
        if r.lane.spec.head in ("lda", "centroid")
    }
    for seed in SEEDS:
        centroid = found["centroid", "1shot", seed].predictions
        assert (found["lda", "1shot", seed].predictions == centroid).all()
        assert (found["lda-shrinkage=0.3", "1shot", seed].predictions == centroid).all()


def test_a_whole_split_with_fewer_rows_than_columns_is_fitted_in_the_rows_span() -> None:
    X, y, X_test, y_test = make_task(5, 2, n=40, d=60, m=300)
    wanted = lanes([parse_head(head) for head in ("ridge", "svm", "lda", "gnb")], ("full",))
    ours = fit_heads(X, y, X_test, y_test, wanted)
    right = fit_heads_sklearn(X, y, X_test, y_test, wanted, stock=False)
    for a, b in zip(ours, right, strict=True):
        assert (a.predictions != b.predictions).sum() <= a.num_ties, a.lane.spec.name


# the same random numbers as scikit-learn's, so the same fit, in the precision in which training is not chaotic
@pytest.mark.parametrize("k", CLASSES)
def test_mlp_is_scikit_learns_fit(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if k == 2:  # as on an accelerator
        monkeypatch.setattr(mlp, "_together", lambda *_: 100)
    base, quick = parse_head("mlp:hidden=8:max_epochs=40"), parse_head("mlp:hidden=8:max_epochs=40:learning_rate=0.01")
    wanted = lanes([base, quick], ("full", "10shot" if k == 2 else "1shot"))
    ours = fit_heads(*task(k), wanted, dtype="float64")
    right = fit_heads_sklearn(*task(k), wanted)
    assert len({r.num_steps for r in right}) > 2, "nothing stopped early"
    for a, b in zip(ours, right, strict=True):
        name = f"{a.lane.spec.name}, {a.lane.regime.name}, seed {a.lane.seed}"
        assert a.num_steps == b.num_steps, name
        assert (a.predictions == b.predictions).all(), name
    full = {a.lane.seed: a for a in ours if a.lane.spec == base and a.lane.regime.shots is None}
    assert (full[13].predictions != full[17].predictions).any(), "the seed must matter on a whole split"


def test_mlp_is_a_plain_loop_over_the_flax_model() -> None:
    X, y, X_test, y_test = task(2)
    spec = MlpSpec(hidden=8, max_epochs=6, batch=64, patience=50)
    (ours,) = fit_heads(X, y, X_test, y_test, [Lane(Regime(None), 13, spec)])
    draw = mlp.draw_random(y, X.shape[1], 2, mlp.Training(np.arange(len(y)), 13, spec), "float32")
    network, optimizer = mlp.Network(8, 1), mlp.adam(jnp.asarray(spec.learning_rate, jnp.float32))
    params = jax.tree.map(jnp.asarray, draw.params)
    state, kept, best = optimizer.init(params), params, -1.0
    order = np.arange(len(draw.fit))

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any]:
        ones = jnp.ones(len(x), jnp.float32)
        grads = jax.grad(lambda p: mlp.batch_loss(network, p, x, y, ones, spec.alpha))(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state

    for _ in range(spec.max_epochs):
        shuffled = np.arange(len(order))
        draw.state.shuffle(shuffled)
        order = order[shuffled]
        for start in range(0, len(order), spec.batch):
            rows = draw.fit[order[start : start + spec.batch]]
            params, state = step(params, state, jnp.asarray(X[rows]), jnp.asarray(y[rows]))
        z = np.asarray(network.apply({"params": params}, jnp.asarray(X[draw.held])))[:, 0]
        accuracy = float(np.mean((z > 0) == y[draw.held]))
        if accuracy > best:
            best, kept = accuracy, params
    z = np.asarray(network.apply({"params": kept}, jnp.asarray(X_test)))[:, 0]
    sure = np.abs(z) > 1e-4
    assert sure.mean() > 0.9
    assert ((z > 0)[sure] == ours.predictions[sure]).all()
    assert ours.status is Status.MAX_STEPS


def test_neighbours_of_repeated_rows_are_taken_in_their_order() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.integers(0, 3, size=(30, 4)).astype(np.float32), 3, axis=0)
    y = rng.integers(0, 2, size=90)
    (ours,) = fit_heads(X, y, X, y, [Lane(Regime(None), 13, parse_head("knn:k=3"))])
    # by hand: stable order of exact distances
    apart = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    votes = y[np.argsort(apart, axis=1, kind="stable")[:, :3]].sum(axis=1)
    assert (ours.predictions == (votes > 1)).all()
    assert ours.num_ties > 0
    assert ours.mcc == pytest.approx(reference_scores(y, ours.predictions, np.arange(2)).mcc)


def test_a_draw_lets_no_more_neighbours_vote_than_it_has_rows_of_a_class() -> None:
    X, y, X_test, y_test = task(2)
    (ours,) = fit_heads(X, y, X_test, y_test, [Lane(Regime(2), 13, parse_head("knn:k=1"))])
    (more,) = fit_heads(X, y, X_test, y_test, [Lane(Regime(1), 13, parse_head("knn:k=5"))])
    for result, shots in ((ours, 2), (more, 1)):
        rows = draw_rows(y, shots, 13)
        nearest = KNeighborsClassifier(1).fit(X[rows], y[rows]).predict(X_test)
        assert (nearest == result.predictions).all()


def test_bad_values_end_as_a_status() -> None:
    X, y, X_test, y_test = task(2)
    wanted = [Lane(Regime(None), 13, parse_head(head)) for head in HEADS]
    broken = X.copy()
    broken[3, 4] = np.nan
    assert {r.status for r in fit_heads(broken, y, X_test, y_test, wanted)} == {Status.BAD_EMBEDDING}
    assert {r.status for r in fit_heads(X, 0 * y, X_test, y_test, wanted)} == {Status.ONE_CLASS_TRAIN}
    flat = fit_heads(np.ones_like(X), y, np.ones_like(X_test), y_test, lanes(SPECS, ("full", "10shot")))
    assert {r.status for r in flat} <= {Status.ONE_CLASS_PREDICTED, Status.NON_FINITE, Status.MAX_STEPS}
    (result,) = fit_heads(X, y, X_test, np.zeros_like(y_test), [Lane(Regime(10), 13, RidgeSpec())])
    assert result.status is Status.ONE_CLASS_TEST


def test_digests_tell_specifications_apart_and_names_are_short() -> None:
    every = [*SPECS, *(parse_head(head) for head in HEADS)]
    assert len({spec.digest for spec in every}) == len(set(every))
    assert parse_head("knn:k=3:metric=cosine", standardize=True).name == "knn-standardized-k=3-metric=cosine"
    assert parse_head("ridge:alpha=30").name == "ridge"
    assert RidgeSpec(alpha=0.25).C == 2


@pytest.mark.parametrize(
    "text",
    ["knnn", "knn:j=3", "knn:k", "knn:k=three", "ridge:alpha=0", "lda:shrinkage=0", "svm:C=-1"],
)
def test_a_specification_that_cannot_be_is_refused_in_words(text: str) -> None:
    with pytest.raises(GenebError) as caught:
        parse_head(text)
    assert text.split(":")[-1].split("=")[0] in str(caught.value)
