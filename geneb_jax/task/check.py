"""From text to a checked split: labels int64, sequences in normal form and of nucleotide letters.

A label is a whole number written as such (``0``, ``1``, ``-3``). ``1.0`` is refused: a decimal point is how a
regression target looks, and guessing would turn one into a nonsensical classification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geneb_jax.errors import DataError
from geneb_jax.task.info import Split, Task, TaskInfo, kind_not_served
from geneb_jax.task.letters import IUPAC, looks_like_protein, normalise_sequence
from geneb_jax.task.table import Table
from geneb_jax.whole import whole_numbers

_INTEGER: Final = r"^-?[0-9]{1,18}$"
_DECIMAL: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
MISSING_WORDS: Final = (
    *("nan", "-nan", "na", "n/a", "none", "null", "nil", "missing"),
    *("<na>", "#na", "#n/a", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
)
"""What programs write in place of a missing value, in lower case: the words that pandas takes as missing, and a few
more. Some of them (NA, NaN) are nucleotide codes as well, so they are asked for before letters are checked."""
_NAMED: Final = 5  # further rows that an error lists
_SAMPLE: Final = 1000  # rows looked at to tell which kind of task a file holds


def checked_split(
    name: str,
    table: Table,
    rows: NDArray[np.int64],
    label_map: Mapping[str, int],
    missing_words: Sequence[str] = MISSING_WORDS,
) -> Split:
    """The split that some rows of a file make up. Raises DataError naming file, row and cure."""
    part = table if len(rows) == table.num_rows else table.take(rows)

    place = place_of(table, rows)
    labels = _labels(part, place, label_map)
    return Split.make(name, _sequences(part, place, missing_words), labels, place=place_of(table, rows))


def place_of(table: Table, rows: NDArray[np.int64]) -> Callable[[int], str]:
    """Where a row of a split stands in its file. Keeps the rows' numbers and not the table's columns."""
    bare = Table(table.path, {}, table.num_rows)
    return lambda row: bare.place(int(rows[row]))


def _sequences(table: Table, place: Callable[[int], str], missing_words: Sequence[str]) -> list[str]:
    # the vectorised twin of normalise_sequence, then one regular expression over all rows
    column = pc.utf8_trim_whitespace(table.columns["text"])
    missing = pc.is_in(pc.ascii_lower(column), value_set=pa.array(["", *missing_words], type=column.type))
    if pc.any(missing).as_py():
        raise _missing_sequences(column, np.flatnonzero(missing.to_numpy()), place)
    column = pc.ascii_upper(column)
    row = _first_false(pc.match_substring_regex(column, f"^[{IUPAC}]+$"))
    if row is not None:
        raise _sequence_error(column[row].as_py(), place(row))
    sequences: list[str] = column.to_pylist()
    return sequences


def _missing_sequences(column: Any, rows: NDArray[np.int64], place: Callable[[int], str]) -> DataError:
    words = dict.fromkeys(value.as_py() for value in column.take(pa.array(rows)))
    first = column[int(rows[0])].as_py()
    what = f"the sequence is missing: {first!r} stands in its place" if first else "the sequence is empty"
    if len(rows) > 1:
        others = ", ".join(str(int(row) + 1) for row in rows[1 : _NAMED + 1])
        more = " …" if len(rows) > _NAMED + 1 else ""
        what += f"; {len(rows)} sequences are missing in all, further ones in rows {others}{more} of the split"
    cure = "fill it in, or remove the row"
    if any(word and not set(word.upper()) - set(IUPAC) for word in words):
        cure += "; if it is the sequence itself, say so in a suite file: missing_words = []"
    return DataError(what, where=place(int(rows[0])), cure=cure)


def _sequence_error(sequence: str, where: str) -> DataError:
    position, letter = next((i, c) for i, c in enumerate(sequence, start=1) if c not in IUPAC)
    what = f"the sequence has {letter!r} at position {position}, which is no nucleotide code (IUPAC: {IUPAC})"
    if looks_like_protein(sequence):
        what += "; it looks like a protein"
        cure = "protein sequences are not served yet; leave this task out with --tasks"
    elif letter in "-.":
        cure = "remove the gaps: give the sequence itself, not its row of an alignment"
    elif letter.isspace():
        cure = "write the sequence in one piece, without spaces"
    else:
        cure = "correct the letter, or write N for an unknown base"
    return DataError(what, where=where, cure=cure)


def _labels(table: Table, place: Callable[[int], str], label_map: Mapping[str, int]) -> NDArray[np.int64]:
    column = pc.utf8_trim_whitespace(table.columns["label"])
    if label_map:
        known = pa.array(list(label_map), type=column.type)
        index = pc.index_in(column, value_set=known)
        row = _first_false(pc.is_valid(index))
        if row is not None:
            what = f"the label {_short(column[row].as_py())} is not in the table of labels"
            cure = f"it lists {', '.join(label_map)}; add this one, or name it under skip_labels"
            raise DataError(what, where=place(row), cure=cure)
        numbers = whole_numbers(list(label_map.values()), what="numbers of the table of labels", where=str(table.path))
        return numbers[np.asarray(index.to_numpy(), dtype=np.int64)]
    row = _first_false(pc.match_substring_regex(column, _INTEGER))
    if row is not None:
        raise _label_error(table, column, row, place(row))
    return np.asarray(pc.cast(column, pa.int64()).to_numpy(), dtype=np.int64)


def _label_error(table: Table, column: Any, row: int, where: str) -> DataError:
    """Why a label is no class: missing, a decimal, a regression target, one label per letter, or a name."""
    value = column[row].as_py()
    if not value or value.lower() in MISSING_WORDS:
        return DataError(f"the label is missing ({value!r})", where=where, cure="fill it in, or remove the row")
    if value.isascii() and value.removeprefix("-").isdecimal():
        what = f"the label {_short(value)} is too large a number"
        return DataError(what, where=where, cure="number the classes 0, 1, 2 …")
    # rows around the first that fails tell which kind of task this file holds
    start = max(0, row - _SAMPLE // 2)
    labels = column.slice(start, _SAMPLE).to_pylist()
    texts = [normalise_sequence(t) for t in table.columns["text"].slice(start, _SAMPLE).to_pylist()]
    protein = "; its sequences look like proteins" if any(map(looks_like_protein, texts[:50])) else ""
    if _share(_is_per_letter(label, text) for label, text in zip(labels, texts, strict=True)) > 0.9:
        return kind_not_served("token", where, f"the label has one entry per letter of the sequence{protein}")
    if _share(_DECIMAL.fullmatch(label) is not None for label in labels) > 0.9 and _DECIMAL.fullmatch(value):
        if all(float(label).is_integer() for label in labels if _DECIMAL.fullmatch(label)):
            what = f"the label {_short(value)} is not written as an integer{protein}"
            return DataError(what, where=where, cure="write class labels without a decimal point: 1, not 1.0")
        return kind_not_served("regression", where, f"the label is {_short(value)}, a decimal number{protein}")
    what = f"the label {_short(value)} is not an integer{protein}"
    cure = "number the classes 0, 1, 2 …, or map their names to numbers in a suite file ([task.labels])"
    return DataError(what, where=where, cure=cure)


def _is_per_letter(label: str, text: str) -> bool:
    return len(text) > 1 and (len(label) == len(text) or len(label.split()) == len(text))


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / max(1, len(values))


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "…")


def _first_false(mask: Any) -> int | None:
    row = int(pc.index(mask, value=False).as_py())
    return None if row < 0 else row


def checked_task(
    info: TaskInfo, splits: Mapping[str, Split], source: str, where: str, notes: tuple[str, ...] = ()
) -> Task:
    """The task over its splits, with warnings for oddities. Raises DataError when nothing can be fitted."""
    train, test = splits["train"], splits["test"]
    if len(train.classes) < 2:
        what = f"the training rows of {info.id!r} hold a single class ({train.classes[0]}): nothing to learn"
        raise DataError(what, where=where, cure="check the file: every class needs rows in the train split")
    warnings = list(notes)
    unseen = [c for c in test.classes if c not in train.classes]
    if unseen:
        rows = int(np.isin(test.labels, unseen).sum())
        names = f"class{'es' if len(unseen) > 1 else ''} {', '.join(map(str, unseen))}"
        warnings.append(f"{names} occur only in the test split: {rows} test rows no probe can get right.")
    if len(test.classes) < 2:
        warnings.append(f"the test rows hold a single class ({test.classes[0]}): MCC is 0 there by definition.")
    stated = {"classes": (info.num_classes, len(set(train.classes) | set(test.classes)))}
    stated["training rows"] = (info.n_train, len(train))
    stated["test rows"] = (info.n_test, len(test))
    for word, (expected, found) in stated.items():
        if expected is not None and expected != found:
            warnings.append(f"{found} {word} were read where the suite states {expected}: is this the right data?")
    return Task(info, dict(splits), source, tuple(warnings))
