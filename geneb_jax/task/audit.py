"""The audit of a suite's data: what would make a score mean less than it seems.

Sequences are compared in normal form, with U as T and else exactly; similar sequences (`geneb_jax.task.near`) are
looked for between splits and between tasks when asked. "Opposite strand" means that the reverse complement of one
sequence is another one. Counts of *sequences* are of distinct ones, counts of *rows* are not.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.alphabet import as_dna
from geneb_jax.errors import GenebError, MissingDataError
from geneb_jax.task.info import Split, Suite, Task
from geneb_jax.task.letters import PLAIN, reverse_complement
from geneb_jax.task.near import contained_in_groups, leaked_rows

AUDIT_TYPE: Final = "geneb.audit"
AUDIT_VERSION: Final = 1
LOOKED_AT: Final = 2_000
"""Sequences of every task that are looked for in the other tasks, nearly."""


@dataclass(frozen=True)
class SplitAudit:
    """One split by itself.

    ``duplicate_rows`` = rows - distinct. ``conflicting_sequences`` carry more than one label.
    ``opposite_strands`` counts pairs of different sequences. ``other_letters`` counts letters outside ACGT.
    """

    name: str
    digest: str
    rows: int
    distinct: int
    duplicate_rows: int
    conflicting_sequences: int
    opposite_strands: int
    class_counts: dict[int, int]
    length_min: int
    length_median: float
    length_max: int
    other_letters: dict[str, int]
    rows_with_other_letters: int


@dataclass(frozen=True)
class CrossAudit:
    """Two splits of one task, such as train against test.

    ``rows`` are rows of ``second`` whose sequence also stands in ``first``; ``opposite_rows`` are those
    that do not, but whose opposite strand does. ``conflicting_sequences`` are shared ones whose labels
    differ between the two. ``near_rows`` are neither, but nearly contained in a sequence of ``first``; None where
    nobody asked.
    """

    first: str
    second: str
    sequences: int
    rows: int
    conflicting_sequences: int
    opposite_rows: int
    near_rows: int | None = None


@dataclass(frozen=True)
class TaskAudit:
    """Everything found in one task; ``problem`` says why it could not be read, and then the rest is empty."""

    id: str
    category: str
    source: str = ""
    splits: tuple[SplitAudit, ...] = ()
    across: tuple[CrossAudit, ...] = ()
    distinct: int = 0
    conflicting_sequences: int = 0
    classes_only_in_test: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str | None = None

    def split(self, name: str) -> SplitAudit | None:
        """The audit of one split, if the task has it."""
        return next((split for split in self.splits if split.name == name), None)

    def between(self, first: str, second: str) -> CrossAudit | None:
        """The audit of two splits against each other, if the task has both."""
        return next((c for c in self.across if (c.first, c.second) == (first, second)), None)


@dataclass(frozen=True)
class PairAudit:
    """Two tasks that share sequences: how many distinct ones, and how many each has in all.

    ``near_first`` of ``looked_first`` sequences of the first task, drawn evenly from all of them, stand in the second
    or are nearly contained in a sequence of it; None where nobody asked. ``near_second`` is the other way round. A task
    of the suite that was compared against is written ``SUITE:TASK``.
    """

    first: str
    second: str
    sequences: int
    distinct_first: int
    distinct_second: int
    near_first: int | None = None
    looked_first: int | None = None
    near_second: int | None = None
    looked_second: int | None = None


@dataclass(frozen=True)
class SuiteAudit:
    """The audit of a suite; ``absent`` are tasks left out because their data is not on this machine."""

    suite: str
    version: str
    tasks: tuple[TaskAudit, ...]
    pairs: tuple[PairAudit, ...]
    absent: tuple[str, ...]

    @property
    def failed(self) -> tuple[TaskAudit, ...]:
        """The tasks that could not be read."""
        return tuple(task for task in self.tasks if task.problem is not None)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for ``json.dumps``; its keys are the fields of these records."""
        return {"geneb_type": AUDIT_TYPE, "geneb_version": AUDIT_VERSION, **asdict(self)}


