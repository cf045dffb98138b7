"""What each probe type is: frozen, hashable specifications, with scikit-learn's defaults and the meaning it gives them.

Every specification has a short `name` for tables, a `digest` over every setting, and `C`, the inverse penalty in the
objective C·Σ loss + ½‖W‖², or None where there is no such thing. `docs/probes.md` has the formulas.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from geneb_jax.errors import ProbeError, UsageError, unknown_name

Metric = Literal["euclidean", "cosine"]


def _positive(head: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ProbeError(f"{name} of the {head} probe must be a positive number, not {value!r}")


def _whole(head: str, name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ProbeError(f"{name} of the {head} probe must be a whole number from 1 on, not {value!r}")


@dataclass(frozen=True)
class HeadSpec:
    """What all types share.

    standardize: centre and scale each feature by the mean and standard deviation (ddof 0) of the rows that the probe
        is fitted on; constant features are left unscaled.
    """

    head: ClassVar[str] = ""

    standardize: bool = False

    @property
    def name(self) -> str:
        """Short name for tables and records, with every setting that is not the default but C."""
        settings = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("standardize", "C")
        }
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        changed = [f"{key}={_short(value)}" for key, value in settings.items() if value != defaults[key]]
        return "-".join([self.head, *(["standardized"] if self.standardize else []), *changed])

    @property
    def digest(self) -> str:
        """SHA-256 over every setting; equal digests mean equal fits."""
        body = json.dumps({"probe": self.head, **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    @property
    def seeded(self) -> bool:
        """Whether a fit depends on the seed beyond the draw of its rows."""
        return False


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class _NoPenalty(HeadSpec):
    @property
    def C(self) -> float | None:
        """There is no penalty."""
        return None


@dataclass(frozen=True)
class RidgeSpec(HeadSpec):
    """Least squares on targets -1 and 1, one column a class (one for two classes): scikit-learn's RidgeClassifier.

    alpha: the penalty α‖W‖² beside the sum of squares; the intercept is not penalised.
    """

    head: ClassVar[str] = "ridge"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _positive(self.head, "alpha", self.alpha)

    @property
    def name(self) -> str:
        """Without alpha, which records and tables show as C = 1 / (2 alpha)."""
        return "ridge-standardized" if self.standardize else "ridge"

    @property
    def C(self) -> float:
        """1 / (2 alpha), which makes the objective C·Σ (y - f)² + ½‖W‖²."""
        return 0.5 / self.alpha

    def with_C(self, C: float) -> RidgeSpec:
        """The probe with this C."""
        _positive(self.head, "C", C)
        return dataclasses.replace(self, alpha=0.5 / C)


@dataclass(frozen=True)
class SvmSpec(HeadSpec):
    """Linear support vector machines with squared hinge loss, one against the rest: scikit-learn's LinearSVC.

    C: inverse penalty. As in LinearSVC the intercept is the weight of a constant feature of value 1, and penalised.
    max_steps: Newton steps before a fit stops as ``max_steps``.
    """

    head: ClassVar[str] = "svm"

    C: float = 1.0
    max_steps: int = 100

    def __post_init__(self) -> None:
        _positive(self.head, "C", self.C)
        _whole(self.head, "max_steps", self.max_steps)

    def with_C(self, C: float) -> SvmSpec:
        """The probe with this C."""
        return dataclasses.replace(self, C=C)


@dataclass(frozen=True)
class LdaSpec(_NoPenalty):
    """Linear discriminant analysis with a shrunk covariance: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=…).

    shrinkage: from the sample covariance (towards 0) to a multiple of the identity (1); "auto" is the Ledoit-Wolf
        estimate, class by class on standardised features.
    """

    head: ClassVar[str] = "lda"

    shrinkage: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.shrinkage != "auto" and not (isinstance(self.shrinkage, int | float) and 0 < self.shrinkage <= 1):
            raise ProbeError(
                f"shrinkage of the lda probe must be auto, or a number above 0 and up to 1, not {self.shrinkage!r}",
                cure="without shrinkage the covariance of few rows has no inverse",
            )


@dataclass(frozen=True)
class CentroidSpec(_NoPenalty):
    """The class whose mean is nearest in Euclidean distance: scikit-learn's NearestCentroid."""

    head: ClassVar[str] = "centroid"


