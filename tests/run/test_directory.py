from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geneb_jax.errors import RunError, UnknownNameError
from geneb_jax.run.directory import Run, RunWriter, finish
from geneb_jax.run.meta import EncoderMeta, RunMeta, Session, Settings, SuiteMeta, TaskMeta, now, without_paths
from geneb_jax.run.predictions import write_predictions
from geneb_jax.run.record import COLUMNS, Record, read_table, to_table
from geneb_jax.status import Status

DIGEST = "e" * 64


def meta(engine: str = "jax", seeds: tuple[int, ...] = (13, 17)) -> RunMeta:
    return RunMeta(
        suite=SuiteMeta(name="toy", version="1", categories={"a": "A", "b": "B"}),
        settings=Settings(regimes=["full"], seeds=list(seeds), probes=[], engine=engine, dtype="float32"),
        encoders=[EncoderMeta(name="enc", digest=DIGEST, element="enc-1")],
    )


def records(task: str, *, mcc: float | None = 0.5, status: Status = Status.CONVERGED) -> list[Record]:
    return [
        Record(
            record_id=f"{task}-{seed}",
            encoder="enc",
            encoder_digest=DIGEST,
            suite="toy",
            suite_version="1",
            task=task,
            category=task.upper(),
            regime="full",
            seed=seed,
            probe="logistic",
            probe_digest="p",
            C=1.0,
            engine="jax",
            dtype="float32",
            status=status.label,
            mcc=mcc,
        )
        for seed in (13, 17)
    ]


TRUE = np.array([0, 2, 7, 7])
PREDICTED = np.array([[0, 2, 7, 0], [7, 7, 2, 0]])
TASK = TaskMeta(n_train=9, n_test=4, train_digest="t", test_digest="u", labels=[0, 2, 7])


def write(out: Path, tasks: str = "a", *, done: bool = True, **changes: object) -> None:
    session = Session(started=now())
    with RunWriter(out, meta(**changes), session) as writer:  # type: ignore[arg-type]
        for task in tasks:
            writer.check_task(task, TASK)
            writer.write_pair("enc-1", records(task), PREDICTED, TRUE)
        if done:
            finish(writer)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "run", "ba")
    run = Run.open(tmp_path / "run")
    assert run.records["task"].to_pylist() == ["a", "a", "b", "b"]  # in the suite's order
    assert run.meta.finished
    assert not run.missing
    found = run.predictions("a-17")
    assert found is not None
    assert found.true.tolist() == [0, 2, 7, 7]
    assert found.predicted.tolist() == [7, 7, 2, 0]
    assert found.labels.tolist() == [0, 2, 7]
    assert sorted(p.name for p in run.path.iterdir()) == [
        "predictions.zarr",
        "records.parquet",
        "run.json",
        "run.lock",
    ]


def test_a_record_without_a_score_has_no_predictions(tmp_path: Path) -> None:
    with RunWriter(tmp_path, meta(), Session(started=now())) as writer:
        writer.check_task("a", TASK)
        good, bad = records("a")[0], records("a", mcc=None, status=Status.NON_FINITE)[1]
        writer.write_pair("enc-1", [good, bad], PREDICTED, TRUE)
    run = Run.open(tmp_path)
    assert run.has_faults
    assert run.predictions("a-13") is not None
    assert run.predictions("a-17") is None
    with pytest.raises(UnknownNameError, match="a-99"):
        run.predictions("a-99")


def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, meta(), Session(started=now()))
    writer.check_task("a", TASK)
    writer.write_pair("enc-1", records("a"), PREDICTED, TRUE)
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    run = Run.open(tmp_path)
    assert run.records["task"].to_pylist() == ["a", "a"]
    assert not run.meta.finished
    assert run.missing == {"enc": ("b",)}
    with RunWriter(tmp_path, meta(), Session(started=now())) as writer:
        assert writer.done == {(DIGEST, "a"): {"a-13", "a-17"}}
        writer.check_task("b", TASK)
        writer.write_pair("enc-1", records("b"), PREDICTED, TRUE)
        finish(writer)
    run = Run.open(tmp_path)
    assert len(run.records) == 4
    assert len(run.meta.sessions) == 2
    assert run.predictions("a-13") is not None


def test_a_killed_run_shows_its_parts(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, meta(), Session(started=now()))
    writer.check_task("a", TASK)
    writer.write_pair("enc-1", records("a"), PREDICTED, TRUE)
    writer._lock.release()  # a killed process leaves no merge and no lock
    (tmp_path / "parts" / "0000.partial").write_bytes(b"half of a part")
    assert Run.open(tmp_path).records["record_id"].to_pylist() == ["a-13", "a-17"]
    write(tmp_path, "b")
    assert len(Run.open(tmp_path).records) == 4
    assert not (tmp_path / "parts").exists()


