"""Before vectors of a store are reused: a few are made anew and compared, whatever the digests say.

A digest covers what is known to decide a vector: weights, settings, the code of a project. A library that changed under
its old version number, a file that nothing names, or a model that answers differently every time do not show in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.check import TOLERANCE
from geneb_jax.encoder.views import StagedEncoder
from geneb_jax.errors import StoreError, UsageError
from geneb_jax.run.embedding_checks import spread
from geneb_jax.store import EmbeddingStore
from geneb_jax.store.arrays import Compression

COMPARED = 4
"""Sequences of each view that are embedded anew, spread over the lengths of those that are stored."""
ROUNDING = {"float32": 0.0, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""What a store of lower precision adds to the tolerance: twice the spacing of its numbers."""


def compare_stored(engine: StagedEncoder, stores: Mapping[int, EmbeddingStore], sequences: Sequence[str]) -> list[str]:
    """Embed some of the sequences that are stored again, and compare. Returns notes on what could not be compared.

    Args:
        engine: what is to embed.
        stores: the element of each view that has one, by the view's number.
        sequences: those of the suite.

    Raises:
        StoreError: the encoder does not make the stored vectors, or not twice the same ones; nothing was written.
    """
    held_by: dict[int, list[str]] = {}
    notes = []
    for number, store in stores.items():
        lacking = set(store.missing(sequences))
        held = [sequence for sequence in sequences if sequence not in lacking]
        if held and "defect" not in engine.views[number].settings:
            held_by[number] = held
        elif held:
            notes.append(
                f"{store.manifest.name}: the stored vectors were not compared with new ones, since by their recorded "
                "defect they depend on what shares their batch"
            )
        elif store.num_rows and sequences:
            notes.append(
                f"{store.manifest.name}: the store holds vectors of other sequences only, with which the encoder could "
                "not be compared"
            )
    common = set.intersection(*map(set, held_by.values())) if held_by else set()
    chosen = {
        number: spread([sequence for sequence in held if sequence in common] or held, COMPARED)
        for number, held in held_by.items()
    }
    again = list(dict.fromkeys(sequence for own in chosen.values() for sequence in own))
    if not again:
        return notes
    found = engine.encode_views(again)
    second: list[NumpyFloat] | None = None
    for number, own in chosen.items():
        store, places = stores[number], [again.index(sequence) for sequence in own]
        stored = store.read(store.lookup(own))
        computed = str(engine.views[number].settings.get("dtype", "float32"))
        bound = TOLERANCE.get(computed, TOLERANCE["float32"]) + ROUNDING[store.dtype]
        largest = _difference(np.asarray(found[number])[places], stored)
        if largest <= bound:
            continue
        second = second or engine.encode_views(again)
        if _difference(np.asarray(second[number])[places], np.asarray(found[number])[places]) > bound:
            raise StoreError(
                f"{store.manifest.name} gives other vectors each time it is asked, so the stored ones cannot be reused",
                where=str(store.path),
                cure="make the encoder deterministic (evaluation mode, fixed seeds), then embed into a new store",
            )
        raise StoreError(
            f"the stored vectors are not those that {store.manifest.name} makes now: they differ by {largest:.1e} "
            f"(relative, {len(own)} sequences; allowed {bound:.1e}), so its code, its data or a library changed "
            "without showing in its digest",
            where=str(store.path),
            cure="embed into a new store (with `geneb run`: a new --out or --store), or undo the change; nothing was "
            "written",
        )
    return notes


def _difference(a: NumpyFloat, b: NumpyFloat) -> float:
    """The largest ``‖a − b‖ / ‖b‖`` of a row; infinite where values that are no numbers stand in different places."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    same = finite | (np.isnan(x) & np.isnan(y)) | (x == y)
    if not same.all():
        return float("inf")
    x, y = np.where(finite, x, 0.0), np.where(finite, y, 0.0)
    distance, size = np.linalg.norm(x - y, axis=1), np.linalg.norm(y, axis=1)
    return float(np.max(distance / np.where(size > 0, size, 1.0), initial=0.0))


def require_as_stored(held: Iterable[EmbeddingStore], chunk_rows: int | None, compression: Compression | None) -> None:
    """Raise UsageError where rows are asked for in a form that nothing held takes, since each settled on its own."""
    elements = list(held)
    for option, asked, settled in (
        ("--chunk-rows", chunk_rows, [one.commit_rows for one in elements]),
        ("--compression", compression, [one.compression for one in elements]),
    ):
        if asked is not None and settled and asked not in settled:
            raise UsageError(
                f"{option} has no effect here: the store holds {elements[0].manifest.name} with {settled[0]} already",
                cure="leave it out, or embed into a new store",
            )
