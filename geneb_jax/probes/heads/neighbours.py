"""k nearest neighbours: one product of test and training rows for every k and metric.

The nearest of a test row t minimises ½‖r‖² - t·r (Euclidean) or -t·r/‖r‖ (cosine): its own norm does not matter, so
each training row is one linear score t·a + c. On a whole split the scores pick candidates in the precision of the
fit, and the distances of the candidates are then computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int, NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.probes.heads.draws import Rows
from geneb_jax.probes.heads.specs import KnnSpec, Metric
from geneb_jax.probes.spec import Dtype
from geneb_kernels.precision import HIGHEST

SPARE = 16
"""Candidates beyond k, so that rounding in the first look loses no neighbour."""

BLOCK = 256
"""Test rows at a time on a whole split."""

Votes = tuple[NumpyInt, NumpyBool]


def vote(
    score: Float[Array, "... j"], label: Int[Array, "... j"], k: int, classes: int
) -> tuple[Int[Array, "..."], Bool[Array, "..."]]:
    """The commonest class among the k best scores, the first where several are; and whether anything tied.

    Ties: two classes with as many votes, or the last neighbour that votes as near as the first that does not.
    """
    best, place = jax.lax.top_k(score, min(k + 1, score.shape[-1]))
    voters = jnp.take_along_axis(jnp.broadcast_to(label, score.shape), place[..., :k], axis=-1)
    counts = jnp.sum(jax.nn.one_hot(voters, classes, dtype=jnp.int32), axis=-2)
    tied = jnp.sum(counts == jnp.max(counts, axis=-1, keepdims=True), axis=-1) > 1
    if best.shape[-1] > k:
        eps = 16 * np.finfo(best.dtype).eps
        tied |= best[..., k - 1] - best[..., k] <= eps * jnp.maximum(jnp.abs(best[..., 0]), jnp.abs(best[..., k]))
    return jnp.argmax(counts, axis=-1), tied


@partial(jax.jit, static_argnames=("ks", "classes"))
def _votes(
    score: Float[Array, "... j"], label: Int[Array, "... j"], ks: tuple[int, ...], classes: int
) -> list[tuple[Array, Array]]:
    """`vote` for every k: apart from the products, so that vectors of another width find it compiled."""
    return [vote(score, label, k, classes) for k in ks]


@partial(jax.jit, static_argnames="metric")
def _scores_of_draws(rows: Rows, test: Float[Array, "m d"], metric: Metric) -> Float[Array, "p m n"]:
    X = rows.X
    if metric == "cosine":
        whole = X + rows.raw
        norm = jnp.linalg.norm(whole, axis=-1, keepdims=True)
        A = whole / jnp.where(norm == 0, 1, norm)
        c = jnp.einsum("pnd,d->pn", A, rows.raw, precision=HIGHEST)
    else:
        A, c = X, -0.5 * jnp.sum(X**2, axis=-1)
    A = A / rows.scale[:, None]
    c = c - jnp.einsum("pnd,pd->pn", A, rows.shift, precision=HIGHEST)
    return jnp.einsum("md,pnd->pmn", test, A, precision=HIGHEST) + c[:, None]


def neighbours_of_draws(rows: Rows, test: Float[Array, "m d"], specs: Sequence[KnnSpec], shots: int) -> list[Votes]:
    """Class numbers (p, m) and ties (p, m) of each specification, for all draws; test rows in shifted coordinates."""
    found: dict[KnnSpec, Votes] = {}
    label = jnp.argmax(rows.H, axis=1)
    for metric in dict.fromkeys(spec.metric for spec in specs):
        same = [spec for spec in specs if spec.metric == metric]
        ks = tuple(min(spec.k, shots) for spec in same)
        answers = _votes(_scores_of_draws(rows, test, metric), label, ks, rows.H.shape[1])
        found |= {spec: (np.asarray(a), np.asarray(b)) for spec, (a, b) in zip(same, answers, strict=True)}
    return [found[spec] for spec in specs]


def neighbours(
    train: NumpyFloat, index: NumpyInt, test: NumpyFloat, classes: int, specs: Sequence[KnnSpec], dtype: Dtype
) -> list[Votes]:
    """Predicted class numbers (m,) and ties (m,) of each specification, from rows (n, d) and (m, d) in float64.

    Rows are as the metric sees them: whole for the cosine, in shifted coordinates for the Euclidean distance.
    """
    found: dict[KnnSpec, Votes] = {}
    for metric in dict.fromkeys(spec.metric for spec in specs):
        same = [spec for spec in specs if spec.metric == metric]
        ks = tuple(min(spec.k, len(train)) for spec in same)
        rows = train
        if metric == "cosine":
            norm = np.linalg.norm(train, axis=1, keepdims=True)
            rows = train / np.where(norm == 0, 1, norm)
        A = jnp.asarray(rows)
        half = jnp.zeros(len(rows)) if metric == "cosine" else -0.5 * jnp.sum(A**2, axis=1)
        quick = A.astype(dtype).T, half.astype(dtype)
        label = jnp.asarray(index)
        parts = []
        for start in range(0, len(test), BLOCK):
            block = test[start : start + BLOCK]
            padded = np.concatenate([block, np.zeros((BLOCK - len(block), test.shape[1]))])
            near, their = _nearest(jnp.asarray(padded), A, half, *quick, label, min(max(ks) + SPARE, len(A)))
            parts.append(_votes(near, their, ks, classes))
        for i, spec in enumerate(same):
            answers = [np.concatenate([np.asarray(part[i][j]) for part in parts])[: len(test)] for j in (0, 1)]
            found[spec] = answers[0], answers[1]
    return [found[spec] for spec in specs]


@partial(jax.jit, static_argnames="most")
def _nearest(
    test: Float[Array, "m d"],
    A: Float[Array, "n d"],
    half: Float[Array, " n"],
    quick: Float[Array, "d n"],
    quick_half: Float[Array, " n"],
    label: Int[Array, " n"],
    most: int,
) -> tuple[Float[Array, "m j"], Int[Array, "m j"]]:
    """Scores and classes of the `most` nearest training rows, in the order of the rows."""
    rough = jnp.matmul(test.astype(quick.dtype), quick, precision=HIGHEST) + quick_half
    _, place = jax.lax.top_k(rough, most)
    place = jnp.sort(place, axis=1)  # equally near neighbours then come in the order of their rows
    return jnp.einsum("md,mjd->mj", test, A[place], precision=HIGHEST) + half[place], label[place]
