"""The plain float64 NumPy reference: objective, gradient, and a dense damped Newton fit. Slow, short, and trusted."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from geneb_jax.axes import NumpyFloat, NumpyInt


def one_hot(labels: NumpyInt, classes: NumpyInt) -> NumpyFloat:
    """Targets (n, o) of labels (n,): 0/1 in one column for two classes, else one-hot over k."""
    index = np.searchsorted(classes, labels)
    if len(classes) == 2:
        return index.astype(np.float64)[:, None]
    return np.eye(len(classes))[index]


def objective(
    W: NumpyFloat,
    b: NumpyFloat,
    X: NumpyFloat,
    Y: NumpyFloat,
    C: float,
    weights: NumpyFloat | None = None,
    penalty: NumpyFloat | None = None,
) -> tuple[float, NumpyFloat, NumpyFloat]:
    """F and its gradient at W (d, o), b (o,), as defined in `geneb_jax.linear.objective`, in float64.

    X (n, d), Y (n, o) from `one_hot`, weights (n,), penalty (d,). Returns (F, dF/dW (d, o), dF/db (o,)).
    """
    X, W, b = (np.asarray(a, dtype=np.float64) for a in (X, W, b))
    w = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64)
    pi = np.ones(X.shape[1]) if penalty is None else np.asarray(penalty, dtype=np.float64)
    Z = X @ W + b
    losses, residuals = losses_and_residuals(Z, Y)
    R = C * w[:, None] * residuals
    value = C * float(w @ losses) + 0.5 * float(np.sum(pi[:, None] * W**2))
    return value, X.T @ R + pi[:, None] * W, R.sum(axis=0)


def losses_and_residuals(Z: NumpyFloat, Y: NumpyFloat) -> tuple[NumpyFloat, NumpyFloat]:
    """Loss of each row (n,) and its gradient in the logits (n, o), each to full relative precision.

    Where a class is nearly certain the loss is a tiny number. Taken as log Σ exp(z) - z_y it would carry the rounding
    of the logits: on separable data that is 1e-8 of F itself. So it is built from the other classes alone.
    """
    if Z.shape[1] == 1:
        sign = 1 - 2 * Y
        return np.logaddexp(0, sign * Z)[:, 0], sign * np.exp(-np.logaddexp(0, -sign * Z))
    true = Y.astype(bool)
    margin = Z - Z[true][:, None]
    others = np.where(true, -np.inf, margin)  # log odds of each other class against the true one
    losses = np.logaddexp(0, logsumexp(others, axis=1))
    residuals = np.exp(others - losses[:, None])
    residuals[true] = -residuals.sum(axis=1)
    return losses, residuals


def fit(
    X: NumpyFloat,
    Y: NumpyFloat,
    C: float,
    weights: NumpyFloat | None = None,
    *,
    fit_intercept: bool = True,
    max_steps: int = 200,
    tolerance: float = 1e-13,
) -> tuple[NumpyFloat, NumpyFloat, float]:
    """Minimise F by a damped Newton method with the dense Hessian; for small problems only (o·(d + 1) unknowns).

    Returns (W (d, o), b (o,), F). Raises RuntimeError when the Newton decrement does not fall below tolerance·F.
    """
    X = np.asarray(X, dtype=np.float64)
    n, d = X.shape
    o = Y.shape[1]
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    A = np.hstack([X, np.ones((n, 1))]) if fit_intercept else X
    q = A.shape[1]
    pi = np.r_[np.ones(d), 0.0] if fit_intercept else np.ones(d)

    def unpack(theta: NumpyFloat) -> tuple[NumpyFloat, NumpyFloat]:
        T = theta.reshape(q, o)
        return T[:d], T[d] if fit_intercept else np.zeros(o)

    theta = np.zeros(q * o)
    for _ in range(max_steps):
        W, b = unpack(theta)
        value, gW, gb = objective(W, b, X, Y, C, w)
        grad = np.vstack([gW, gb[None]]).ravel() if fit_intercept else gW.ravel()
        Z = X @ W + b
        if o == 1:
            S = np.exp(-np.logaddexp(0, -Z) - np.logaddexp(0, Z))[:, :, None]
        else:
            P = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
            S = P[:, :, None] * np.eye(o) - P[:, :, None] * P[:, None, :]
        H = C * np.einsum("n,ni,nab,nj->iajb", w, A, S, A, optimize=True).reshape(q * o, q * o)
        H[np.diag_indices_from(H)] += np.repeat(pi, o)
        # columns are brought to one size first, or those of tiny features would fall below the cut. The softmax is
        # unchanged by a constant added to every intercept; least squares picks the shortest step
        size = 1 / np.sqrt(np.maximum(H.diagonal(), np.finfo(np.float64).tiny))
        step = -size * np.linalg.lstsq(size[:, None] * H * size, size * grad, rcond=1e-14)[0]
        decrement = -float(grad @ step)
        if decrement / 2 <= tolerance * value:
            return W, b, value
        t = 1.0
        while objective(*unpack(theta + t * step), X, Y, C, w)[0] > value - 1e-4 * t * decrement and t > 1e-10:
            t /= 2
        theta = theta + t * step
    raise RuntimeError(f"the reference did not converge in {max_steps} steps (decrement {decrement:.3g})")
