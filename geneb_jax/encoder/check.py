"""Checks that an encoder passes before its vectors count. They fail closed: no evidence is a failure.

Three findings are reported and not held against an encoder: what lower case, N and the other strand do to a vector.
An encoder that promises one of them, in an attribute ``promises`` with names out of `PROMISES`, is held to it; that
a sequence with N gets a finite vector at all is asked of every encoder.

What a reference preset does is somebody else's definition. Where it lets the vectors depend on their batch, it runs
only if its settings name a defect, which then stands in the store and in every record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.info import Encoder
from geneb_jax.errors import EncoderError, GenebError, UsageError

# Largest relative difference ||a - b|| / ||b|| between two vectors of one sequence. Batching reorders sums:
# some 1e-6 in float32 after tens of layers, and 2^13 and 2^16 times the rounding in half precision.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 5e-2}
_DISTINCT = 1e-6  # below this relative spread, vectors of different sequences count as one constant
_MOST_ALONE = 8  # sequences that are encoded one by one

PROMISES = ("lower case", "strand")
"""Lower case is read as upper case; a sequence and its reverse complement have one vector."""

# what a reference preset with a named defect may fail: the vector depends on its batch
_EXCUSED = frozenset({"alone", "order", "longer"})
_COMPLEMENT = str.maketrans("ACGTUacgtu", "TGCAAtgcaa")


@dataclass(frozen=True)
class Check:
    """One check: what it asks, the measured value, the bound it is held to.

    ``required`` is False for a finding that is only reported.
    """

    name: str
    question: str
    measured: str
    bound: str
    passed: bool
    required: bool = True


@dataclass(frozen=True)
class CheckReport:
    """All checks of one encoder, in order; ``notes`` are what its loading has to say."""

    encoder: str
    checks: tuple[Check, ...]
    is_reference: bool = False
    defect: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every required check passed, or failed by a reference preset's named defect."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The required checks that did not pass and are not excused."""
        excused = _EXCUSED if self.is_reference and self.defect else frozenset()
        return tuple(c for c in self.checks if c.required and not c.passed and c.name not in excused)

    @property
    def excused(self) -> tuple[Check, ...]:
        """The required checks that did not pass, as the defect named in the settings says."""
        failed = self.failed
        return tuple(c for c in self.checks if c.required and not c.passed and c not in failed)

    def summary(self) -> str:
        """One line: how many checks passed, what was excused, and what was found."""
        required = [c for c in self.checks if c.required]
        count = sum(c.passed for c in required)
        parts = [f"{count} checks passed" if count == len(required) else f"{count} of {len(required)} checks passed"]
        if self.failed:
            parts.append(f"FAILED: {', '.join(c.name for c in self.failed)}")
        if self.excused:
            parts.append(f"not {', '.join(c.name for c in self.excused)}, as recorded: {self.defect}")
        parts += [f"{c.name}: {c.measured}" for c in self.checks if not c.required]
        return "; ".join([*parts, *self.notes])

    def raise_if_failed(self) -> None:
        """Raise EncoderError that names each failed check and what was measured."""
        if (error := self.error) is not None:
            raise error

    @property
    def error(self) -> EncoderError | None:
        """The error of `raise_if_failed`; None where nothing failed."""
        if self.passed:
            return None
        lines = "; ".join(f"{c.name}: {c.question} measured {c.measured}, needs {c.bound}" for c in self.failed)
        names = {c.name for c in self.failed}
        cure = "its scores would not be reproducible; mend the encoder"
        if self.is_reference and names <= _EXCUSED:
            cure = "name the defect in the preset's settings, so that every record carries it; or preset=normalized"
        elif "history" in names and not names & {"deterministic", "alone", "longer"}:
            cure = "it keeps a state between calls: let each vector follow from its sequence alone"
        elif names & {"alone", "longer"}:
            cure = "neighbours leak into the vectors, usually through padding: mask it (hf: add padding=false)"
        return EncoderError(f"the encoder fails its checks: {lines}", where=f"encoder {self.encoder}", cure=cure)


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

    def report() -> CheckReport:
        defect = info.settings.get("defect")
        is_reference = info.settings.get("preset") == "reference"
        notes = tuple(getattr(encoder, "notes", ()))
        return CheckReport(info.name, tuple(checks), is_reference, str(defect) if defect else None, notes)

    if not all(check.passed for check in checks):
        return report()  # the others would compare unlike arrays
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
        checks += _letters(encoder, chosen, batch, tolerance)
        same("history", "is the vector the same after other sequences?", 1e-6, lambda: encoder.encode(chosen))
    return report()


def _letters(encoder: Encoder, chosen: list[str], batch: NumpyFloat, tolerance: float) -> list[Check]:
    """What N, lower case and the other strand do to the vectors. Every question is one call, in a fixed order."""
    promises = frozenset(getattr(encoder, "promises", ()))
    checks = []
    found, error = _try(encoder, [_with_n(s) for s in chosen], batch)
    finite = found is not None and bool(np.isfinite(found).all())
    change = "" if found is None else f"relative difference {_difference(found, batch):.1e}"
    checks.append(_check("N", "does a sequence with N get a finite vector?", error or change, "finite", finite))
    for name, question, other in (
        ("lower case", "is lower case read as upper case?", [s.lower() for s in chosen]),
        ("strand", "does the reverse complement get the same vector?", [_turned(s) for s in chosen]),
    ):
        found, error = _try(encoder, other, batch)
        value = float("nan") if found is None else _difference(found, batch)
        measured = error or ("the same" if value <= tolerance else f"relative difference {value:.1e}")
        passed = value <= tolerance
        checks.append(Check(name, question, measured, f"at most {tolerance:.0e}", passed, name in promises))
    return checks


def _try(encoder: Encoder, sequences: list[str], batch: NumpyFloat) -> tuple[NumpyFloat | None, str]:
    """The vectors, or why there are none."""
    try:
        found = encoder.encode(sequences)
    except Exception as error:  # a class of the user's own can fail in any way
        what = error.what if isinstance(error, GenebError) else f"{type(error).__name__}: {error}"
        return None, f"refused: {what}"
    return (found, "") if found.shape == batch.shape else (None, f"an array of shape {found.shape}")


def _with_n(sequence: str) -> str:
    middle = len(sequence) // 2
    return f"{sequence[:middle]}N{sequence[middle + 1 :]}"


def _turned(sequence: str) -> str:
    return sequence.translate(_COMPLEMENT)[::-1]


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
