"""Before vectors count: the encoder's checks, for every view at once, and the drift of half precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import free_memory, is_out_of_memory
from geneb_jax.encoder.check import CheckReport
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.views import StagedEncoder

CHECKED = 8
DRIFT_SAMPLE = 32
HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Drift:
    """How far half precision is from float32, as ``‖a − b‖ / ‖b‖`` over the sequences of a sample.

    ``least_cosine`` is that of the vector whose direction changed most.
    """

    dtype: str
    sample: int
    median: float
    largest: float
    least_cosine: float

    def as_json(self) -> dict[str, str | int | float]:
        """As it is recorded, with four digits."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.dtype} differs from float32 by {self.median:.1e} at the median and {self.largest:.1e} at most "
            f"(relative, {self.sample} sequences)"
        )


def spread(sequences: Sequence[str], count: int) -> list[str]:
    """At most ``count`` of the sequences, spread evenly over their lengths."""
    ordered = sorted(sequences, key=len)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).astype(int)) if ordered else ()
    return [ordered[i] for i in places]


def check_views(encoder: StagedEncoder, alone: Any, sequences: Sequence[str]) -> list[CheckReport]:
    """The checks of every view, all on the same calls of the model. ``alone`` is the encoder as it was given.

    Empty where there is one sequence only, which can be compared with nothing.
    """
    from geneb_jax.encoder import check_encoder

    chosen = spread(sequences, CHECKED)
    if len(chosen) < 2:
        return []
    tape: list[tuple[list[str], list[NumpyFloat]]] = []
    reports = []
    for number in range(len(encoder.views)):
        one = alone if len(encoder.views) == 1 and hasattr(alone, "encode") else _OneView(alone, encoder, number, tape)
        reports.append(check_encoder(one, chosen))
    return reports


class _OneView:
    """One view as an encoder. The views' checks ask the same questions in the same order, so each is asked once."""

    def __init__(self, alone: Any, encoder: StagedEncoder, number: int, tape: list[Any]) -> None:
        self._alone, self._encoder, self._number, self._tape = alone, encoder, number, tape
        self._at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._alone, name)

    @property
    def info(self) -> EncoderInfo:
        return self._encoder.views[self._number]

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        asked = list(sequences)
        if self._at == len(self._tape):
            self._tape.append((asked, self._encoder.encode_views(asked)))
        question, answers = self._tape[self._at]
        self._at += 1
        if question != asked:  # a check that depends on an earlier answer
            answers = self._encoder.encode_views(asked)
        return np.array(answers[self._number])


def measure_drift(
    encoder: StagedEncoder, alone: Any, sequences: Sequence[str]
) -> tuple[tuple[Drift | None, ...], str | None]:
    """Each view's drift from float32 on a sample; None where it is float32, and why where it could not be measured."""
    none = (None,) * len(encoder.views)
    dtype = str(encoder.views[0].settings.get("dtype", "float32"))
    chosen = spread(sequences, DRIFT_SAMPLE)
    if dtype not in HALF or not chosen:
        return none, None
    make: Callable[[], StagedEncoder] | None = getattr(alone, "in_float32", None)
    if make is None:
        return none, f"the drift of {dtype} is not measured: this encoder cannot be loaded in float32"
    try:
        exact = make().encode_views(chosen)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        exact = None
    free_memory()
    if exact is None:
        return none, f"the drift of {dtype} is not measured: memory does not suffice for the model in float32"
    found = encoder.encode_views(chosen)
    return tuple(_drift(dtype, a, b) for a, b in zip(found, exact, strict=True)), None


def _drift(dtype: str, found: NumpyFloat, exact: NumpyFloat) -> Drift:
    a, b = found.astype(np.float64), exact.astype(np.float64)
    tiny = np.finfo(np.float32).tiny
    size = np.maximum(np.linalg.norm(b, axis=1), tiny)
    relative = np.linalg.norm(a - b, axis=1) / size
    cosine = (a * b).sum(axis=1) / np.maximum(size * np.linalg.norm(a, axis=1), tiny)
    return Drift(dtype, len(a), float(np.median(relative)), float(relative.max()), float(cosine.min()))
