"""What a probe is: a frozen, hashable specification of a head and of how it is fitted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Literal

from geneb_jax.errors import ProbeError

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class LogisticSpec:
    """L2-penalised logistic regression, binary for two classes and multinomial beyond.

    The defaults are GENEB's probe: scikit-learn's ``LogisticRegression()`` on raw features. Unlike the stock
    harness the fit runs to the optimum; `tolerance` bounds the objective's relative distance from it.
    The objective itself is defined in `geneb_jax.linear.objective`.

    C: inverse penalty, scikit-learn's meaning.
    fit_intercept: whether an unpenalised intercept is fitted.
    standardize: centre and scale each feature by the training rows' mean and standard deviation first, so that
        the penalty acts on standardised coefficients; constant features are left unscaled.
    balanced: weight each class by n / (k · n_class), scikit-learn's ``class_weight="balanced"``.
    max_steps: Newton steps before a lane stops as ``max_steps``.
    """

    C: float = 1.0
    fit_intercept: bool = True
    standardize: bool = False
    balanced: bool = False
    max_steps: int = 100
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.C) and self.C > 0):
            raise ProbeError(f"C must be a positive number, not {self.C!r}", cure="GENEB uses C = 1")
        if self.max_steps < 1:
            raise ProbeError(f"max_steps must be at least 1, not {self.max_steps!r}")
        if self.tolerance is not None and not (0 < self.tolerance < 1):
            raise ProbeError(f"tolerance must lie between 0 and 1, not {self.tolerance!r}")

    @property
    def name(self) -> str:
        """Short name for tables and records, with every setting that is not GENEB's default."""
        parts = ["logistic"]
        parts += ["standardized"] if self.standardize else []
        parts += ["balanced"] if self.balanced else []
        parts += [] if self.fit_intercept else ["no-intercept"]
        return "-".join(parts)

    @property
    def digest(self) -> str:
        """SHA-256 over every setting; equal digests mean equal fits."""
        body = json.dumps({"probe": "logistic", **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    def resolved_tolerance(self, dtype: Dtype) -> float:
        """The bound on (F - F*)/F at which a lane has converged; the default depends on the precision."""
        if self.tolerance is not None:
            return self.tolerance
        return 1e-12 if dtype == "float64" else 1e-9
