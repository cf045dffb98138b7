"""Entry point of the fused logits, loss and residual."""

from __future__ import annotations

import jax

from geneb_kernels.choice import Implementation, dispatch
from geneb_kernels.logistic import xla


def residuals_and_losses(
    X: jax.Array, V: jax.Array, labels: jax.Array, W: jax.Array, implementation: Implementation | None = None
) -> tuple[jax.Array, jax.Array]:
    """Weighted residuals (n, l, o) and summed weighted losses (l,) of l lanes with weights V (l, d, o) on X (n, d).

    The loss and its gradient in the logits are those of `geneb_jax.linear.objective`: o = 1 is the binary loss with
    label 1 as the positive class, o > 1 softmax. labels (n,) are class indices of all lanes; W (l, n) row weights.
    implementation: see `geneb_kernels.choice.dispatch`. Raises ValueError when the shapes do not fit.
    """
    n, d = X.shape
    lanes = V.shape[0]
    if V.ndim != 3 or V.shape[1] != d or labels.shape != (n,) or W.shape != (lanes, n):
        raise ValueError(
            f"X (n, d), V (l, d, o), labels (n,) and W (l, n) do not fit: "
            f"{X.shape}, {V.shape}, {labels.shape}, {W.shape}"
        )

    def kernel() -> tuple[jax.Array, jax.Array]:
        from geneb_kernels.logistic import mosaic_gpu

        return mosaic_gpu.residuals_and_losses(X, V, labels, W)

    return dispatch(
        "residuals_and_losses",
        implementation,
        mosaic=kernel,
        reference=lambda: xla.residuals_and_losses(X, V, labels, W),
    )
