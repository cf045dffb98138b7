"""Controls: a suite in which something that a probe could learn from has been destroyed.

- ``labels``: the labels of the training rows are shuffled. What is left is chance.
- ``mono``: the letters of every sequence are shuffled. What is left is length and composition.
- ``di``: every sequence is replaced by a random one with the same dinucleotide counts, and so the same first and last
  letter and composition; uniform over all such sequences up to the generator (Altschul & Erickson 1985, Mol Biol Evol
  2:526, with the tree of last exits drawn by Wilson's algorithm).

A control is written ``KIND`` or ``KIND-KEY``, and behind a suite's or a task's name with ``~``: ``geneb~labels``. Task
ids carry it too, so that no store, run or table takes a control's score for a real one. Labels are shuffled by a key
made of (kind, key, task); sequences by (kind, key, sequence), so that equal sequences stay equal and repeats and leaks
stay what they were, also those that differ in U and T.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from geneb_jax.alphabet import as_dna, as_rna
from geneb_jax.errors import UsageError
from geneb_jax.task.info import Reader, Split, Suite, Task, TaskInfo

MARK: Final = "~"
KINDS: Final[Mapping[str, str]] = {
    "labels": "training labels shuffled",
    "mono": "letters of every sequence shuffled",
    "di": "every sequence shuffled with its dinucleotide counts kept",
}
"""Kinds of controls, and what is done, in words."""

_TEXT: Final = re.compile(rf"({'|'.join(KINDS)})(?:-([1-9]\d*))?")
_MAGIC: Final = "geneb_jax.control.v1"


@dataclass(frozen=True)
class Control:
    """One control: its kind, and the key that its random choices are derived from. ``str`` gives ``di`` or ``di-7``."""

    kind: str
    key: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there is no control called {self.kind!r}", cure=f"use {', '.join(KINDS)}")
        if self.key < 0:
            raise UsageError(f"the key of a control is a whole number from 0, not {self.key}")

    def __str__(self) -> str:
        return f"{self.kind}-{self.key}" if self.key else self.kind

    @property
    def sentence(self) -> str:
        """What is done to the data, in words."""
        return f"{KINDS[self.kind]} (key {self.key})"

    def name(self, base: str) -> str:
        """The name of a suite's or task's control."""
        return f"{base}{MARK}{self}"


def split_name(name: str) -> tuple[str, Control | None]:
    """A suite's or task's name without its control, and the control; None for one that is real."""
    base, mark, text = name.rpartition(MARK)
    found = _TEXT.fullmatch(text) if mark and base else None
    return (base, Control(found[1], int(found[2] or 0))) if found else (name, None)


def control_suite(suite: Suite, control: Control) -> Suite:
    """The suite with every task replaced by its control. Raises UsageError for a suite that is one already."""
    if split_name(suite.name)[1] is not None:
        raise UsageError(f"{suite.name!r} is a control already", cure="name the real suite")
    tasks = tuple(
        replace(info, id=control.name(info.id), label=f"{info.label} {MARK}{control}") for info in suite.tasks
    )
    originals = dict(zip((info.id for info in tasks), suite.tasks, strict=True))
    return replace(
        suite,
        name=control.name(suite.name),
        source=f"{suite.source}; control: {control.sentence}",
        tasks=tasks,
        reader=_ControlReader(suite.reader, control, originals),
    )


def control_task(task: Task, control: Control) -> Task:
    """One task's control, under the task's own name. Sizes, classes, categories and test labels stay."""
    if control.kind == "labels":
        train = task.train
        order = _generator("labels", control.key, task.id).permutation(len(train))
        splits = {**task.splits, "train": Split.make("train", train.sequences, train.labels[order])}
    else:
        shuffled: dict[str, str] = {}
        for split in task.splits.values():
            for sequence in split.sequences:
                if sequence not in shuffled:
                    shuffled[sequence] = _shuffled(sequence, control)
        splits = {
            name: Split.make(name, [shuffled[s] for s in split.sequences], split.labels)
            for name, split in task.splits.items()
        }
    return replace(task, splits=splits, source=f"{task.source}; control: {control.sentence}")


def _shuffled(sequence: str, control: Control) -> str:
    """One sequence shuffled as DNA, so that its twins in U and T stay twins; an RNA stays an RNA."""
    dna = as_dna(sequence)
    shuffle = shuffle_letters if control.kind == "mono" else shuffle_dinucleotides
    found = shuffle(dna, _seed(control.kind, control.key, dna))
    return as_rna(found) if "U" in sequence and "T" not in sequence else found


def shuffle_letters(sequence: str, seed: int) -> str:
    """The sequence's letters in a random order."""
    letters = np.array(list(sequence.encode("ascii")), dtype=np.uint8)
    np.random.Generator(np.random.SFC64(seed)).shuffle(letters)
    return letters.tobytes().decode("ascii")


def shuffle_dinucleotides(sequence: str, seed: int) -> str:
    """A random sequence with the same count of every pair of neighbouring letters; uniform over all such sequences.

    Such sequences are the Euler paths of the graph with letters as vertices and neighbours as edges. A path is drawn
    as the last exit of every letter (a tree into the last letter) and a random order of its other exits.
    """
    if len(sequence) < 4:  # up to three letters there is one such sequence
        return sequence
    dice = random.Random(seed)
    exits: dict[str, list[str]] = {}
    for letter, following in pairwise(sequence):
        exits.setdefault(letter, []).append(following)
    last = _last_exits(exits, sequence[-1], dice)
    for letter, ways in exits.items():
        if letter in last:
            ways.remove(last[letter])
        dice.shuffle(ways)
        if letter in last:
            ways.append(last[letter])
        ways.reverse()  # taken from the end
    letter = sequence[0]
    out = [letter]
    for _ in range(len(sequence) - 1):
        letter = exits[letter].pop()
        out.append(letter)
    return "".join(out)


def _last_exits(exits: Mapping[str, list[str]], root: str, dice: random.Random) -> dict[str, str]:
    """A random tree into `root`, each with a chance in proportion to the product of its edges' counts.

    Wilson's algorithm: walk at random until the tree is reached, and keep the last exit of every letter on the way.
    An exit to the letter itself is never in a tree, so it is left out of the walk.
    """
    leaving = {letter: [other for other in ways if other != letter] for letter, ways in exits.items()}
    tree: dict[str, str] = {}
    reached = {root}
    for start in leaving:
        walk, letter = {}, start
        while letter not in reached:
            walk[letter] = dice.choice(leaving[letter])
            letter = walk[letter]
        letter = start
        while letter not in reached:
            tree[letter] = walk[letter]
            reached.add(letter)
            letter = walk[letter]
    return tree


def _seed(kind: str, key: int, what: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{_MAGIC}\0{kind}\0{key}\0{what}".encode(), digest_size=16).digest(), "big")


def _generator(kind: str, key: int, what: str) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(_seed(kind, key, what)))


@dataclass(frozen=True)
class _ControlReader:
    """Reads the real tasks and hands out their controls."""

    inner: Reader
    control: Control
    originals: Mapping[str, TaskInfo]

    @property
    def source(self) -> str:
        return f"{self.inner.source}; control: {self.control.sentence}"

    def present(self, info: TaskInfo) -> bool | None:
        return self.inner.present(self.originals[info.id])

    def read(self, info: TaskInfo) -> Task:
        return replace(control_task(self.inner.read(self.originals[info.id]), self.control), info=info)