def test_a_pair_whose_input_was_bad_is_tried_again(tmp_path: Path) -> None:
    with RunWriter(tmp_path, meta(), Session(started=now())) as writer:
        bad = records("a", mcc=None, status=Status.BAD_EMBEDDING)
        writer.write_pair("enc-1", bad, None, np.zeros(0, np.int64))
    with RunWriter(tmp_path, meta(), Session(started=now())) as writer:
        assert not writer.done
        writer.check_task("a", TASK)
        writer.write_pair("enc-1", records("a"), PREDICTED, TRUE)
    run = Run.open(tmp_path)
    assert run.records["status"].to_pylist() == ["converged", "converged"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "sklearn"}, "its engine is jax, and you asked for sklearn"),
        ({"seeds": (1,)}, "seeds is 13, 17"),
        ({"seeds": (13, 18, 17)}, "seeds is 13, 17"),
        ({"seeds": tuple(range(99))}, r"you asked for 0, 1, 2, 3, 4, 5, 6, 7 … \(99 in all\)"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_lost(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    write(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match=words):
        write(tmp_path, "b", **changes)
    assert (tmp_path / "run.json").read_bytes() == before
    write(tmp_path, "b")  # and the lock was released


def more_records(seeds: range) -> list[Record]:
    first = records("a")[0]
    return [Record(**{**vars(first), "record_id": f"a-{seed}", "seed": seed}) for seed in seeds]


def predictions_of(seeds: range) -> np.ndarray:
    return np.random.default_rng(seeds.start).choice([0, 2, 7], size=(len(seeds), len(TRUE)))


@pytest.mark.parametrize("counts", [(2, 3), (70, 1), (64, 64), (100, 200, 50)])
def test_more_draws_of_a_pair_are_added_to_those_it_has(tmp_path: Path, counts: tuple[int, ...]) -> None:
    start, expected = 1000, {}
    for count in counts:
        seeds = range(start, start + count)
        start += count
        with RunWriter(tmp_path, meta(seeds=tuple(range(1000, start))), Session(started=now())) as writer:
            writer.check_task("a", TASK)
            writer.write_pair("enc-1", more_records(seeds), predictions_of(seeds), TRUE)
        expected |= {f"a-{seed}": row for seed, row in zip(seeds, predictions_of(seeds), strict=True)}
    run = Run.open(tmp_path)
    assert run.records["record_id"].to_pylist() == list(expected)
    assert run.meta.settings.seeds == list(range(1000, start))
    for record_id, row in expected.items():
        found = run.predictions(record_id)
        assert found is not None
        assert found.predicted.tolist() == row.tolist()


def test_a_kill_while_draws_are_added_loses_only_these(tmp_path: Path) -> None:
    first, second = range(1000, 1070), range(1070, 1100)
    with RunWriter(tmp_path, meta(seeds=tuple(first)), Session(started=now())) as writer:
        writer.check_task("a", TASK)
        writer.write_pair("enc-1", more_records(first), predictions_of(first), TRUE)
    writer = RunWriter(tmp_path, meta(seeds=tuple(range(1000, 1100))), Session(started=now()))
    # killed after the predictions were written and before the part was renamed
    lost = {f"a-{seed}": row for seed, row in zip(second, predictions_of(second)[::-1], strict=True)}
    write_predictions(tmp_path / "predictions.zarr", "enc-1", "a", TASK, lost, TRUE, writer.done[DIGEST, "a"])
    writer._lock.release()
    run = Run.open(tmp_path)
    assert len(run.records) == len(first)
    with RunWriter(tmp_path, meta(seeds=tuple(range(1000, 1100))), Session(started=now())) as writer:
        assert len(writer.done[DIGEST, "a"]) == len(first)
        writer.write_pair("enc-1", more_records(second), predictions_of(second), TRUE)
    run = Run.open(tmp_path)
    assert len(run.records) == 100
    for seeds in (first, second):
        for seed, row in zip(seeds, predictions_of(seeds), strict=True):
            found = run.predictions(f"a-{seed}")
            assert found is not None
            assert found.predicted.tolist() == row.tolist()


def test_a_kill_after_a_part_does_not_lose_it_to_the_next_part_of_the_pair(tmp_path: Path) -> None:
    for seeds in (range(1000, 1003), range(1003, 1005)):
        writer = RunWriter(tmp_path, meta(seeds=tuple(range(1000, seeds.stop))), Session(started=now()))
        writer.check_task("a", TASK)
        writer.write_pair("enc-1", more_records(seeds), predictions_of(seeds), TRUE)
        writer._lock.release()  # no merge
    assert Run.open(tmp_path).records["seed"].to_pylist() == [1000, 1001, 1002, 1003, 1004]


def test_a_run_with_more_draws_than_asked_for_keeps_them(tmp_path: Path) -> None:
    write(tmp_path, "a", seeds=(13, 17, 42))
    write(tmp_path, "b", seeds=(13, 17))
    assert Run.open(tmp_path).meta.settings.seeds == [13, 17, 42]


def test_other_data_under_the_same_task_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with (
        RunWriter(tmp_path, meta(), Session(started=now())) as writer,
        pytest.raises(RunError, match="rows of this task differ"),
    ):
        writer.check_task("a", TASK.model_copy(update={"test_digest": "other"}))


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    with (
        RunWriter(tmp_path, meta(), Session(started=now())),
        pytest.raises(RunError, match="another command is writing"),
    ):
        RunWriter(tmp_path, meta(), Session(started=now()))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(RunError, match=r"holds no run: thesis\.tex"):
        write(tmp_path)
    with pytest.raises(RunError, match="there is no run here"):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="does not exist"):
        Run.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not the description of a run"),
        ('{"geneb_type": "store", "geneb_version": 1}', "describes a 'store'"),
        ('{"geneb_type": "run", "geneb_version": 99}', "version 99"),
        ('{"geneb_type": "run", "geneb_version": 1}', "key suite"),
    ],
)
def test_a_damaged_description_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=words):
        Run.open(tmp_path)


