"""Several vectors of a sequence from one forward pass: layers and poolings of one model.

Each view has the identity of the encoder that would be loaded with that layer and pooling alone, so a store
that was begun with the one is continued by the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import Budget, run_batches
from geneb_jax.encoder.counting import Counts
from geneb_jax.encoder.info import Encoder, EncoderInfo
from geneb_jax.encoder.load import load_encoder
from geneb_jax.encoder.spec import parse_spec
from geneb_jax.errors import EncoderError, UsageError

Done = Callable[[int], None]
_SLICE = 256


@runtime_checkable
class ViewEncoder(Protocol):
    """A frozen map from sequences to several vectors each, computed together."""

    @property
    def views(self) -> tuple[EncoderInfo, ...]:
        """Identity of each vector: that of the same encoder loaded for it alone. No two are alike."""

    def encode_views(self, sequences: Sequence[str]) -> list[NumpyFloat]:
        """float32 ``(n, width)`` for each view, rows in the order given; any list length, also 0."""


@runtime_checkable
class StagedEncoder(ViewEncoder, Protocol):
    """A view encoder whose work comes in two steps, so that a run can do the first ahead in another thread."""

    @property
    def budget(self) -> Budget:
        """What goes into one batch, and how often memory ran out."""

    def prepare(self, sequences: Sequence[str]) -> Any:
        """What needs no device, such as tokens. Called by one thread, and may run beside ``compute``."""

    def compute(self, prepared: Any, done: Done | None = None) -> list[NumpyFloat]:
        """As `ViewEncoder.encode_views`; ``done`` is told how many more sequences are finished, and may raise."""


@runtime_checkable
class SelectsViews(Protocol):
    """An encoder that has layers and poolings to choose from."""

    def select_views(self, layers: Sequence[str], poolings: Sequence[str]) -> ViewEncoder:
        """Every layer with every pooling, layers first; an empty list keeps the encoder's own choice.

        A layer is what the option ``layer`` takes, or ``all``: every one from 0, the input embeddings. Raises
        UsageError and EncoderError.
        """


def load_views(spec: str, layers: Sequence[str] = (), poolings: Sequence[str] = (), **options: object) -> StagedEncoder:
    """Load an encoder once for every layer with every pooling; without any, as `load_encoder` loads it.

    Raises UsageError where the string names one of them too, or the encoder has no choice of them, and as
    `load_encoder` does.
    """
    given = {**parse_spec(spec).options, **options}
    for name, listed in (("layer", layers), ("pooling", poolings)):
        if listed and name in given:
            raise UsageError(
                f"{name}s are listed, and the encoder string gives one too",
                where=f"encoder {spec!r}",
                cure=f"leave {name}={given[name]} out of the string",
            )
    encoder = load_encoder(spec, **options)
    if not layers and not poolings:
        return staged(encoder)
    if not isinstance(encoder, SelectsViews):
        raise UsageError(
            "this encoder has no layers and poolings to choose from",
            where=f"encoder {spec!r}",
            cure="leave --layers and --pooling out",
        )
    return staged(encoder.select_views(layers, poolings))


def staged(encoder: Encoder | ViewEncoder) -> StagedEncoder:
    """Any encoder in the form that a run works with."""
    if isinstance(encoder, StagedEncoder):
        return encoder
    return _Plain(encoder)


class _Plain:
    """An encoder that offers one call only: it gets slices of the list, smaller ones where memory runs out."""

    def __init__(self, encoder: Encoder | ViewEncoder) -> None:
        self._encoder = encoder
        self.views = encoder.views if isinstance(encoder, ViewEncoder) else (encoder.info,)
        self.budget = Budget()
        self.promises = tuple(getattr(encoder, "promises", ()))  # `geneb_jax.encoder.check`
        self.thymine: str | None = getattr(encoder, "thymine", None)  # `geneb_jax.encoder.counting`

    def count_letters(self, sequences: Sequence[str]) -> Counts | None:
        count = getattr(self._encoder, "count_letters", None)
        return None if count is None else count(sequences)

    def encode_views(self, sequences: Sequence[str]) -> list[NumpyFloat]:
        return self.compute(self.prepare(sequences))

    def prepare(self, sequences: Sequence[str]) -> Sequence[str]:
        return sequences

    def compute(self, prepared: Sequence[str], done: Done | None = None) -> list[NumpyFloat]:
        vectors = [np.empty((len(prepared), view.width), np.float32) for view in self.views]

        def work(batch: list[int]) -> None:
            for out, part in zip(vectors, self._call([prepared[i] for i in batch]), strict=True):
                out[batch] = part

        places = range(len(prepared))
        run_batches(
            [list(places[start : start + _SLICE]) for start in places[::_SLICE]],
            [len(sequence) for sequence in prepared],
            [work],
            self.budget,
            where=f"encoder {self.views[0].name}",
            done=None if done is None else lambda batch: done(len(batch)),
        )
        return vectors

    def _call(self, sequences: list[str]) -> list[NumpyFloat]:
        if isinstance(self._encoder, ViewEncoder):
            parts = self._encoder.encode_views(sequences)
        else:
            parts = [self._encoder.encode(sequences)]
        for view, part in zip(self.views, parts, strict=True):
            shape = np.shape(part)
            if shape != (len(sequences), view.width):
                raise EncoderError(
                    f"the encoder returned an array of shape {shape} for {len(sequences)} sequences, "
                    f"where {(len(sequences), view.width)} was declared",
                    where=f"encoder {view.name}",
                    cure="correct the encoder's declared width, or let encode return one row per sequence",
                )
        return [np.asarray(part) for part in parts]