def audit(
    suite: Suite, *, near: bool = False, against: Suite | None = None, done: Callable[[str], None] | None = None
) -> SuiteAudit:
    """Audit every task whose data is at hand or can be fetched; tasks known to be absent are only counted.

    ``near`` also looks for near-duplicates: between splits, which takes a minute for a task of 100,000 sequences, and
    between tasks, for ``LOOKED_AT`` sequences of each. ``against`` is another suite, whose tasks at hand are compared
    with those of this one, but not audited.
    ``done`` is called with each task id when the task is finished. A task that cannot be read is reported
    and the others go on. Raises MissingDataError when there is data for none of them.
    """
    tasks: list[TaskAudit] = []
    distinct: dict[str, tuple[str, ...]] = {}
    absent: list[str] = []
    last: MissingDataError | None = None
    num_missing = 0
    present = suite.present()
    for info in suite.tasks:
        if present[info.id] is False:
            absent.append(info.id)
        else:
            try:
                task = suite.load(info.id)
                result, distinct[info.id] = _audit_task(task, near)
            except GenebError as error:
                if isinstance(error, MissingDataError):
                    last, num_missing = error, num_missing + 1
                result = TaskAudit(info.id, info.category, problem=str(error))
            tasks.append(result)
        if done is not None:
            done(info.id)
    if num_missing == len(tasks):
        if last is None:
            suite.load(suite.tasks[0].id)  # raises with the reason and the cure
        else:
            raise last
    others = {} if against is None else _distinct_of(against)
    return SuiteAudit(suite.name, suite.version, tuple(tasks), _pairs(distinct, others, near), tuple(absent))


def _distinct_of(suite: Suite) -> dict[str, tuple[str, ...]]:
    """The distinct sequences of every task that is at hand, under the suite's name and its own."""
    present = suite.present()
    tasks = {info.id: suite.load(info.id) for info in suite.tasks if present[info.id] is not False}
    return {
        f"{suite.name}:{name}": tuple(dict.fromkeys(s for split in task.splits.values() for s in split.sequences))
        for name, task in tasks.items()
    }


def _audit_task(task: Task, near: bool) -> tuple[TaskAudit, tuple[str, ...]]:
    """One task's record and its distinct sequences."""
    labels = {name: _labels_of(split) for name, split in task.splits.items()}
    opposite = {name: {s: reverse_complement(s) for s in seen} for name, seen in labels.items()}
    everything: dict[str, set[int]] = {}
    for seen in labels.values():
        for sequence, values in seen.items():
            everything.setdefault(sequence, set()).update(values)
    names = list(task.splits)
    across = [
        _across(task.splits[second], first, labels[first], labels[second], opposite[second], near)
        for i, first in enumerate(names)
        for second in names[i + 1 :]
    ]
    record = TaskAudit(
        id=task.id,
        category=task.info.category,
        source=task.source,
        splits=tuple(_audit_split(split, labels[name], opposite[name]) for name, split in task.splits.items()),
        across=tuple(across),
        distinct=len(everything),
        conflicting_sequences=sum(len(values) > 1 for values in everything.values()),
        classes_only_in_test=tuple(c for c in task.test.classes if c not in task.train.classes),
        warnings=task.warnings,
    )
    return record, tuple(everything)


def _labels_of(split: Split) -> dict[str, set[int]]:
    """Distinct sequences of a split and the labels each carries."""
    seen: dict[str, set[int]] = {}
    for sequence, label in zip(map(as_dna, split.sequences), split.labels.tolist(), strict=True):
        seen.setdefault(sequence, set()).add(label)
    return seen


def _audit_split(split: Split, seen: Mapping[str, set[int]], opposite: Mapping[str, str]) -> SplitAudit:
    lengths = np.fromiter(map(len, split.sequences), dtype=np.int64, count=len(split))
    odd = [s for s in split.sequences if s.strip(PLAIN)]
    letters = Counter("".join(odd))
    pairs = sum(other != sequence and other in seen for sequence, other in opposite.items())
    return SplitAudit(
        name=split.name,
        digest=split.digest,
        rows=len(split),
        distinct=len(seen),
        duplicate_rows=len(split) - len(seen),
        conflicting_sequences=sum(len(values) > 1 for values in seen.values()),
        opposite_strands=pairs // 2,
        class_counts=split.class_counts,
        length_min=int(lengths.min()),
        length_median=float(np.median(lengths)),
        length_max=int(lengths.max()),
        other_letters={letter: n for letter, n in sorted(letters.items()) if letter not in PLAIN},
        rows_with_other_letters=len(odd),
    )