def test_unknown_keys_of_a_newer_minor_format_survive(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    content["colour"] = "green"
    path.write_text(json.dumps(content))
    write(tmp_path, "b")
    assert json.loads(path.read_text())["colour"] == "green"


def test_old_records_are_filled_and_unknown_columns_kept(tmp_path: Path) -> None:
    table = to_table(records("a")).drop_columns(["num_ties", "message"])
    table = table.append_column("colour", pa.array(["red", "blue"]))
    pq.write_table(table, tmp_path / "old.parquet")
    read = read_table(tmp_path / "old.parquet")
    assert read.column_names == [*COLUMNS, "colour"]
    assert read["num_ties"].null_count == 2
    assert read["colour"].to_pylist() == ["red", "blue"]


def test_foreign_newer_and_damaged_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    table = to_table(records("a"))
    for metadata, words in [
        ({"geneb_type": "store", "geneb_version": "1"}, "no records file"),
        ({"geneb_type": "records", "geneb_version": "9"}, "version 9"),
    ]:
        pq.write_table(table.replace_schema_metadata(metadata), path)
        with pytest.raises(RunError, match=words):
            read_table(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="cannot be read"):
        read_table(path)


def test_every_column_is_documented_and_missing_values_are_null() -> None:
    table = to_table([Record(**{**vars(records("a")[0]), "mcc": float("nan"), "objective": float("inf")})])
    assert set(COLUMNS) == set(vars(records("a")[0]))
    assert all(field.metadata[b"description"] for field in table.schema)
    assert table["mcc"].null_count == table["objective"].null_count == 1


def test_the_command_is_kept_without_paths_of_the_machine(tmp_path: Path) -> None:
    typed = ["probe", str(tmp_path / "s.zarr"), f"--out={tmp_path}/run", "--tasks", "a*", "../x/store", "~/y"]
    assert without_paths(["run", f"hf:{tmp_path}/model,pooling=cls", f"m:C,path={tmp_path}/w.pt", "kmer:4"]) == [
        "run",
        "hf:model,pooling=cls",
        "m:C,path=w.pt",
        "kmer:4",
    ]
    assert without_paths(typed) == ["probe", "s.zarr", "--out=run", "--tasks", "a*", "store", "y"]


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(RunError, match="Permission denied"):
        write(tmp_path)


def test_records_that_were_changed_are_not_shown(tmp_path: Path) -> None:
    write(tmp_path / "run")
    file = tmp_path / "run" / "records.parquet"
    table = read_table(file)
    at = table.column_names.index("mcc")
    pq.write_table(table.set_column(at, table.schema.field(at), [[0.99] * len(table)]), file)
    with pytest.raises(RunError, match="not those that this run wrote"):
        Run.open(tmp_path / "run")
    with pytest.raises(RunError, match="not those that this run wrote"):
        write(tmp_path / "run")
    file.unlink()
    with pytest.raises(RunError, match="missing"):
        Run.open(tmp_path / "run")
    write(tmp_path / "run")
    assert Run.open(tmp_path / "run").records["mcc"].to_pylist() == [0.5, 0.5]
