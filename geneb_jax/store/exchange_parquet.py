"""An element as a folder of two Parquet files, written in a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import dtypes
from geneb_jax.store.exchange_arrays import FileArrays, narrowed
from geneb_jax.store.format import SplitIndex
from geneb_jax.store.sources import Source, blocks
from geneb_jax.whole import whole_numbers


def write(path: Path, source: Source, splits: list[SplitIndex], record: str) -> None:
    """Write the folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir()
    half = source.manifest.dtype == "float16"
    kind = pa.float16() if half else pa.float32()
    schema = pa.schema(
        [("digest", pa.binary(32)), ("embedding", pa.list_(kind, source.manifest.width))], metadata={"geneb": record}
    )
    digests = source.digests()
    with pq.ParquetWriter(path / "embeddings.parquet", schema, compression="none", use_dictionary=False) as out:
        for start, stop in blocks(source):
            block = source.stored(start, stop)
            values = block if half else dtypes.from_stored(block, source.manifest.dtype)
            names = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(32), stop - start, [None, pa.py_buffer(np.ascontiguousarray(digests[start:stop]))]
            )
            lists = pa.FixedSizeListArray.from_arrays(
                pa.array(np.ascontiguousarray(values).reshape(-1), kind), source.manifest.width
            )
            out.write_batch(pa.record_batch([names, lists], schema=schema))
    table = pa.table(
        {
            "split": pa.array(np.repeat(np.arange(len(splits), dtype=np.int32), [len(s) for s in splits])),
            "row": pa.array(np.concatenate([np.empty(0, np.int64), *(s.rows for s in splits)])),
            "label": pa.array(np.concatenate([np.empty(0, np.int64), *(s.labels for s in splits)])),
        }
    )
    pq.write_table(table.replace_schema_metadata({"geneb": record}), path / "splits.parquet", compression="zstd")


def read(path: Path) -> tuple[str, FileArrays]:
    """The record and the arrays; vectors are read by row groups. Raises ValueError or OSError."""
    import json

    import pyarrow.parquet as pq

    file = pq.ParquetFile(path / "embeddings.parquet")
    text = (file.schema_arrow.metadata or {})[b"geneb"].decode()
    width = file.schema_arrow.field("embedding").type.list_size
    ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)])

    def rows(start: int, stop: int, dtype: str) -> NDArray[Any]:
        first, last = (int(np.searchsorted(ends, n, side="right")) for n in (start, stop - 1))
        column = file.read_row_groups(list(range(first, last + 1)), columns=["embedding"])["embedding"]
        flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
        offset = int(ends[first - 1]) if first else 0
        return narrowed(flat.reshape(-1, width)[start - offset : stop - offset], dtype)

    names = file.read(columns=["digest"])["digest"]
    joined = b"".join(v for chunk in names.chunks for v in chunk.to_pylist())
    digests = np.frombuffer(joined, np.uint8).reshape(-1, 32)
    table = pq.read_table(path / "splits.parquet")
    if (table.schema.metadata or {}).get(b"geneb", b"").decode() != text:
        raise ValueError("embeddings.parquet and splits.parquet come from different exports")
    number, row, label = (table[name].to_numpy() for name in ("split", "row", "label"))
    count = len(json.loads(text)["splits"])
    numbers = {"rows": row, "labels": label}
    whole = [whole_numbers(found, what=name, where=str(path), error=StoreError) for name, found in numbers.items()]
    splits = [(whole[0][number == i], whole[1][number == i]) for i in range(count)]
    return text, FileArrays((file.metadata.num_rows, width), digests, splits, rows)
