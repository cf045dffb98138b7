"""Near-duplicates and groups against the rule applied to every pair."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.task import load_suite, near, reverse_complement
from geneb_jax.task.groups import duplicate_groups
from geneb_jax.task.near import FEWEST, SHARE, WORD, containing, leaked_rows, near_components

RNG = np.random.default_rng(5)


def letters(n: int) -> str:
    return "".join(RNG.choice(list("ACGT"), n))


def mutated(sequence: str, changes: int) -> str:
    out = list(sequence)
    for place in RNG.choice(len(out), changes, replace=False):
        out[place] = RNG.choice([c for c in "ACGT" if c != out[place]])
    return "".join(out)


def relatives(num: int) -> list[str]:
    """Unrelated sequences, and copies of some: shifted, cut out, changed, reversed, repeats, with odd letters."""
    genome = [letters(400) for _ in range(num)]
    found = list(genome)
    for i, one in enumerate(genome):
        start = int(RNG.integers(0, 120))
        other = [one[start:], one[start : start + 60], mutated(one, 1 + i % 12), reverse_complement(one[:300])][i % 4]
        found.append(other)
    return [*found, "AC" * 60, "A" * 90, "ACGT", "", "N" * 50, genome[0][:100] + "N" + genome[0][101:]]


@cache
def word_set(sequence: str) -> frozenset[str]:
    words = (sequence[i : i + WORD] for i in range(len(sequence) - WORD + 1))
    return frozenset(min(w, reverse_complement(w)) for w in words if set(w) <= set("ACGT"))


def by_the_rule(a: str, b: str) -> bool:
    A, B = word_set(a), word_set(b)
    return len(A) >= FEWEST and len(A & B) >= SHARE * len(A) - 1e-9


def test_every_pair_of_the_rule_is_found_and_no_other() -> None:
    queries, targets = relatives(30), relatives(30)
    queries += [mutated(t, int(RNG.integers(1, 9))) for t in targets[:40] if len(t) > 20]
    rule = np.array([[by_the_rule(q, t) for t in targets] for q in queries])
    found = containing(queries, targets)
    assert np.array_equal(found >= 0, rule.any(axis=1))
    hit = np.flatnonzero(found >= 0)
    assert rule[hit, found[hit]].all()
    assert 10 < len(hit) < len(queries) - 10


def test_components_are_those_of_the_rule() -> None:
    from scipy.sparse.csgraph import connected_components

    sequences = [*relatives(24), *relatives(6)]
    rule = np.array([[by_the_rule(a, b) for b in sequences] for a in sequences])
    number, expected = connected_components(rule, directed=False)
    component = near_components(sequences)
    assert len(set(component)) == number
    assert len(set(zip(component, expected, strict=True))) == number


def test_small_blocks_and_few_holders_change_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, targets = relatives(20), relatives(20)
    queries += [mutated(t, 2) for t in targets[:20]]
    whole = containing(queries, targets)
    monkeypatch.setattr(near, "_BLOCK_HITS", 50)
    monkeypatch.setattr(near, "_BLOCK_LETTERS", 700)
    assert np.array_equal(containing(queries, targets), whole)
    # where everything resembles everything, capped lists still find somebody
    base = letters(300)
    crowd = [mutated(base, 1) for _ in range(60)]
    monkeypatch.setattr(near, "MOST_HOLDERS", 7)
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
    assert found["iEnhancer2L_enhancers"] == (100, 0, 0)
    assert found["UCI_splice_junction"] == (0, 0, 12)
    rule = [any(by_the_rule(q, t) for t in task.train.sequences) for q in task.test.sequences[:60]]
    assert leaks.near[:60].tolist() == rule
