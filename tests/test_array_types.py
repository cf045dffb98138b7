"""The import hook of conftest.py does check the numeric layers: a wrong shape is refused in the tests."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from geneb_jax.linear.objective import row_losses
from geneb_jax.metric import mcc
from geneb_jax.probes.design import raw_coefficients
from geneb_jax.solve.span import span


def test_wrong_axes_are_refused_in_every_numeric_layer() -> None:
    with pytest.raises(TypeCheckError, match="row_losses"):
        row_losses(jnp.zeros((3, 2)), jnp.zeros((4, 2)))
    with pytest.raises(TypeCheckError, match="mcc"):
        mcc(np.zeros((2, 3), int))
    with pytest.raises(TypeCheckError, match="span"):
        span(jnp.zeros((3, 2), int))
    with pytest.raises(TypeCheckError, match="raw_coefficients"):
        raw_coefficients([1.0], np.ones(1), np.ones(1))  # type: ignore[arg-type]
