"""Near-duplicates and groups against the rule applied to every pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geneb_jax.task import load_suite, reverse_complement, seeds
from geneb_jax.task.groups import duplicate_groups
from geneb_jax.task.near import (
    COVERED,
    IDENTITY,
    contained_in_groups,
    containing,
    leaked_rows,
    near_components,
    nearly_contained,
)

RNG = np.random.default_rng(5)


def letters(n: int) -> str:
    return "".join(RNG.choice(list("ACGT"), n))


def mutated(sequence: str, changes: int, kinds: str = "changed") -> str:
    """A copy with letters changed in different places, or changed, inserted and removed anywhere."""
    out = list(sequence)
    if kinds == "changed":
        for place in RNG.choice(len(out), changes, replace=False):
            out[place] = RNG.choice([c for c in "ACGT" if c != out[place]])
        return "".join(out)
    for _ in range(changes):
        place = int(RNG.integers(len(out)))
        match RNG.integers(3):
            case 0:
                out[place] = RNG.choice([c for c in "ACGT" if c != out[place]])
            case 1:
                del out[place]
            case _:
                out.insert(place, RNG.choice(list("ACGT")))
    return "".join(out)


def relatives(num: int) -> list[str]:
    """Unrelated sequences, and copies of some: shifted, cut out, changed, reversed, repeats, with odd letters."""
    genome = [letters(300) for _ in range(num)]
    found = list(genome)
    for i, one in enumerate(genome):
        start = int(RNG.integers(0, 100))
        copies = [one[start:], one[start : start + 60], mutated(one, 10 + i), reverse_complement(one[:200])]
        found.append(copies[i % 4])
    return [*found, "AC" * 60, "A" * 90, "ACGT", "", "N" * 50, genome[0][:100] + "N" + genome[0][101:]]


def infix_distance(query: str, target: str) -> tuple[int, int]:
    """Fewest edits of a query inside a target by the textbook's table, and the longest part that needs no more."""
    before = [(0, 0)] * (len(target) + 1)  # edits, and minus the letters of the target used
    for i, letter in enumerate(query, 1):
        row = [(i, 0)]
        for j, other in enumerate(target, 1):
            same = letter == other and letter in "ACGT"
            row.append(
                min(
                    (before[j - 1][0] + (not same), before[j - 1][1] - 1),
                    (before[j][0] + 1, before[j][1]),
                    (row[j - 1][0] + 1, row[j - 1][1] - 1),
                )
            )
        before = row
    edits, used = min(before)
    return edits, -used


