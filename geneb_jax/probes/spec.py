"""What a probe is: a frozen, hashable specification of a head and of how it is fitted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from geneb_jax.errors import ProbeError
from geneb_jax.probes.heads.specs import AnyHead, RidgeSpec, SvmSpec
from geneb_jax.probes.regime import check_key

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class LogisticSpec:
    """L2-penalised logistic regression, binary for two classes and multinomial beyond.

    The defaults are GENEB's probe: scikit-learn's ``LogisticRegression()`` on raw features. Unlike the stock
    harness the fit runs to the optimum; `tolerance` bounds the objective's relative distance from it.
    The objective itself is defined in `geneb_jax.linear.objective`.

    C: inverse penalty, scikit-learn's meaning.
    fit_intercept: whether an unpenalised intercept is fitted.
    standardize: centre and scale each feature by the mean and standard deviation (ddof 0) of the rows that the probe
        is fitted on, so that the penalty acts on standardised coefficients; constant features are left unscaled.
    balanced: weight the loss of each row by n / (k · n_class), counted in the rows that the probe is fitted on:
        scikit-learn's ``class_weight="balanced"``. The weights sum to n, so C keeps its meaning.
    max_steps: Newton steps before a lane stops as ``max_steps``.
    """

    head: ClassVar[str] = "logistic"

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
        parts = [self.head]
        parts += ["standardized"] if self.standardize else []
        parts += ["balanced"] if self.balanced else []
        parts += [] if self.fit_intercept else ["no-intercept"]
        return "-".join(parts)

    @property
    def digest(self) -> str:
        """SHA-256 over every setting; equal digests mean equal fits."""
        body = json.dumps({"probe": self.head, **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    def with_C(self, C: float) -> LogisticSpec:
        """The probe with this C."""
        return dataclasses.replace(self, C=C)

    def resolved_tolerance(self, dtype: Dtype) -> float:
        """The bound on (F - F*)/F at which a lane has converged; the default depends on the precision."""
        if self.tolerance is not None:
            return self.tolerance
        return 1e-12 if dtype == "float64" else 1e-9


Penalised = LogisticSpec | RidgeSpec | SvmSpec
"""Probes with a penalty."""

PENALISED = frozenset(kind.head for kind in get_args(Penalised))

DEFAULT_GRID: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The penalties of GENEB's own sensitivity study (its Appendix E)."""


@dataclass(frozen=True)
class HeldOutC:
    """A probe whose C is chosen, fit by fit, on a held-out part of that fit's own training rows.

    base: everything but C; its C is used where no row can be held out, as with one row per class.
    grid: the candidates, ascending.
    share: part of each class's rows that is held out.
    key: the run's key, from which the split is derived.

    The rule is in `geneb_jax.probes.choose`; test rows play no part in it.
    """

    base: Penalised = LogisticSpec()
    grid: tuple[float, ...] = DEFAULT_GRID
    share: float = 0.2
    key: int = 0

    def __post_init__(self) -> None:
        if not self.grid:
            raise ProbeError("there is no C to choose from", cure="name at least one, as in auto:0.1,1,10")
        if len(set(self.grid)) != len(self.grid):
            raise ProbeError("a C to choose from was given twice", cure="give each once")
        for C in self.grid:
            self.with_C(C)  # raises on a C that is no penalty
        object.__setattr__(self, "grid", tuple(sorted(map(float, self.grid))))
        if not (0 < self.share < 1):
            raise ProbeError(f"the held-out share must lie between 0 and 1, not {self.share!r}")
        check_key(self.key)

    @property
    def name(self) -> str:
        """Short name for tables and records."""
        return self.base.name

    @property
    def digest(self) -> str:
        """SHA-256 over every setting; equal digests mean equal choices and fits."""
        body = json.dumps({"probe": self.base.head, "choose": "held-out C", **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    def with_C(self, C: float) -> Penalised:
        """The probe with this C."""
        return self.base.with_C(C)


ProbeSpec = LogisticSpec | HeldOutC | AnyHead
