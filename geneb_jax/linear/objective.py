"""The objective every probe minimises, stated once.

For n rows xᵢ with class yᵢ and weight wᵢ, weights W (d, o) and intercept b (o,):

    F(W, b) = C · Σᵢ wᵢ · loss(xᵢᵀW + b, yᵢ) + ½ · Σⱼ πⱼ · ‖Wⱼ‖²

- two classes: o = 1 and loss(z, y) = log(1 + exp(z)) - y·z with y in {0, 1};
- k > 2 classes: o = k and loss(z, y) = logsumexp(z) - z_y.

``C`` is scikit-learn's inverse penalty, πⱼ = 1 on raw features, and the intercept is never penalised. This is the
objective of ``sklearn.linear_model.LogisticRegression`` (``_linear_loss.LinearModelLoss`` with
``l2_reg_strength = 1 / (C · Σ w)`` after division by C · Σ w; `to_mean_loss` converts).

Solvers work on `X̃ = [(X - μ) / s, 1]`: the same problem in other coordinates, because an unpenalised intercept
absorbs μ and a scaled column keeps its penalty as πⱼ = 1 / sⱼ². The appended column of ones carries b, with π = 0.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from geneb_jax.axes import Array, Float


def row_losses(Z: Float[Array, "n o"], Y: Float[Array, "n o"]) -> Float[Array, " n"]:
    """Loss of each row from its logits and its target: 0/1 in one column, or one-hot in k columns."""
    if Z.shape[-1] == 1:
        z, y = Z[:, 0], Y[:, 0]
        # softplus(z) - y·z, written so that neither term overflows nor cancels for large |z|
        return jnp.maximum(z, 0) - y * z + jnp.log1p(jnp.exp(-jnp.abs(z)))
    shifted = Z - jnp.max(Z, axis=1, keepdims=True)
    # log(1 + rest), so that the tiny loss of a nearly certain class keeps its digits
    top = shifted == 0
    rest = jnp.sum(jnp.where(top, 0, jnp.exp(shifted)), axis=1) + (jnp.sum(top, axis=1, dtype=Z.dtype) - 1)
    return jnp.log1p(rest) - jnp.sum(Y * shifted, axis=1)


def probabilities(Z: Float[Array, "n o"]) -> Float[Array, "n o"]:
    """Class probabilities: of the positive class in one column, or softmax over k columns."""
    return jax.nn.sigmoid(Z) if Z.shape[-1] == 1 else jax.nn.softmax(Z, axis=-1)


def residuals(Z: Float[Array, "n o"], Y: Float[Array, "n o"]) -> Float[Array, "n o"]:
    """The loss's gradient in the logits, P - Y, without the cancellation of p - 1 for a nearly certain true class.

    In float32 that difference keeps 1e-7 of 1, which rows that are fitted to 1e-5 turn into noise of the gradient.
    """
    if Z.shape[-1] == 1:
        sign = 1 - 2 * Y
        return sign * jax.nn.sigmoid(sign * Z)
    others = jax.nn.softmax(Z, axis=-1) * (1 - Y)
    return others - Y * jnp.sum(others, axis=1, keepdims=True)


def curvature_product(P: Float[Array, "n o"], U: Float[Array, "n o"]) -> Float[Array, "n o"]:
    """The loss's Hessian in the logits, applied to a direction: (diag(p) - p pᵀ) u for each row."""
    if P.shape[-1] == 1:
        return P * (1 - P) * U
    return P * (U - jnp.sum(P * U, axis=1, keepdims=True))


def to_mean_loss(value: float, *, C: float, weight_sum: float) -> float:
    """F in scikit-learn's internal normalisation, F / (C · Σ w)."""
    return value / (C * weight_sum)
