"""One data file read as text: .csv, .csv.gz or .parquet into string columns whose rows errors can name.

Everything is read as strings, so that a label ``1.5`` or a sequence ``NA`` reaches the checks as it was
written. A CSV file is comma-separated UTF-8 with a header line; lines end in LF, CR LF or CR alone; blank lines
are skipped, as pandas does, so that row numbers are those of the GENEB harness. What is no such text (UTF-16, an
archive, a web page, JSON, FASTA) is refused by the name of what it is.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from geneb_jax.errors import DataError, MissingDataError

_GZIP_MAGIC: Final = b"\x1f\x8b"
_LFS_MAGIC: Final = b"version https://git-lfs"
# first bytes of what is saved or downloaded in place of a CSV file: what it is, and the cure
_OTHER: Final[Mapping[bytes, tuple[str, str]]] = {
    _LFS_MAGIC: ("a Git LFS pointer, not the data", "run `git lfs pull` in its clone"),
    b"\xff\xfe": ("UTF-16, not UTF-8 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16, not UTF-8 text", "save it as UTF-8"),
    b"\x00\x00\xfe\xff": ("UTF-32, not UTF-8 text", "save it as UTF-8"),
    b"PK\x03\x04": ("a zip archive (or a spreadsheet), not text", "unpack it, or save the sheet as CSV"),
    b"\xfd7zXZ\x00": ("packed with xz, not text", "unpack it, or pack it with gzip"),
    b"BZh": ("packed with bzip2, not text", "unpack it, or pack it with gzip"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd, not text", "unpack it, or pack it with gzip"),
    b"PAR1": ("a Parquet file, not text", "rename it to .parquet"),
}
_LONE_CR: Final = re.compile(rb"\r(?!\n)")
# the beginning of a header line that is none: what the file seems to be, and the cure
_NO_HEADER: Final[Mapping[str, str]] = {
    ">": "this looks like FASTA; write the sequences and their labels as CSV, with the columns 'text' and 'label'",
    "<": "this looks like a web page, so the download failed; fetch the data file itself",
    "{": "this looks like JSON; write it as CSV or Parquet, with the columns 'text' and 'label'",
    "[": "this looks like JSON; write it as CSV or Parquet, with the columns 'text' and 'label'",
    "#": "remove the comment lines above the header line",
    "sep=": "remove the line above the header line",
}
_BLOCK: Final = 64 << 20  # bytes; a row must fit into one block, and the longest genomic inputs are about 1 MB


@dataclass(frozen=True)
class Table:
    """String columns of one file by the role they play (``text``, ``label``, perhaps ``split``)."""

    path: Path
    columns: Mapping[str, Any]  # pyarrow.ChunkedArray of strings
    num_rows: int

    def place(self, row: int) -> str:
        """Where data row ``row`` (from 0) stands: file, row counted from 1, and the line of a CSV file."""
        line = None if self.path.name.endswith(".parquet") else _line_number(self.path, row)
        return f"{self.path}, row {row + 1}" + (f" (line {line})" if line else "")

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Some rows; `place` of the result no longer names the file's rows."""
        columns = {role: column.take(pa.array(rows)) for role, column in self.columns.items()}
        return Table(self.path, columns, len(rows))


def read_table(path: Path, *, text: Sequence[str], label: str, split: str | None = None) -> Table:
    """Read the columns that a task needs; others are ignored.

    ``text`` lists the accepted names of the sequence column, the first one present counts; ``split`` is
    read where the file has it. Raises MissingDataError when there is no file, DataError when it cannot be
    read, is empty or lacks a column.
    """
    try:
        return (
            _read_parquet(path, text, label, split)
            if path.name.endswith(".parquet")
            else _read_csv(path, text, label, split)
        )
    except FileNotFoundError as error:
        raise MissingDataError("the file does not exist", where=str(path), cure="check the path") from error
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise DataError(
            f"the file cannot be read: {reason}", where=str(path), cure="check the file and its permissions"
        ) from error