def _across(
    second: Split,
    first_name: str,
    first_seen: Mapping[str, set[int]],
    second_seen: Mapping[str, set[int]],
    opposite: Mapping[str, str],
    near: bool,
) -> CrossAudit:
    rows = [as_dna(s) for s in second.sequences]
    shared = [s for s in second_seen if s in first_seen]
    mirrored = {s for s, other in opposite.items() if s not in first_seen and other in first_seen}
    return CrossAudit(
        first=first_name,
        second=second.name,
        sequences=len(shared),
        rows=sum(s in first_seen for s in rows),
        conflicting_sequences=sum(first_seen[s] != second_seen[s] for s in shared),
        opposite_rows=sum(s in mirrored for s in rows),
        near_rows=int(leaked_rows(list(first_seen), second.sequences).near.sum()) if near else None,
    )


def _fingerprints(sequences: Iterable[str]) -> NDArray[np.uint64]:
    """64 bits of each sequence's BLAKE2b: in a few million sequences, the odds of a chance match are 1e-7."""
    raw = b"".join(hashlib.blake2b(s.encode("ascii"), digest_size=8).digest() for s in sequences)
    return np.frombuffer(raw, dtype=np.uint64)


def _pairs(
    tasks: Mapping[str, tuple[str, ...]], others: Mapping[str, tuple[str, ...]], near: bool
) -> tuple[PairAudit, ...]:
    """Every pair of tasks with a sequence in common, most shared first; none of two of the others."""
    every = {**tasks, **others}
    names, num = list(every), len(every)
    if num < 2:
        return ()
    values = np.concatenate([_fingerprints(sequences) for sequences in every.values()])
    owners = np.repeat(np.arange(num), [len(sequences) for sequences in every.values()])
    order = np.lexsort((owners, values))
    values, owners = values[order], owners[order]
    shared = np.zeros((num, num), dtype=np.int64)
    # a task lists each sequence once, so equal neighbours at any distance belong to different tasks
    for step in range(1, num):
        same = np.flatnonzero(values[step:] == values[:-step])
        if not same.size:
            break
        np.add.at(shared, (owners[same], owners[same + step]), 1)
    looked, nearly = _near_between(every) if near else (np.zeros(num, np.int64), np.zeros((num, num), np.int64))
    found = [
        PairAudit(
            names[i],
            names[j],
            int(shared[i, j]),
            len(every[names[i]]),
            len(every[names[j]]),
            *((int(nearly[i, j]), int(looked[i]), int(nearly[j, i]), int(looked[j])) if near else ()),
        )
        for i, j in np.argwhere(np.triu(shared + nearly + nearly.T, 1) > 0)
        if i < len(tasks)
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.sequences, -max(pair.near_first or 0, pair.near_second or 0))))


def _near_between(tasks: Mapping[str, tuple[str, ...]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many sequences of each task were looked for (t,), and how many stand nearly in each other task (t, t)."""
    picked = [
        [sequences[i] for i in np.unique(np.linspace(0, len(sequences) - 1, LOOKED_AT).astype(np.int64))]
        for sequences in tasks.values()
    ]
    looked = np.array([len(part) for part in picked])
    own = np.repeat(np.arange(len(picked)), looked)
    targets = [sequence for sequences in tasks.values() for sequence in sequences]
    groups = np.repeat(np.arange(len(picked)), [len(sequences) for sequences in tasks.values()])
    held = contained_in_groups([s for part in picked for s in part], targets, groups, own)
    nearly = np.zeros((len(picked), len(picked)), dtype=np.int64)
    np.add.at(nearly, own, held)
    return looked, nearly
