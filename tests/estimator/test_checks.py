"""scikit-learn's own battery for estimators, without expected failures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from geneb_jax.estimator import LogisticProbe

Check = Callable[[LogisticProbe], None]
PRECISION = ("subset_invariance", "order_invariance", "dtypes")
"""Checks whose outcome could depend on float32; the others are run in the default precision only. The equivalence of
weights and repeated rows to seven digits is promised by the default tolerance of float64 only."""

SINGLE = LogisticProbe(dtype="float32", class_weight="balanced")
NUMERIC = [check for _, check in estimator_checks_generator(SINGLE) if any(word in str(check) for word in PRECISION)]


@pytest.mark.slow  # every check brings shapes of its own, and each shape is compiled
@parametrize_with_checks([LogisticProbe()])
def test_it_passes_scikit_learns_checks(estimator: LogisticProbe, check: Check) -> None:
    check(estimator)


@pytest.mark.slow  # the same
@pytest.mark.parametrize("check", NUMERIC, ids=lambda check: check.func.__name__)
def test_it_passes_the_numeric_ones_in_float32(check: Check) -> None:
    check(LogisticProbe(dtype="float32", class_weight="balanced"))