@dataclass(frozen=True)
class KnnSpec(_NoPenalty):
    """A majority of the nearest training rows, equal weights: scikit-learn's KNeighborsClassifier.

    k: how many neighbours vote; in a few-shot draw no more than it has rows of a class, so that a vote can be decided.
    """

    head: ClassVar[str] = "knn"

    k: int = 5
    metric: Metric = "euclidean"

    def __post_init__(self) -> None:
        _whole(self.head, "k", self.k)
        if self.metric not in get_args(Metric):
            raise unknown_name("metric", str(self.metric), list(get_args(Metric)))


@dataclass(frozen=True)
class GnbSpec(_NoPenalty):
    """Gaussian naive Bayes: scikit-learn's GaussianNB.

    var_smoothing: this share of the largest variance of any feature is added to every variance.
    """

    head: ClassVar[str] = "gnb"

    var_smoothing: float = 1e-9

    def __post_init__(self) -> None:
        _positive(self.head, "var_smoothing", self.var_smoothing)


@dataclass(frozen=True)
class MlpSpec(_NoPenalty):
    """One hidden layer of ReLU units, trained by Adam with early stopping: scikit-learn's MLPClassifier.

    hidden: units. learning_rate: Adam's. alpha: L2 penalty. batch: rows of a step. max_epochs: passes over the rows.
    held_out: share of the rows whose accuracy decides when to stop. patience: epochs in a row without a gain of `tol`
        after which training stops. The random numbers are those of MLPClassifier(random_state=seed).
    """

    head: ClassVar[str] = "mlp"

    hidden: int = 256
    learning_rate: float = 1e-3
    alpha: float = 1e-4
    batch: int = 200
    max_epochs: int = 200
    held_out: float = 0.1
    patience: int = 10
    tol: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("hidden", "batch", "max_epochs", "patience"):
            _whole(self.head, name, getattr(self, name))
        _positive(self.head, "learning_rate", self.learning_rate)
        if not (0 < self.held_out < 1):
            raise ProbeError(f"held_out of the mlp probe must lie between 0 and 1, not {self.held_out!r}")
        for name in ("alpha", "tol"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ProbeError(f"{name} of the mlp probe must not be negative, not {getattr(self, name)!r}")

    def holds_out(self, counts: Sequence[int]) -> bool:
        """Whether scikit-learn can hold rows out of these many of each class; else training stops by its own loss."""
        rows = sum(counts)
        held = math.ceil(self.held_out * rows)
        # two classes are stratified, more are not
        return held >= 2 and (len(counts) > 2 or (min(counts) > 1 and rows - held >= 2))

    @property
    def seeded(self) -> bool:
        """Weights, held-out rows and the order of the rows are random."""
        return True


AnyHead = RidgeSpec | SvmSpec | LdaSpec | CentroidSpec | KnnSpec | GnbSpec | MlpSpec

HEADS: Mapping[str, type[AnyHead]] = {
    spec.head: spec for spec in (RidgeSpec, SvmSpec, LdaSpec, CentroidSpec, KnnSpec, GnbSpec, MlpSpec)
}


def parse_head(text: str, **settings: object) -> AnyHead:
    """A specification from words such as ``lda``, ``knn:k=1:metric=cosine``, ``ridge:alpha=10``.

    Raises:
        UnknownNameError: no such type or setting.
        UsageError: a value that cannot be read.
        ProbeError: a value out of range.
    """
    head, *words = text.strip().split(":")
    if head not in HEADS:
        raise unknown_name("probe", head, ["logistic", *HEADS])
    kind = HEADS[head]
    known = {field.name: field for field in dataclasses.fields(kind)}
    found = dict(settings)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"a setting of a probe is written key=value, not {word!r}", where=f"probe {text}")
        if key not in known:
            raise unknown_name(f"setting of the {head} probe", key, list(known))
        found[key] = _read(text, key, value, str(known[key].type))
    return kind(**found)  # type: ignore[arg-type]


def _read(text: str, key: str, value: str, kind: str) -> object:
    try:
        if kind == "bool":
            return {"true": True, "false": False}[value.lower()]
        if kind == "int":
            return int(value)
        if "float" in kind and value != "auto":
            return float(value)
    except (KeyError, ValueError):
        raise UsageError(f"{key}={value} cannot be read as {kind}", where=f"probe {text}") from None
    return value
