"""Checks that an encoder passes before its vectors count. They fail closed: no evidence is a failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.info import Encoder
from geneb_jax.errors import EncoderError, UsageError

# Largest relative difference ||a - b|| / ||b|| between two vectors of one sequence. Batching reorders sums:
# some 1e-6 in float32 after tens of layers, and 2^13 and 2^16 times the rounding in half precision.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 5e-2}
_DISTINCT = 1e-6  # below this relative spread, vectors of different sequences count as one constant
_MOST_ALONE = 8  # sequences that are encoded one by one


@dataclass(frozen=True)
class Check:
    """One check: what it asks, the measured value, the bound it is held to."""

    name: str
    question: str
    measured: str
    bound: str
    passed: bool


@dataclass(frozen=True)
class CheckReport:
    """All checks of one encoder, in order."""

    encoder: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def raise_if_failed(self) -> None:
        """Raise EncoderError that names each failed check and what was measured."""
        if self.passed:
            return
        lines = "; ".join(f"{c.name}: {c.question} measured {c.measured}, needs {c.bound}" for c in self.failed)
        names = {c.name for c in self.failed}
        cure = "its scores would not be reproducible; mend the encoder"
        if names & {"alone", "longer"}:
            cure = "neighbours leak into the vectors, usually through padding: mask it (hf: add padding=false)"
        raise EncoderError(f"the encoder fails its checks: {lines}", where=f"encoder {self.encoder}", cure=cure)


def check_encoder(encoder: Encoder, sequences: Sequence[str]) -> CheckReport:
    """Measure whether a vector depends on its sequence alone, and is what the encoder declares.

    ``sequences`` are some the encoder will meet; at most 8 distinct ones are used, spread over their lengths.
    Raises UsageError for fewer than two distinct sequences.
    """
    chosen = _choose(sequences)
    info = encoder.info
    tolerance = TOLERANCE.get(str(info.settings.get("dtype", "float32")), TOLERANCE["float32"])
    batch = encoder.encode(chosen)
    shape = (len(chosen), info.width)
    checks = [
        _check(
            "width",
            "is the result one row per sequence and as wide as declared?",
            f"{getattr(batch, 'shape', type(batch).__name__)}",
            f"{shape}",
            getattr(batch, "shape", None) == shape,
        ),
        _check(
            "dtype",
            "are the numbers float32?",
            f"{getattr(batch, 'dtype', type(batch).__name__)}",
            "float32",
            getattr(batch, "dtype", None) == np.float32,
        ),
    ]
    if not all(check.passed for check in checks):
        return CheckReport(info.name, tuple(checks))  # the others would compare unlike arrays
    bad = int(np.size(batch) - np.isfinite(batch).sum())
    checks.append(
        _check("finite", "are all numbers finite?", f"{bad} NaN or infinite", "0", bad == 0),
    )
    with np.errstate(all="ignore"):  # NaN makes every difference below NaN, which fails its check
        spread = max(_difference(batch[i : i + 1], batch[:1]) for i in range(1, len(batch)))
        checks.append(
            _check(
                "not constant",
                "do different sequences get different vectors?",
                f"relative spread {spread:.1e}",
                f"above {_DISTINCT:.0e}",
                spread > _DISTINCT,
            )
        )

        def same(name: str, question: str, limit: float, again: Callable[[], NumpyFloat]) -> None:
            other = again()
            value = _difference(other, batch) if other.shape == batch.shape else float("nan")
            checks.append(
                _check(name, question, f"relative difference {value:.1e}", f"at most {limit:.0e}", value <= limit)
            )

        same("deterministic", "does the same call give the same vectors?", 1e-6, lambda: encoder.encode(chosen))
        same(
            "alone",
            "is the vector the same alone and in a batch?",
            tolerance,
            lambda: np.concatenate([encoder.encode([s]) for s in chosen]),
        )
        same(
            "order",
            "do rows come in the order given?",
            tolerance,
            lambda: encoder.encode(chosen[::-1])[::-1],
        )
        longest = max(chosen, key=len)
        neighbours = [longest * 2, longest * 2 + chosen[0]]
        same(
            "longer",
            "is the vector the same among longer sequences?",
            tolerance,
            lambda: encoder.encode([neighbours[0], *chosen, neighbours[1]])[1:-1],
        )
    return CheckReport(info.name, tuple(checks))


def _choose(sequences: Sequence[str]) -> list[str]:
    distinct = sorted(dict.fromkeys(sequences), key=len)
    if len(distinct) < 2:
        raise UsageError(
            f"checking an encoder needs two different sequences, not {len(distinct)}",
            cure="give more sequences of the task",
        )
    places = np.linspace(0, len(distinct) - 1, min(_MOST_ALONE, len(distinct))).round().astype(int)
    return [distinct[i] for i in places]


def _difference(a: NumpyFloat, b: NumpyFloat) -> float:
    """Largest row-wise ``||a - b|| / ||b||``; NaN where anything is not finite."""
    gap = np.linalg.norm(a.astype(np.float64) - b.astype(np.float64), axis=1)
    size = np.maximum(np.linalg.norm(b.astype(np.float64), axis=1), np.finfo(np.float32).tiny)
    return float(np.max(gap / size))


def _check(name: str, question: str, measured: str, bound: str, passed: bool) -> Check:
    return Check(name, question, measured, bound, bool(passed))