def _roles(names: Sequence[str], path: Path, text: Sequence[str], label: str, split: str | None) -> dict[str, str]:
    """Which column of the file plays which role."""
    wanted = next((name for name in text if name in names), None)
    missing = ([] if wanted else [" or ".join(repr(name) for name in text)]) + ([] if label in names else [repr(label)])
    if missing:
        raise _missing_columns(names, path, missing)
    assert wanted is not None
    roles = {"text": wanted, "label": label}
    if split is not None and split in names:
        roles["split"] = split
    for name in roles.values():
        if list(names).count(name) > 1:
            raise DataError(f"the column {name!r} appears more than once", where=str(path), cure="keep one of them")
    return roles


def _missing_columns(names: Sequence[str], path: Path, missing: Sequence[str]) -> DataError:
    found = ", ".join(name if len(name) <= 24 else name[:20] + "…" for name in names[:12]) or "none"
    cure = "name the columns 'text' and 'label' in the first line"
    for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(names) == 1 and sign in names[0]:
            cure = f"the columns seem to be separated by {word}; separate them by commas"
    cure = next((text for sign, text in _NO_HEADER.items() if names and names[0].startswith(sign)), cure)
    if len(names) >= 2 and any(len(name) > 20 and set(name.upper()) <= set("ACGTUN") for name in names):
        cure = "the first line seems to be data; put a header line 'text,label' above it"
    what = f"the file has no column {' and no column '.join(missing)}; its columns are: {found}"
    return DataError(what, where=str(path), cure=cure)


def _read_csv(path: Path, text: Sequence[str], label: str, split: str | None) -> Table:
    content = _content(path)
    header = next(_lines(content), None)
    if header is None:
        raise DataError("the file is empty", where=str(path), cure="it needs a header line and at least one row")
    try:
        if b"\0" in header:
            what = "the header line holds NUL bytes: the file is UTF-16 without its mark, or no text"
            raise DataError(what, where=str(path), cure="save it as UTF-8")
        names = next(csv.reader([header.decode("utf-8-sig").rstrip("\r\n")]))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, "the header line") from error
    except csv.Error as error:
        what = f"the header line cannot be read as CSV: {error}"
        raise DataError(what, where=str(path), cure="write 'text,label' into the first line") from error
    roles = _roles(names, path, text, label, split)
    invalid: list[Any] = []

    def note(row: Any) -> str:
        invalid.append(row)
        return "error"

    wanted = list(roles.values())
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # one thread: only then does pyarrow number the row that it refuses
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=note, newlines_in_values=False),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=wanted,
                column_types={name: pa.string() for name in wanted},
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _csv_error(path, content, error, invalid) from error
    if table.num_rows == 0:
        raise _no_rows(path)
    return Table(path, {role: table.column(name) for role, name in roles.items()}, table.num_rows)


def _content(path: Path) -> Any:
    """The file's bytes, unpacked, as a pyarrow buffer; gzip is known by its first bytes, not by the name."""
    with path.open("rb") as handle:
        start = handle.read(len(_LFS_MAGIC))
    if not start:
        raise DataError("the file is empty", where=str(path), cure="it needs a header line and at least one row")
    _refuse_other(path, start)
    if not start.startswith(_GZIP_MAGIC):
        if path.name.endswith(".gz"):
            raise DataError(
                "the name ends in .gz but the file is not gzip",
                where=str(path),
                cure="compress it, or rename it",
            )
        return _with_line_feeds(pa.memory_map(str(path)).read_buffer())
    try:
        with gzip.open(path) as packed:
            unpacked = packed.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        where, cure = str(path), "copy or download the file again"
        raise DataError(f"the gzip file is cut off or damaged: {error}", where=where, cure=cure) from error
    _refuse_other(path, unpacked[: len(_LFS_MAGIC)])
    return _with_line_feeds(pa.py_buffer(unpacked))


def _refuse_other(path: Path, start: bytes) -> None:
    """Raise DataError where the first bytes are those of something else than text."""
    for magic, (what, cure) in _OTHER.items():
        if start.startswith(magic):
            raise DataError(f"the file is {what}", where=str(path), cure=cure)


