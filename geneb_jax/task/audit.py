"""The audit of a suite's data: what would make a score mean less than it seems.

Sequences are compared in normal form, exactly; similar sequences (`geneb_jax.task.near`) are looked for between splits
when asked. "Opposite strand" means that the reverse complement of one sequence is another one. Counts of *sequences*
are of distinct ones, counts of *rows* are not.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import GenebError, MissingDataError
from geneb_jax.task.info import Split, Suite, Task
from geneb_jax.task.letters import PLAIN, reverse_complement
from geneb_jax.task.near import leaked_rows

AUDIT_TYPE: Final = "geneb.audit"
AUDIT_VERSION: Final = 1


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
    """Two tasks that share sequences: how many distinct ones, and how many each has in all."""

    first: str
    second: str
    sequences: int
    distinct_first: int
    distinct_second: int


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


def audit(suite: Suite, *, near: bool = False, done: Callable[[str], None] | None = None) -> SuiteAudit:
    """Audit every task whose data is at hand or can be fetched; tasks known to be absent are only counted.

    ``near`` also looks for near-duplicates, which takes some seconds for a task of 100,000 sequences.
    ``done`` is called with each task id when the task is finished. A task that cannot be read is reported
    and the others go on. Raises MissingDataError when there is data for none of them.
    """
    tasks: list[TaskAudit] = []
    prints: dict[str, NDArray[np.uint64]] = {}
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
                result, prints[info.id] = _audit_task(task, near)
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
    return SuiteAudit(suite.name, suite.version, tuple(tasks), _pairs(prints), tuple(absent))


def _audit_task(task: Task, near: bool) -> tuple[TaskAudit, NDArray[np.uint64]]:
    """One task's record and the fingerprints of its distinct sequences."""
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
    return record, _fingerprints(everything)


def _labels_of(split: Split) -> dict[str, set[int]]:
    """Distinct sequences of a split and the labels each carries."""
    seen: dict[str, set[int]] = {}
    for sequence, label in zip(split.sequences, split.labels.tolist(), strict=True):
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
    shared = [s for s in second_seen if s in first_seen]
    mirrored = {s for s, other in opposite.items() if s not in first_seen and other in first_seen}
    return CrossAudit(
        first=first_name,
        second=second.name,
        sequences=len(shared),
        rows=sum(s in first_seen for s in second.sequences),
        conflicting_sequences=sum(first_seen[s] != second_seen[s] for s in shared),
        opposite_rows=sum(s in mirrored for s in second.sequences),
        near_rows=int(leaked_rows(list(first_seen), second.sequences).near.sum()) if near else None,
    )


def _fingerprints(sequences: Iterable[str]) -> NDArray[np.uint64]:
    """64 bits of each sequence's BLAKE2b: in a few million sequences, the odds of a chance match are 1e-7."""
    raw = b"".join(hashlib.blake2b(s.encode("ascii"), digest_size=8).digest() for s in sequences)
    return np.frombuffer(raw, dtype=np.uint64)


def _pairs(prints: Mapping[str, NDArray[np.uint64]]) -> tuple[PairAudit, ...]:
    """Every pair of tasks with a sequence in common, most shared first."""
    names = list(prints)
    if len(names) < 2:
        return ()
    values = np.concatenate([prints[name] for name in names])
    owners = np.repeat(np.arange(len(names)), [len(prints[name]) for name in names])
    order = np.lexsort((owners, values))
    values, owners = values[order], owners[order]
    shared = np.zeros((len(names), len(names)), dtype=np.int64)
    # a task lists each sequence once, so equal neighbours at any distance belong to different tasks
    for step in range(1, len(names)):
        same = np.flatnonzero(values[step:] == values[:-step])
        if not same.size:
            break
        np.add.at(shared, (owners[same], owners[same + step]), 1)
    found = [
        PairAudit(names[i], names[j], int(shared[i, j]), len(prints[names[i]]), len(prints[names[j]]))
        for i, j in np.argwhere(shared > 0)
    ]
    return tuple(sorted(found, key=lambda pair: -pair.sequences))
