"""Which implementation runs: XLA unless asked otherwise, and a fallback that is seen, once."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from geneb_kernels import choice
from geneb_kernels.gram import weighted_gram

X, W = jnp.arange(6.0).reshape(3, 2), jnp.ones(3)


def test_xla_is_the_default() -> None:
    weighted_gram(X, W)
    made = choice.choices()["weighted_gram"]
    assert (made.implementation, made.status) == ("xla", "reference")
    assert "default" in made.why


def test_a_kernel_that_cannot_run_here_is_replaced_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_warned", set())
    monkeypatch.setenv(choice.VARIABLE, "mosaic")
    with pytest.warns(UserWarning, match="weighted_gram: XLA in place .* needs a Hopper GPU, and JAX computes on cpu"):
        G = weighted_gram(X, W)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weighted_gram(X, W)
    np.testing.assert_array_equal(G, X.T @ X)
    assert choice.choices()["weighted_gram"].why.startswith("the kernel cannot run: it needs a Hopper GPU")


def test_a_kernel_that_can_run_says_that_it_is_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "require_hopper", lambda: None)
    assert choice.dispatch("an operation", "mosaic", mosaic=lambda: 1, reference=lambda: 2) == 1
    made = choice.choices()["an operation"]
    assert (made.implementation, made.status) == ("mosaic", "unproven")
    assert str(made) == "Mosaic GPU kernel (unproven): asked for"


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ValueError, match="xla or mosaic, not 'triton'"):
        weighted_gram(X, W, implementation="triton")  # type: ignore[arg-type]