def by_the_rule(query: str, target: str) -> bool:
    n = len(query)
    if sum(c in "ACGT" for c in query) < seeds.SHORTEST or not target:
        return False
    part = int(np.ceil(n * COVERED - 1e-9))
    for piece in (query, query[:part], query[(n - part) // 2 :][:part], query[n - part :]):
        edits, used = infix_distance(piece, target)
        other = sum(c not in "ACGT" for c in piece)
        if edits - other <= (1 - IDENTITY) * (max(len(piece), used) - other) + 1e-9:
            return True
    return False


def either_strand(query: str, target: str) -> bool:
    return nearly_contained(query, target) or nearly_contained(reverse_complement(query), target)


def test_the_rule_is_the_textbooks_alignment() -> None:
    cases = [(q, t) for q in relatives(2)[2:6] for t in relatives(1)[:2]]
    for length in (40, 61, 90):
        one = letters(length)
        for changes in range(length // 10 - 1, length // 9 + 3):
            flanked = letters(20) + mutated(one, changes, "any") + letters(20)
            cases += [(one, mutated(one, changes)), (mutated(one, changes, "any"), one), (one, flanked)]
        cases.append((one[length // 5 :] + letters(length // 5), one))
        cases.append((one[: length // 2] + "N" * 6 + one[length // 2 :], one))
    judged = [nearly_contained(q, t) for q, t in cases]
    assert judged == [by_the_rule(q, t) for q, t in cases]
    assert 8 < sum(judged) < len(cases) - 8


@pytest.mark.parametrize("kinds", ["changed", "any"])
@pytest.mark.parametrize("length", [40, 41, 60, 101, 200, 400, 1100])
def test_of_copies_with_every_tenth_letter_edited_95_in_100_are_found(length: int, kinds: str) -> None:
    num = 200 if length < 300 else 60
    originals = [letters(length) for _ in range(num)]
    copies = [mutated(one, length // 10, kinds) for one in originals]
    copies = [reverse_complement(c) if i % 2 else c for i, c in enumerate(copies)]
    strangers = [letters(length) for _ in range(num)]
    found = containing(copies + strangers, originals)
    assert (found[:num] == np.arange(num)).mean() >= 0.95
    assert (found[num:] < 0).all()
    # and as a part of something longer
    longer = [letters(length) + copy + letters(length // 2) for copy in copies]
    assert (containing(originals, longer) == np.arange(num)).mean() >= 0.95


def test_every_pair_that_is_found_obeys_the_rule_and_few_are_missed() -> None:
    queries, targets = relatives(30), relatives(30)
    queries += [mutated(t, int(RNG.integers(1, len(t) // 8))) for t in targets[:40] if len(t) > 20]
    rule = np.array([[either_strand(q, t) for t in targets] for q in queries])
    found = containing(queries, targets)
    hit = np.flatnonzero(found >= 0)
    assert rule[hit, found[hit]].all()
    assert len(hit) >= 0.98 * rule.any(axis=1).sum()
    assert 10 < len(hit) < len(queries) - 10


def test_components_are_those_of_the_rule() -> None:
    from scipy.sparse.csgraph import connected_components

    sequences = [*relatives(16), *relatives(4)]
    rule = np.array([[either_strand(a, b) for b in sequences] for a in sequences])
    number, expected = connected_components(rule, directed=False)
    component = near_components(sequences)
    assert len(set(component)) == number
    assert len(set(zip(component, expected, strict=True))) == number


def test_groups_of_targets_are_told_apart() -> None:
    a, b, c = letters(90), letters(90), letters(90)
    targets, groups = [a, b, mutated(a, 5), c[30:] + b], np.array([0, 0, 1, 2])
    expected = [[True, True, False], [True, False, True], [False, False, False]]
    assert contained_in_groups([a, b, c], targets, groups).tolist() == expected
    own = np.array([0, 2, 1])
    expected = [[False, True, False], [True, False, False], [False, False, False]]
    assert contained_in_groups([a, b, c], targets, groups, own).tolist() == expected


def test_small_blocks_and_few_places_change_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, targets = relatives(20), relatives(20)
    queries += [mutated(t, 2) for t in targets[:20]]
    whole = containing(queries, targets) >= 0
    monkeypatch.setattr(seeds, "BLOCK_LETTERS", 1500)
    monkeypatch.setattr(seeds, "_CHUNK_LETTERS", 700)
    monkeypatch.setattr(seeds, "_CHUNK_HITS", 50)
    assert np.array_equal(containing(queries, targets) >= 0, whole)
    # where everything resembles everything, a few places still find somebody
    base = letters(300)
    crowd = [mutated(base, 1) for _ in range(60)]
    monkeypatch.setattr(seeds, "MOST_HOLDERS", 7)
    monkeypatch.setattr(seeds, "MOST_HITS", 20)
    assert (containing(crowd[:20], crowd[20:]) >= 0).all()
    assert len(set(near_components(crowd).tolist())) == 1


def test_a_leak_is_counted_once_and_under_the_strictest_kind() -> None:
    a, b, c, d = (letters(200) for _ in range(4))
    test = [a, reverse_complement(b), mutated(c, 1), letters(200), a, d[:150], reverse_complement(c[20:])]
    leaks = leaked_rows([a, b, c, d], test)
    assert leaks.exact.tolist() == [True, False, False, False, True, False, False]
    assert leaks.opposite.tolist() == [False, True, False, False, False, False, False]
    assert leaks.near.tolist() == [False, False, True, False, False, True, True]
    assert leaks.any.sum() == 6
    assert leaked_rows([a, b, c, d], test, near=False).any.sum() == 3


def test_groups_of_rows() -> None:
    a, b, c = letters(120), letters(120), letters(120)
    rows = [a, b, a, reverse_complement(b), c, b[10:], a[5:] + "ACGTA"]
    assert duplicate_groups(rows).tolist() == [0, 1, 0, 2, 3, 4, 5]
    assert duplicate_groups(rows, near=True).tolist() == [0, 1, 0, 1, 2, 1, 0]
    assert duplicate_groups([], near=True).tolist() == []


def test_leaks_of_real_tasks(shared_data: Path) -> None:
    suite = load_suite(shared_data / "more")
    found = {}
    for name in ("iEnhancer2L_enhancers", "UCI_splice_junction"):
        task = suite.load(name)
        leaks = leaked_rows(task.train.sequences, task.test.sequences)
        found[name] = (leaks.exact.sum(), leaks.opposite.sum(), leaks.near.sum())
    # the first as its source says
    assert found["iEnhancer2L_enhancers"] == (100, 0, 3)
    assert found["UCI_splice_junction"] == (0, 0, 60)
    rule = [any(either_strand(q, t) for t in task.train.sequences) for q in task.test.sequences[:60]]
    assert leaks.near[:60].tolist() == rule
