"""An element as an AnnData file, whole in memory as AnnData wants it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import dtypes
from geneb_jax.store.exchange_arrays import FileArrays, narrowed
from geneb_jax.store.format import SplitIndex
from geneb_jax.store.sources import Source
from geneb_jax.whole import whole_numbers


def _anndata() -> Any:
    if importlib.util.find_spec("anndata") is None:
        raise StoreError("AnnData files need the package anndata", cure="pip install anndata (or geneb_jax[anndata])")
    import anndata

    return anndata


def write(path: Path, source: Source, splits: list[SplitIndex], record: str) -> None:
    """Write the file."""
    anndata = _anndata()
    import pandas as pd

    names = [d.tobytes().hex() for d in source.digests()]
    arrays = {
        str(i): {"rows": s.rows.astype(np.int64), "labels": s.labels.astype(np.int64)} for i, s in enumerate(splits)
    }
    data = anndata.AnnData(
        X=dtypes.from_stored(source.stored(0, source.num_rows), source.manifest.dtype),
        obs=pd.DataFrame(index=pd.Index(names, dtype=str)),
        var=pd.DataFrame(index=pd.Index([str(i) for i in range(source.manifest.width)], dtype=str)),
        uns={"geneb": record, "geneb_splits": arrays},
    )
    data.write_h5ad(path)


def read(path: Path) -> tuple[str, FileArrays]:
    """The record and the arrays. Raises KeyError or OSError for a file of another kind."""
    data = _anndata().read_h5ad(path)
    values = np.asarray(data.X, np.float32)
    digests = np.frombuffer(bytes.fromhex("".join(data.obs_names)), np.uint8).reshape(-1, 32)
    parts = data.uns.get("geneb_splits", {})
    splits = [
        (
            whole_numbers(parts[str(i)]["rows"], what="rows", where=str(path), error=StoreError),
            whole_numbers(parts[str(i)]["labels"], what="labels", where=str(path), error=StoreError),
        )
        for i in range(len(parts))
    ]

    def rows(start: int, stop: int, dtype: str) -> NDArray[Any]:
        return narrowed(values[start:stop], dtype)

    return str(data.uns["geneb"]), FileArrays(values.shape, digests, splits, rows)
