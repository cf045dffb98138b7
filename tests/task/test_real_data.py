"""Every real task that is at hand, against its index."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from geneb_jax.errors import DataError
from geneb_jax.task import load_suite
from geneb_jax.task.audit import audit


def test_every_real_task_loads_as_indexed_or_says_its_kind(shared_data: Path) -> None:
    with (shared_data / "INDEX.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    suites = {
        "geneb": load_suite("geneb", data=shared_data / "geneb"),
        "more": load_suite(str(shared_data / "more")),
    }
    assert len(rows) == 36
    for row in rows:
        suite, kind = suites[row["folder"]], row["kind"]
        if kind != "classification":
            with pytest.raises(DataError, match=f"this is a {kind} task"):
                suite.load(row["task"])
            continue
        task = suite.load(row["task"])
        sizes = {name: len(task.splits[name]) if name in task.splits else 0 for name in ("train", "dev", "test")}
        assert sizes == {name: int(row[f"n_{name}"]) for name in sizes}, row["task"]
        assert len(task.classes) == int(row["num_classes"]), row["task"]
        lengths = [len(s) for split in task.splits.values() for s in split.sequences]
        assert (min(lengths), max(lengths)) == (int(row["min_len"]), int(row["max_len"])), row["task"]


def test_known_leaks_are_found(shared_data: Path) -> None:
    suite = load_suite(str(shared_data / "more")).select(["iEnhancer2L_*", "GUE_splice*", "iDNA_MS*"])
    start = time.perf_counter()
    report = audit(suite)
    seconds = time.perf_counter() - start
    leaked = {task.id: c.rows for task in report.tasks if (c := task.between("train", "test"))}
    # as the index of these sets says
    assert leaked == {
        "GUE_splice_reconstructed_devtest": 32, "iDNA_MS_6mA_T.thermophile": 140,
        "iEnhancer2L_enhancers": 100, "iEnhancer2L_types": 100,
    }  # fmt: skip
    assert {(p.first, p.second) for p in report.pairs} == {("iEnhancer2L_enhancers", "iEnhancer2L_types")}
    assert seconds < 20
