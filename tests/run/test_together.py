"""Tasks of one encoder that are fitted together get the records that each gets alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geneb_jax.errors import ProbeError, UnknownNameError, UsageError
from geneb_jax.run import probe, probing
from geneb_jax.run.directory import Run, RunWriter
from geneb_jax.run.streaming import Reader
from tests.run.helpers import blobs, write_store

ASKED = {"regimes": ["full", "1shot"], "seeds": [13, 17], "progress": False}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Five tasks: one of three classes, and one with a NaN in the middle."""
    tasks = {name: blobs(i, classes=3 if name == "c" else 2) for i, name in enumerate("abcde")}
    tasks["d"][0][3, 1] = np.nan
    write_store(tmp_path / "store", tasks)
    return tmp_path / "store"


def rows_of(run: Run) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.records.to_pylist()]


def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that are fitted together from here on."""
    seen = []
    together = Reader.fit_together

    def spy(self: Reader, tasks: list[object], lanes: list[object]) -> object:
        seen.append(len(tasks))
        return together(self, tasks, lanes)  # type: ignore[arg-type]

    monkeypatch.setattr(Reader, "fit_together", spy)
    return seen


def assert_same(one: Run, other: Run) -> None:
    numbers = ("objective", "grad_norm", "relative_gap", "num_steps")
    for mine, theirs in zip(rows_of(one), rows_of(other), strict=True):
        assert {k: v for k, v in mine.items() if k not in numbers} == {
            k: v for k, v in theirs.items() if k not in numbers
        }
        if mine["objective"] is not None and not np.isnan(mine["objective"]):  # type: ignore[call-overload]
            assert mine["objective"] == pytest.approx(theirs["objective"], rel=1e-6)


def test_records_are_those_of_tasks_alone(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = groups(monkeypatch)
    together = probe([store], None, tmp_path / "together", **ASKED)  # type: ignore[arg-type]
    assert seen == [3]  # the broken task ends a group, and the last task is left alone
    monkeypatch.setattr(probing, "GROUP", 1)
    alone = probe([store], None, tmp_path / "alone", **ASKED)  # type: ignore[arg-type]
    assert seen == [3]
    assert {row["task"] for row in rows_of(alone) if row["status"] == "bad_embedding"} == {"d"}
    assert_same(together, alone)
    assert "cost model" in next(iter(together.meta.sessions[0].solvers.values()))


def test_an_interrupted_group_goes_on(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probe([store], None, tmp_path / "whole", **ASKED)  # type: ignore[arg-type]
    written = []
    write = RunWriter.write_pair

    def interrupted(self: RunWriter, *arguments: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        write(self, *arguments)  # type: ignore[arg-type]
        written.append(arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pair", interrupted)
        with pytest.raises(KeyboardInterrupt):
            probe([store], None, tmp_path / "run", **ASKED)  # type: ignore[arg-type]
    seen = groups(monkeypatch)
    resumed = probe([store], None, tmp_path / "run", **ASKED)  # type: ignore[arg-type]
    assert seen == []  # a and b were committed, c is alone before the broken task, and so is e
    assert_same(resumed, whole)


def test_a_group_that_raises_is_fitted_one_by_one(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probe([store], None, tmp_path / "whole", **ASKED)  # type: ignore[arg-type]

    def broken(*_: object) -> None:
        raise ProbeError("one of them cannot be fitted")

    monkeypatch.setattr(Reader, "fit_together", broken)
    assert_same(probe([store], None, tmp_path / "run", **ASKED), whole)  # type: ignore[arg-type]


def test_the_exact_solver_is_recorded_and_needs_whole_embeddings(tmp_path: Path) -> None:
    write_store(tmp_path / "store", {"a": blobs(1, n=2000)})
    asked = {"regimes": ["full"], "seeds": [13], "solver": "newton", "progress": False}
    run = probe([tmp_path / "store"], None, tmp_path / "run", **asked)  # type: ignore[arg-type]
    assert run.meta.settings.solver == "newton"
    assert "asked for by name" in run.meta.sessions[0].solvers["newton"]
    assert run.meta.sessions[0].kernels["weighted_gram"].startswith("XLA: the default")
    with pytest.raises(UsageError, match="needs embeddings whole") as caught:
        probe([tmp_path / "store"], None, tmp_path / "small", memory_budget=200_000, **asked)  # type: ignore[arg-type]
    assert "newton-cg" in str(caught.value.cure)
    with pytest.raises(UnknownNameError, match="newton"):
        probe([tmp_path / "store"], None, tmp_path / "other", **(asked | {"solver": "newtn"}))  # type: ignore[arg-type]