def _with_line_feeds(content: Any) -> Any:
    """The same buffer, with every line end a line feed where some are a carriage return alone, as old programs write.

    Bytes between quotes are no exception: a cell of several lines is refused anyhow.
    """
    if _LONE_CR.search(memoryview(content)) is None:
        return content
    return pa.py_buffer(content.to_pybytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


def _lines(content: Any) -> Iterator[bytes]:
    """The non-blank lines of a buffer; the header is the first."""
    for line in io.BufferedReader(pa.BufferReader(content)):
        if line.strip(b"\r\n"):
            yield line


def _line_number(path: Path, row: int) -> int | None:
    """The line of a CSV file, from 1 and blank lines counted, on which data row ``row`` stands."""
    left = row + 1
    try:
        for number, line in enumerate(io.BufferedReader(pa.BufferReader(_content(path))), start=1):
            if line.strip(b"\r\n"):
                if left == 0:
                    return number
                left -= 1
    except (DataError, OSError):  # the file has gone since: its row number must do
        return None
    return None


def _csv_error(path: Path, content: Any, error: pa.ArrowInvalid, invalid: Sequence[Any]) -> DataError:
    """Turn pyarrow's message into ours: which row, and what to do."""
    where = Table(path, {}, 0)
    if invalid:
        bad = invalid[0]
        # pyarrow counts the header as row 1
        place = where.place(bad.number - 2) if bad.number is not None else str(path)
        cells = f"{bad.actual_columns} cell{'s' if bad.actual_columns != 1 else ''}"
        what = f"a row has {cells} but the header has {bad.expected_columns}"
        cure = "give every row one cell per column; a cell with a comma or a quote in it needs quotes around it"
        if bad.text.startswith('"') and "\n" in bad.text:
            cure = "a quote is opened and not closed on this line; close it or remove it"
        return DataError(what, where=place, cure=cure)
    message = str(error)
    if "invalid UTF8" in message:
        for row, line in enumerate(_lines(content), start=-1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return _not_utf8(path, where.place(row))
        return _not_utf8(path, str(path))
    if "cannot infer number of columns" in message or "Empty CSV" in message:
        return _no_rows(path)
    if "straddling" in message:
        cure = f"a row must fit into {_BLOCK >> 20} MiB; look for an unclosed quote"
        return DataError("a row is too long to be read", where=str(path), cure=cure)
    return DataError(f"the file is not a CSV file that can be read: {message}", where=str(path), cure="check the file")


def _not_utf8(path: Path, place: str) -> DataError:
    where = place if str(path) in place else f"{path}, {place}"
    return DataError("the text is not UTF-8", where=where, cure="save the file as UTF-8 (or plain ASCII)")


def _no_rows(path: Path) -> DataError:
    return DataError("the file has a header but no rows", where=str(path), cure="it needs at least one row")


def _read_parquet(path: Path, text: Sequence[str], label: str, split: str | None) -> Table:
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=str(path), cure="it needs at least one row")
    try:
        with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
            roles = _roles(file.schema_arrow.names, path, text, label, split)
            table = file.read(columns=list(roles.values()))
    except pa.ArrowException as error:
        raise DataError(
            f"the file is not Parquet that can be read: {error}", where=str(path), cure="write it again"
        ) from error
    if table.num_rows == 0:
        raise _no_rows(path)
    try:
        columns = {role: _as_strings(table.column(name), name, path) for role, name in roles.items()}
    except pa.ArrowException as error:  # bytes that are no UTF-8, types that have no text
        what = f"the columns of text and labels cannot be read as text: {error}"
        raise DataError(what, where=str(path), cure="write sequences as strings and labels as integers") from error
    return Table(path, columns, table.num_rows)


def _as_strings(column: Any, name: str, path: Path) -> Any:
    """A Parquet column as text; a float keeps its decimal point, a missing value becomes the empty string."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type):
        what = f"the column {name!r} holds {column.type}, not one value per row"
        raise DataError(what, where=str(path), cure="give one integer label and one sequence per row")
    if pa.types.is_floating(column.type):
        # pyarrow would print 1.0 as "1" and so hide that the labels are not integers
        column = pa.chunked_array([[None if v is None else repr(v) for v in column.to_pylist()]], type=pa.string())
    return column.cast(pa.large_string()).fill_null("")
