"""What an encoder does not read of a task's letters: counted when a task is embedded, kept with its split, told since.

Counts are of a split's rows under one encoder, so they do not depend on which sequences a store holds already: they
are made by tokenising alone, without the model, and kept in the split's index. The same data are not counted again.
Embedding stops before the first sequence goes through the model where a task, over all its splits,

- has more than `STOP_PLAIN` of its plain letters (A, C, G, T, U) unknown to the encoder or dropped, or
- has more than `STOP_UNREAD` of all its letters unknown or dropped, ambiguity codes among them, or
- has more than `STOP_TWINS` of its distinct sequences turned into the very input of another one, though nothing was
  cut (of `FEWEST_TWINS` sequences or more).

Letters that are cut never stop it; they are always said.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from geneb_jax.encoder.counting import PLAIN, SPELLINGS, Counts
from geneb_jax.errors import EncoderError, StoreError
from geneb_jax.store import Manifest, SplitIndex, open_store

if TYPE_CHECKING:
    from pyarrow import Table

    from geneb_jax.task.info import Task

RULE: Final = 1
STOP_PLAIN: Final = 0.05
STOP_UNREAD: Final = 0.5
STOP_TWINS: Final = 0.1
FEWEST_TWINS: Final = 20

Speller = Callable[[str], str]
Counter = Callable[[Sequence[str]], Counts | None]


class Reads(Protocol):
    """The tasks of a suite that could be read: distinct sequences, and splits as numbers of them."""

    @property
    def sequences(self) -> list[str]:
        """Distinct sequences, spelled for the encoder."""

    @property
    def splits(self) -> list[tuple[Task, str, NDArray[np.int64]]]:
        """(task, name of the split, number of every row's sequence)."""


@dataclass(frozen=True)
class Letters:
    """Counts over the rows of a split or a task; ``sequences`` of each kind are rows that have such letters.

    ``plain_letters`` are A, C, G, T and U, ``plain`` those among them that are unknown or dropped. ``twins`` are
    distinct sequences, of ``distinct``, whose input is that of another one. ``allowed`` is 1 where the user went on.
    """

    letters: int = 0
    unknown_letters: int = 0
    unknown_sequences: int = 0
    dropped_letters: int = 0
    dropped_sequences: int = 0
    cut_letters: int = 0
    cut_sequences: int = 0
    respelled_sequences: int = 0
    sequences: int = 0
    plain: int = 0
    plain_letters: int = 0
    distinct: int = 0
    twins: int = 0
    allowed: int = 0

    @classmethod
    def of_json(cls, found: Mapping[str, int] | None) -> Letters | None:
        """What a split's index says; None where it says nothing, or by another rule."""
        if found is None or found.get("rule") != RULE:
            return None
        return cls(**{f.name: int(found.get(f.name, 0)) for f in fields(cls)})

    def as_json(self) -> dict[str, int]:
        """As a split's index keeps it."""
        return {"rule": RULE, **asdict(self)}

    def __add__(self, other: Letters) -> Letters:
        total = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Letters(**{**total, "allowed": max(self.allowed, other.allowed)})

    @property
    def unread(self) -> int:
        """Letters unknown or dropped."""
        return self.unknown_letters + self.dropped_letters

    @property
    def too_much(self) -> str | None:
        """Why embedding stops, in words; None where it does not."""
        if self.plain > STOP_PLAIN * self.plain_letters:
            return (
                f"{percent(self.plain, self.plain_letters)} of the plain letters are unknown to the encoder "
                f"({self.plain:,} of {self.plain_letters:,}; {self._touched:,} of {self.sequences:,} sequences)"
            )
        if self.unread > STOP_UNREAD * self.letters:
            return (
                f"{percent(self.unread, self.letters)} of the letters are unknown to the encoder "
                f"({self.unread:,} of {self.letters:,}; {self._touched:,} of {self.sequences:,} sequences)"
            )
        if self.distinct >= FEWEST_TWINS and self.twins > STOP_TWINS * self.distinct:
            return (
                f"{self.twins:,} of {self.distinct:,} distinct sequences reach the encoder as the very input of "
                "another one, and so have its vector"
            )
        return None

    @property
    def _touched(self) -> int:
        return max(self.unknown_sequences, self.dropped_sequences)

    @property
    def parts(self) -> list[str]:
        """What is not read, or read with the other letter, in words; empty where all is read as it is written."""
        kinds = (("unknown", "unknown"), ("dropped", "dropped"), ("cut off", "cut"))
        said = [
            f"{percent(count, self.letters)} of the letters {word} (in {getattr(self, f'{name}_sequences'):,} of "
            f"{self.sequences:,} sequences)"
            for word, name in kinds
            if (count := getattr(self, f"{name}_letters"))
        ]
        if self.respelled_sequences:
            said.append(f"U and T read as one letter in {self.respelled_sequences:,} of {self.sequences:,} sequences")
        if self.allowed and not said:
            said.append("many sequences have one vector")
        return said


def percent(part: int, whole: int) -> str:
    """A share in per cent; never 0 for something, never 100 for less than all."""
    share = 100 * part / max(1, whole)
    if part and share < 0.1:
        return "less than 0.1 %"
    return f"{share:.1f} %" if part == whole or share < 99.95 else "99.9 %"


def count_splits(
    count: Counter,
    sequences: Sequence[str],
    splits: Sequence[tuple[Task, str, NDArray[np.int64]]],
    known: Mapping[tuple[str, str], Letters],
) -> dict[tuple[str, str], Letters] | None:
    """Letters of every (task, split): those that are known, and the others counted; None where nobody can count.

    ``splits`` hold numbers into ``sequences``, which are spelled for the encoder.
    """
    open_ = [(task.id, name) not in known for task, name, _ in splits]
    needed = np.unique(
        np.concatenate([np.zeros(0, np.int64), *(n for (_, _, n), new in zip(splits, open_, strict=True) if new)])
    )
    if not len(needed):
        return dict(known)
    counts = count([sequences[i] for i in needed.tolist()])
    if counts is None:
        return None
    lengths = np.array([len(sequences[i]) for i in needed.tolist()], np.int64)
    plain = np.array([sum(map(sequences[i].count, PLAIN)) for i in needed.tolist()], np.int64)
    made: dict[tuple[str, str], Letters] = {}
    for (task, name, numbers), new in zip(splits, open_, strict=True):
        if not new:
            made[task.id, name] = known[task.id, name]
            continue
        at = np.searchsorted(needed, numbers)
        distinct = np.unique(at)
        inputs = counts.inputs[distinct]
        _, times = np.unique(inputs[inputs != 0], return_counts=True)
        made[task.id, name] = Letters(
            letters=int(lengths[at].sum()),
            unknown_letters=int(counts.unknown[at].sum()),
            unknown_sequences=int((counts.unknown[at] > 0).sum()),
            dropped_letters=int(counts.dropped[at].sum()),
            dropped_sequences=int((counts.dropped[at] > 0).sum()),
            cut_letters=int(counts.cut[at].sum()),
            cut_sequences=int((counts.cut[at] > 0).sum()),
            respelled_sequences=sum(
                row.upper() != sequences[number]
                for row, number in zip(task.splits[name].sequences, numbers.tolist(), strict=True)
            ),
            sequences=len(at),
            plain=int(counts.plain[at].sum()),
            plain_letters=int(plain[at].sum()),
            distinct=len(distinct),
            twins=int(times[times > 1].sum()),
        )
    return made


def count_or_stop(
    engine: object,
    store_path: str | os.PathLike[str],
    manifest: Manifest,
    read: Reads,
    thymine: str | None,
    *,
    allowed: bool,
) -> dict[tuple[str, str], Letters] | None:
    """What an encoder does not read of every split: as the store has it for these data, else counted now.

    None where the encoder cannot tell. Raises EncoderError where it is too much and nobody allowed it.
    """
    count: Counter | None = getattr(engine, "count_letters", None)
    if count is None:
        return None
    known: dict[tuple[str, str], Letters] = {}
    try:
        element = open_store(store_path).element(manifest)
        for task, name, _ in read.splits:
            if name in element.split_names(task.id):
                held = element.split(task.id, name)
                letters = Letters.of_json(held.letters) if held.data_digest == task.splits[name].digest else None
                known |= {} if letters is None else {(task.id, name): letters}
    except StoreError:  # not there yet, or damaged: then it is counted again
        known = {}
    found = count_splits(count, read.sequences, read.splits, known)
    if found is None:
        return None
    return stop_where_too_much(found, read.splits, count, manifest.name, thymine, allowed=allowed)


def by_task(found: Mapping[tuple[str, str], Letters]) -> dict[str, Letters]:
    """The splits of each task together."""
    totals: dict[str, Letters] = {}
    for (task, _), letters in found.items():
        totals[task] = totals.get(task, Letters()) + letters
    return totals


def stop_where_too_much(
    found: dict[tuple[str, str], Letters],
    splits: Iterable[tuple[Task, str, NDArray[np.int64]]],
    count: Counter,
    encoder: str,
    thymine: str | None,
    *,
    allowed: bool,
) -> dict[tuple[str, str], Letters]:
    """The counts, marked where the user went on. Raises EncoderError where too much is unread and nobody allowed it."""
    bad = {task: why for task, letters in by_task(found).items() if (why := letters.too_much)}
    if bad and not allowed:
        first, why = next(iter(bad.items()))
        others = f"; so it is in {len(bad) - 1} further tasks: {', '.join(list(bad)[1:6])}" if len(bad) > 1 else ""
        raise EncoderError(
            f"task {first}: {why}{others}",
            where=f"encoder {encoder}: {_example(first, splits, count, SPELLINGS[thymine])}",
            cure="the sequences are not written as this encoder's tokenizer reads them: check its alphabet and files "
            "(a WordPiece tokenizer, for one, takes words over max_input_chars_per_word letters as one unknown token); "
            "leave the task out with --tasks; or go on, which is recorded: --allow-unread",
        )
    return {(task, name): replace(letters, allowed=int(task in bad)) for (task, name), letters in found.items()}


def _example(
    task_id: str,
    splits: Iterable[tuple[Task, str, NDArray[np.int64]]],
    count: Counter,
    spell: Speller,
) -> str:
    """The place of the first row of a task that is not read, among its first rows."""
    for task, name, _ in splits:
        if task.id != task_id:
            continue
        split = task.splits[name]
        rows = split.sequences[:1000]
        counts = count([spell(row) for row in rows])
        bad = (
            np.zeros(0, np.int64) if counts is None else np.flatnonzero(counts.plain + counts.unknown + counts.dropped)
        )
        if len(bad):
            sequence = split.sequences[int(bad[0])]
            return f"{split.where(int(bad[0]))}: {sequence[:40]}{'…' if len(sequence) > 40 else ''}"
    return f"task {task_id}"


def letter_lines(encoder: str, tasks: Mapping[str, Letters] | None, most: int = 8) -> list[str]:
    """A line for every task of which something is not read, in the encoder's name, the worst first.

    Tasks with next to nothing unread share a line.
    """
    if tasks is None:
        return [f"{encoder}: what it does not read is not counted: it shows no vocabulary or alphabet"]
    found = sorted(
        ((task, one) for task, one in tasks.items() if one.parts),
        key=lambda pair: -(pair[1].unread + pair[1].cut_letters) / max(1, pair[1].letters),
    )
    hardly = [task for task, one in found if 1000 * (one.unread + one.cut_letters) < one.letters and not one.allowed]
    if len(hardly) > 1:
        found = [(task, one) for task, one in found if task not in hardly]
    else:
        hardly = []
    lines = [
        f"{encoder}, {task}: {'; '.join(one.parts)}" + ("; allowed by --allow-unread" if one.allowed else "")
        for task, one in found[:most]
    ]
    if len(found) > most:
        lines.append(f"{encoder}: so in {len(found) - most} further tasks, less of each")
    if hardly:
        where = f"{len(hardly)} {'further ' * bool(found)}tasks"
        lines.append(f"{encoder}: less than 0.1 % of the letters unread in each of {where}")
    return lines


COLUMNS: Final = (
    *("letters", "unknown_letters", "unknown_sequences", "dropped_letters", "dropped_sequences", "cut_letters"),
    *("cut_sequences", "respelled_sequences"),
)
"""Those of a record that are called as the fields of `Letters` are."""


def letter_columns(train: SplitIndex | None, test: SplitIndex | None) -> dict[str, Any]:
    """The columns of a record; none where the letters of a split were not counted."""
    found = [Letters.of_json(split.letters) for split in (train, test) if split is not None]
    counted = [one for one in found if one is not None]
    if len(counted) < 2:
        return {}
    total = counted[0] + counted[1]
    if not total.letters:  # nobody counted; what is recorded is that the user went on
        return {"unread_allowed": total.allowed}
    return {**{name: getattr(total, name) for name in COLUMNS}, "unread_allowed": total.allowed}


def letters_of_records(records: Table) -> dict[str, dict[str, Letters]]:
    """What the records of a run say of every task, by the encoder's digest; those that say nothing are left out."""
    found: dict[str, dict[str, Letters]] = {}
    columns = ("encoder_digest", "task", "n_train_total", "n_test", *COLUMNS, "unread_allowed")
    for row in records.select([name for name in columns if name in records.column_names]).to_pylist():
        if row.get("letters") is None and not row.get("unread_allowed"):
            continue
        counts = {name: row.get(name) or 0 for name in COLUMNS}
        rows = (row["n_train_total"] or 0) + (row["n_test"] or 0)
        one = Letters(**counts, sequences=rows, allowed=row.get("unread_allowed") or 0)
        found.setdefault(row["encoder_digest"], {})[row["task"]] = one
    return found
