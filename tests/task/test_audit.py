"""The audit on sets whose faults are known because they were planted, and against brute force."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geneb_jax.alphabet import as_rna
from geneb_jax.cli.tasks import command
from geneb_jax.errors import MissingDataError, UsageError
from geneb_jax.task import Control, Split, Task, TaskInfo, load_suite, reverse_complement
from geneb_jax.task.audit import TaskAudit, audit
from geneb_jax.task.control import control_task
from geneb_jax.task.groups import duplicate_groups
from geneb_jax.task.near import leaked_rows


def put(root: Path, task: str, train: list[tuple[str, int]], test: list[tuple[str, int]]) -> None:
    folder = root / "tasks" / task
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f"{s},{y}\n" for s, y in rows))


def test_planted_faults_are_counted(tmp_path: Path) -> None:
    train = [("AAAC", 0), ("AAAC", 0), ("AAAC", 1), ("GTTT", 1), ("ACGT", 1), ("NNRA", 0)]
    test = [("AAAC", 0), ("AAAC", 1), ("CCC", 1), ("TYNN", 2), ("GTTT", 0), ("GGGGGGGG", 1)]
    put(tmp_path, "t", train, test)
    put(tmp_path, "u", [("CCC", 0), ("AAAC", 1)], [("TTTTT", 0)])
    report = audit(load_suite(str(tmp_path)))
    task = report.tasks[0]
    first, second = task.splits
    assert (first.rows, first.distinct, first.duplicate_rows) == (6, 4, 2)
    assert first.conflicting_sequences == 1
    # GTTT is AAAC's other strand; ACGT is its own and does not count
    assert first.opposite_strands == 1
    assert first.class_counts == {0: 3, 1: 3}
    assert first.other_letters == {"N": 2, "R": 1}
    assert first.rows_with_other_letters == 1
    assert (second.length_min, second.length_median, second.length_max) == (3, 4.0, 8)
    between = task.between("train", "test")
    assert between is not None
    # AAAC twice and GTTT once; TYNN is the other strand of NNRA
    assert (between.sequences, between.rows, between.opposite_rows) == (2, 3, 1)
    assert between.conflicting_sequences == 1
    assert task.conflicting_sequences == 2
    assert task.classes_only_in_test == (2,)
    assert len(task.warnings) == 1
    assert [(p.first, p.second, p.sequences, p.distinct_first, p.distinct_second) for p in report.pairs] == [
        ("t", "u", 2, 7, 3)
    ]


def test_near_duplicates_are_looked_for_when_asked(tmp_path: Path) -> None:
    one = "ACGGTCATTGCAATCGGATTACCAGTTTGACATGCCGTAACTGGATCTTAGCAACGTT"
    put(tmp_path, "t", [(one, 0), ("ACGT", 1)], [(one[4:], 0), (reverse_complement(one[:-3]), 1), (one, 0), ("ACG", 1)])
    suite = load_suite(str(tmp_path))
    (plain,), (found,) = audit(suite).tasks, audit(suite, near=True).tasks
    assert plain.across[0].near_rows is None
    assert (found.across[0].rows, found.across[0].near_rows) == (1, 2)


def test_tasks_and_suites_that_share_parts_of_sequences_are_found_when_asked(tmp_path: Path) -> None:
    rng = random.Random(3)
    whole = ["".join(rng.choices("ACGT", k=120)) for _ in range(6)]
    windows = [s[30:90] for s in whole[:4]]
    put(tmp_path / "a", "long", [(s, i % 2) for i, s in enumerate(whole[:5])], [(whole[5], 0)])
    put(tmp_path / "a", "short", [(s, i % 2) for i, s in enumerate(windows[:3])], [(reverse_complement(windows[3]), 0)])
    put(tmp_path / "b", "other", [(whole[0], 0), ("ACGTTT", 1)], [(whole[1][:100], 0)])
    suite, other = load_suite(str(tmp_path / "a")), load_suite(str(tmp_path / "b"))
    assert audit(suite).pairs == ()
    (pair,) = audit(suite, near=True).pairs
    found = (pair.first, pair.second, pair.sequences, pair.near_first, pair.near_second, pair.looked_second)
    assert found == ("long", "short", 0, 0, 4, 4)
    (pair,) = audit(suite, against=other).pairs
    assert (pair.first, pair.second, pair.sequences, pair.near_first) == ("long", "b:other", 1, None)
    pairs = {(p.first, p.second): (p.near_first, p.near_second) for p in audit(suite, near=True, against=other).pairs}
    assert pairs == {("long", "short"): (0, 4), ("long", "b:other"): (2, 2), ("short", "b:other"): (2, 0)}
    done = CliRunner().invoke(
        command, ["--suite", str(tmp_path / "a"), "--audit", "--against", str(tmp_path / "b"), "--near"]
    )
    assert done.exit_code == 0
    assert "long and b:other" in done.output
    assert "100%" in done.output
    with pytest.raises(UsageError, match="--against is a part of the audit"):
        CliRunner().invoke(command, ["--suite", str(tmp_path / "a"), "--against", "quickstart"], catch_exceptions=False)


def test_unreadable_tasks_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    put(tmp_path, "bad", [("AAXC", 0), ("AAA", 1)], [("C", 0)])
    put(tmp_path, "good", [("AAC", 0), ("AAA", 1)], [("C", 0)])
    seen: list[str] = []
    report = audit(load_suite(str(tmp_path)), done=seen.append)
    assert seen == ["bad", "good"]
    assert [task.id for task in report.failed] == ["bad"]
    assert "row 1 (line 2)" in (report.failed[0].problem or "")
    again = json.loads(json.dumps(report.to_json()))
    assert again["geneb_type"] == "geneb.audit"
    assert again["tasks"][1]["splits"][0]["class_counts"] == {"0": 1, "1": 1}


def test_absent_tasks_are_counted_and_no_data_at_all_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "iDNA_ABF_5mC", [("AAC", 0), ("AAA", 1)], [("C", 0)])
    suite = load_suite("geneb", data=tmp_path)
    report = audit(suite)
    assert [task.id for task in report.tasks] == ["iDNA_ABF_5mC"]
    assert len(report.absent) == 99
    assert not report.failed
    with pytest.raises(MissingDataError, match="iDHS-EL_DNase_I"):
        audit(suite.select(["iDHS*"]))


short = st.text(alphabet="ACGTU", min_size=1, max_size=3)
rows = st.lists(st.tuples(short, st.integers(0, 1)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tasks=st.lists(st.tuples(rows, rows), min_size=2, max_size=5))
def test_counts_equal_brute_force(tmp_path: Path, tasks: list[tuple[list[tuple[str, int]], ...]]) -> None:
    root = tmp_path / str(len(list(tmp_path.iterdir())))
    for i, (train, test) in enumerate(tasks):
        put(root, f"t{i}", [("A", 0), ("C", 1), *train], test)
    report = audit(load_suite(str(root)))
    sets = {}
    for i, (extra, test) in enumerate(tasks):
        # U and T are one base: what is compared is the sequence as DNA
        train = [(s.replace("U", "T"), y) for s, y in [("A", 0), ("C", 1), *extra]]
        test = [(s.replace("U", "T"), y) for s, y in test]
        task: TaskAudit = report.tasks[i]
        between = task.between("train", "test")
        assert between is not None
        letters = {s for s, _ in train}
        assert between.rows == sum(s in letters for s, _ in test)
        assert between.opposite_rows == sum(s not in letters and reverse_complement(s) in letters for s, _ in test)
        assert task.splits[0].duplicate_rows == len(train) - len(letters)
        assert task.splits[0].opposite_strands == sum(reverse_complement(a) == b for a, b in combinations(letters, 2))
        labels: dict[str, set[int]] = {}
        for s, y in train + list(test):
            labels.setdefault(s, set()).add(y)
        assert task.conflicting_sequences == sum(len(v) > 1 for v in labels.values())
        sets[f"t{i}"] = set(labels)
        assert task.distinct == len(labels)
    found = {(p.first, p.second): p.sequences for p in report.pairs}
    assert found == {(a, b): len(sets[a] & sets[b]) for a, b in combinations(sets, 2) if sets[a] & sets[b]}


def test_what_differs_in_u_and_t_alone_is_one_sequence_everywhere(tmp_path: Path) -> None:
    """Duplicates, leaks on both strands, groups, near-duplicates and shuffles: one rule, whichever side is RNA."""
    one, two = "ACGGTCATTGCAATCGGATTACCAGTTTGACATGCCGTAACT", "GGTTTACCATGACCATAGGATACCGATTACATTGGCCAACGT"
    rna = [s.replace("T", "U") for s in (one, reverse_complement(two), one[2:] + "G")]
    for train, test in (([one, two], rna), ([as_rna(one), as_rna(two)], [s.replace("U", "T") for s in rna])):
        found = leaked_rows(train, test)
        assert (found.exact.tolist(), found.opposite.tolist(), found.near.tolist()) == (
            [True, False, False],
            [False, True, False],
            [False, False, True],
        )
        put(tmp_path, "t", [(train[0], 0), (train[1], 1)], [(s, 0) for s in test])
        (task,) = audit(load_suite(str(tmp_path)), near=True).tasks
        across = task.between("train", "test")
        assert across is not None
        assert (across.rows, across.opposite_rows, across.near_rows) == (1, 1, 1)
        assert (task.distinct, task.across[0].conflicting_sequences) == (4, 0)
    assert duplicate_groups([one, rna[0], two]).tolist() == [0, 0, 1]
    for kind in ("mono", "di"):
        split = Split.make("test", [one, rna[0], two], [0, 1, 0])
        task = control_task(Task(TaskInfo("t", "t"), {"train": split, "test": split}, "here"), Control(kind))
        dna, as_written, _ = task.test.sequences
        assert dna != one
        assert as_written == as_rna(dna)
