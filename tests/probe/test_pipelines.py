"""The options of a probe against the scikit-learn pipelines that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.harness import fit_task_sklearn
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime, draw_rows
from geneb_jax.probes.spec import LogisticSpec
from tests.problems import make_task, tight_regression
from tests.tolerances import limit

OPTIONS = [
    (standardize, balanced, intercept)
    for standardize in (False, True)
    for balanced in (False, True)
    for intercept in (False, True)
]
REGIMES = (Regime(None), Regime(10))


def pipeline(spec: LogisticSpec) -> Pipeline:
    """What a user of scikit-learn would write."""
    head = tight_regression(spec)
    return make_pipeline(StandardScaler(), head) if spec.standardize else make_pipeline(head)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("engine", ["jax", "sklearn-optimum"])
def test_every_option_is_its_pipeline(k: int, engine: str) -> None:
    X, y, Z, z = make_task(30 + k, k)
    X += 3  # far enough from zero that a missing intercept, and centring without one, matter
    Z += 3
    specs = [LogisticSpec(C=0.5, standardize=s, balanced=b, fit_intercept=i) for s, b, i in OPTIONS]
    lanes = [Lane(regime, 13, spec) for regime in REGIMES for spec in specs]
    if engine == "jax":
        results = fit_task(X, y, Z, z, lanes, dtype="float64")
    else:
        results = fit_task_sklearn(X, y, Z, z, lanes, stock=False)
    decisions = []
    for result in results:
        regime, spec = result.lane.regime, result.lane.spec
        rows = np.arange(len(y)) if regime.shots is None else draw_rows(y, regime.shots, 13)
        model = pipeline(spec).fit(X[rows].astype(np.float64), y[rows])
        expected = model.decision_function(Z.astype(np.float64)).reshape(len(Z), -1)
        assert result.coef is not None
        assert result.intercept is not None
        found = Z @ result.coef + result.intercept
        np.testing.assert_allclose(
            found, expected, atol=limit("float64", "coef") * np.abs(expected).max(), err_msg=f"{regime.name} {spec}"
        )
        sure = np.abs(expected).min(axis=1) > 1e-3 if k == 2 else np.ptp(np.sort(expected)[:, -2:], axis=1) > 1e-3
        assert np.array_equal(result.predictions[sure], model.predict(Z.astype(np.float64))[sure])  # type: ignore[index]
        decisions.append(expected)
    # at full data the options are different probes; equally large classes need no weights, as in the ten-shot draws
    for i, one in enumerate(decisions[: len(specs)]):
        for other in decisions[i + 1 : len(specs)]:
            assert np.abs(one - other).max() > 1e-3
