"""What all token models share: views of one forward pass, and the way from windows of tokens to vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import Budget, Work
from geneb_jax.encoder.hf_tokens import Window
from geneb_jax.encoder.info import EncoderInfo, Setting

_TOKENS = {"cpu": 2_048, "cuda": 65_536}  # of one batch; on a processor for each of a few copies

Forward = Callable[[Sequence[Window]], list[NumpyFloat]]


@dataclass(frozen=True)
class View:
    """One vector of a sequence: index into the hidden states (None: last), pooling, identity."""

    layer: int | None
    pooling: str
    info: EncoderInfo

    @property
    def layer_name(self) -> str:
        """The layer as a user would ask for it."""
        return "last" if self.layer is None else str(self.layer)


@dataclass(frozen=True)
class TokenWindows:
    """Sequences as windows of tokens."""

    windows: Sequence[Window]
    num_rows: int


def token_budget(asked: Setting, device: str) -> Budget:
    """Tokens of a batch: as many as asked for, else what suits the kind of device."""
    return Budget(int(asked) if asked else _TOKENS.get(device.split(":")[0], _TOKENS["cpu"]))


def chosen_views(
    layers: Iterable[str], poolings: Sequence[str], num_layers: int, view: Callable[[str, str], View]
) -> tuple[View, ...]:
    """Every layer with every pooling; "all" is the input embeddings, each of ``num_layers``, and no layer twice."""
    named: list[str] = []
    for layer in layers:
        named += [layer] if layer != "all" else [*map(str, range(num_layers)), "last"]
    found: dict[str, View] = {}
    for layer in named:
        for pooling in poolings:
            made = view(layer, pooling)
            found.setdefault(made.info.digest, made)  # "mid" and its number are one
    return tuple(found.values())


def window_vectors(
    prepared: TokenWindows,
    views: Sequence[View],
    forwards: Sequence[Forward],
    run: Callable[[Sequence[Work], Work], None],
    done: Callable[[int], None] | None,
) -> list[NumpyFloat]:
    """A vector of every window, for each view: float32 ``(windows, width)``.

    ``forwards`` holds one pass for each copy of the model; ``run`` gives batches of windows to the workers made of
    them, and tells of each that is finished. ``done`` hears how many more sequences have all their windows.
    """
    made = prepared.windows
    vectors = [np.empty((len(made), view.info.width), dtype=np.float32) for view in views]
    left = np.bincount([window.row for window in made], minlength=prepared.num_rows)

    def worker(forward: Forward) -> Work:
        def work(batch: list[int]) -> None:
            for out, part in zip(vectors, forward([made[i] for i in batch]), strict=True):
                out[batch] = part

        return work

    def tell(batch: list[int]) -> None:
        touched = [made[i].row for i in batch]
        np.subtract.at(left, touched, 1)
        if done is not None:
            done(sum(left[row] == 0 for row in set(touched)))

    run([worker(forward) for forward in forwards], tell)
    return vectors
