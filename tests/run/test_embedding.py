"""Embedding a suite into a store: dedupe, resuming, bad tasks, bad encoders, and the commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.cli.main import main
from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.errors import DataError, EncoderError, ExitCode, StoreError, UnknownNameError, UsageError
from geneb_jax.run.embedding import embed, manifest_of
from geneb_jax.run.embedding_reuse import COMPARED
from geneb_jax.store import open_store
from geneb_jax.task import load_suite


def write_task(folder: Path, task_id: str, train: list[str], test: list[str]) -> None:
    task = folder / "tasks" / task_id
    task.mkdir(parents=True)
    for name, sequences in (("train", train), ("test", test)):
        rows = [f"{s},{i % 2}" for i, s in enumerate(sequences)]
        (task / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")


def random_sequences(count: int, low: int, high: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), rng.integers(low, high))) for _ in range(count)]


@pytest.fixture
def suites(tmp_path: Path) -> tuple[Path, Path]:
    """Two suites that share 60 sequences; the first holds 20 of them twice."""
    a, b, c = (random_sequences(60, 20, 50, seed) for seed in (1, 2, 3))
    one, two = tmp_path / "one", tmp_path / "two"
    write_task(one, "first", a, b[:20])
    write_task(one, "second", b, a[:20])
    write_task(two, "third", c, b)
    return one, two


class Spy:
    """A real encoder that remembers what it was asked, and whose answers depend on the whole list."""

    def __init__(self, spec: str = "kmer:2", shift: float = 2e-8) -> None:
        self.shift = shift
        self.inner = load_encoder(spec)
        self.calls: list[list[str]] = []
        self.die_after: int | None = None

    @property
    def info(self) -> EncoderInfo:
        return self.inner.info

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        if self.die_after is not None and len(self.calls) >= self.die_after:
            raise KeyboardInterrupt
        self.calls.append(list(sequences))
        # a fingerprint of the batch, to see whether resuming cuts the same batches; within what may differ
        return np.asarray(self.inner.encode(sequences)) + np.float32(self.shift * len(sequences))


def test_every_distinct_sequence_is_embedded_once_over_tasks_and_suites(suites, tmp_path):
    store = tmp_path / "s.zarr"
    encoder = Spy()
    first = embed(encoder, load_suite(str(suites[0])), store, progress=False, check=False)
    assert (first.total, first.distinct, first.embedded_now, first.saved_by_dedupe) == (160, 120, 120, 40)
    second = embed(encoder, load_suite(str(suites[1])), store, progress=False, check=False)
    assert (second.total, second.distinct, second.embedded_now, second.reused) == (120, 120, 60, 60)
    asked = [s for call in encoder.calls for s in call]
    assert len(set(asked)) == 180
    assert len(asked) == 180 + COMPARED
    element = open_store(store).element(manifest_of(encoder.info))
    assert element.tasks() == ["first", "second", "third"]
    assert element.verify() == []
    np.testing.assert_array_equal(element.split("third", "test").rows, element.split("second", "train").rows)
    assert first.exit_code == ExitCode.DONE
    assert first.digest == encoder.info.digest == element.manifest.digest


def test_vectors_and_labels_are_those_of_the_sequences(suites, tmp_path):
    encoder = load_encoder("kmer:3")
    suite = load_suite(str(suites[0]))
    embed(encoder, suite, tmp_path / "s.zarr", progress=False)
    element = open_store(tmp_path / "s.zarr").element(manifest_of(encoder.info))
    for name in ("first", "second"):
        for part, split in suite.load(name).splits.items():
            index = element.split(name, part)
            np.testing.assert_array_equal(element.read(index.rows), encoder.encode(split.sequences))
            np.testing.assert_array_equal(index.labels, split.labels)
            assert index.data_digest == split.digest


def test_longest_first_and_tasks_of_one_length_lie_together(tmp_path):
    short, long = random_sequences(9, 10, 11, 1), random_sequences(7, 30, 31, 2)
    write_task(tmp_path / "s", "a", short[:6], short[6:])
    write_task(tmp_path / "s", "b", long[:4], long[4:])
    encoder = load_encoder("kmer:2")
    embed(encoder, load_suite(str(tmp_path / "s")), tmp_path / "s.zarr", progress=False)
    element = open_store(tmp_path / "s.zarr").element(manifest_of(encoder.info))
    np.testing.assert_array_equal(element.split("b", "train").rows, range(4))
    np.testing.assert_array_equal(element.split("a", "train").rows, range(7, 13))


@pytest.mark.parametrize("die_after", [0, 1, 3, 5])
def test_an_interrupted_run_resumes_with_the_same_batches(suites, tmp_path, die_after):
    suite = load_suite(str(suites[0]))
    whole, resumed = Spy(), Spy()
    embed(whole, suite, tmp_path / "whole.zarr", progress=False, check=False, chunk_rows=16)
    resumed.die_after = die_after
    with pytest.raises(KeyboardInterrupt):
        embed(resumed, suite, tmp_path / "resumed.zarr", progress=False, check=False, chunk_rows=16)
    assert open_store(tmp_path / "resumed.zarr").verify() == []
    resumed.die_after = None
    with pytest.raises(UsageError, match="--chunk-rows has no effect"):
        embed(resumed, suite, tmp_path / "resumed.zarr", progress=False, check=False, chunk_rows=999)
    report = embed(resumed, suite, tmp_path / "resumed.zarr", progress=False, check=False)
    assert report.reused == 16 * die_after
    if die_after:
        assert len(resumed.calls.pop(die_after)) == COMPARED
    assert resumed.calls == whole.calls
    a, b = (open_store(tmp_path / f"{n}.zarr").elements()[0] for n in ("whole", "resumed"))
    assert a.read().tobytes() == b.read().tobytes()


def test_one_bad_task_is_reported_and_the_others_go_on(suites, tmp_path):
    bad = suites[0] / "tasks" / "first" / "test.csv"
    bad.write_text("text,label\nACGT,1\n,0\n")
    encoder = load_encoder("kmer:2")
    report = embed(encoder, load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False)
    assert [name for name, _ in report.failed] == ["first"]
    assert isinstance(report.failed[0][1], DataError)
    assert report.tasks == ("second",)
    assert report.exit_code == ExitCode.SOME_FAILED
    bad.write_text("text,label\nACGT,1\nAAAA,0\n")
    mended = embed(encoder, load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False)
    assert mended.tasks == ("first", "second")
    assert mended.embedded_now == 42  # the 40 that only the bad task holds, and 2 new ones
    assert mended.exit_code == ExitCode.DONE


def test_when_no_task_can_be_read_the_call_fails(suites, tmp_path):
    for path in suites[1].rglob("train.csv"):
        path.write_text("")
    with pytest.raises(DataError, match="task third cannot be read"):
        embed(load_encoder("kmer:2"), load_suite(str(suites[1])), tmp_path / "s.zarr", progress=False)
    with pytest.raises(UnknownNameError, match="third"):
        embed(load_encoder("kmer:2"), load_suite(str(suites[1])), tmp_path / "s.zarr", tasks=["thrid"])


class Faulty(Spy):
    """NaN for sequences that start with a given letter, or vectors of a wrong width."""

    def __init__(self, start: str = "", width: int | None = None) -> None:
        super().__init__()
        self.start, self.width = start, width

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        vectors = np.array(self.inner.encode(sequences))
        if self.start:
            vectors[[s.startswith(self.start) for s in sequences]] = np.nan
        return vectors[:, : self.width]


def test_not_a_number_spoils_only_the_tasks_it_is_in(tmp_path):
    sound = ["A" + s for s in random_sequences(20, 20, 30, 1)]
    write_task(tmp_path / "s", "good", sound[:10], sound[10:15])
    write_task(tmp_path / "s", "bad", sound[5:], ["GTTTACC", "CATTA"])
    report = embed(Faulty("G"), load_suite(str(tmp_path / "s")), tmp_path / "s.zarr", progress=False, check=False)
    assert (report.non_finite, report.bad_tasks) == (1, ("bad",))
    assert report.exit_code == ExitCode.SOME_FAILED
    assert "1 vectors hold NaN or infinities" in report.warnings[-1]
    element = open_store(tmp_path / "s.zarr").elements()[0]
    np.testing.assert_array_equal(element.non_finite_rows, element.lookup(["GTTTACC"]))
    again = embed(Faulty("G"), load_suite(str(tmp_path / "s")), tmp_path / "s.zarr", progress=False, check=False)
    assert (again.embedded_now, again.bad_tasks) == (0, ("bad",))


def test_an_encoder_that_fails_its_checks_leaves_no_rows(suites, tmp_path):
    for encoder in (Faulty("A"), Faulty(width=3), Spy(shift=1)):
        with pytest.raises(EncoderError, match="fails its checks"):
            embed(encoder, load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False)
    with pytest.raises(EncoderError, match=r"shape \(120, 3\) for 120 sequences, where \(120, 16\)"):
        embed(Faulty(width=3), load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False, check=False)
    assert [e.num_rows for e in open_store(tmp_path / "s.zarr").elements()] == [0]


def test_changed_data_of_a_task_replace_its_index_with_a_warning(suites, tmp_path):
    encoder = load_encoder("kmer:2")
    embed(encoder, load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False)
    (suites[0] / "tasks" / "first" / "test.csv").write_text("text,label\nGGGG,1\nAAAA,0\n")
    report = embed(encoder, load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False)
    assert ["first: the store held other data" in w for w in report.warnings] == [True]
    element = open_store(tmp_path / "s.zarr").elements()[0]
    assert element.num_rows == 122
    np.testing.assert_array_equal(element.split("first", "test").rows, element.lookup(["GGGG", "AAAA"]))


def test_too_small_a_disk_is_told_before_any_work(suites, tmp_path, monkeypatch):
    monkeypatch.setattr("geneb_jax.run.embedding.free_bytes", lambda path: 1000)
    encoder = Spy()
    with pytest.raises(StoreError, match=r"7\.7 kB are to be written and 1\.0 kB are free"):
        embed(encoder, load_suite(str(suites[0])), tmp_path / "s.zarr", progress=False)
    assert encoder.calls == []


def _run(*argv: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_the_commands(suites, tmp_path, capsys):
    store = str(tmp_path / "s.zarr")
    call = ("embed", "kmer:2", "onehot:20", "--suite", str(suites[0]), "--store", store)
    assert _run(*call) == 0
    out, err = capsys.readouterr()
    assert "kmer:2" in out
    assert "onehot" in out
    assert "120" in out
    assert "40 repeats need no work" in err
    assert _run("verify", store) == 0
    assert "is sound" in capsys.readouterr().out
    assert _run("verify", store, "--json") == 0
    listing = json.loads(capsys.readouterr().out)
    assert [e["rows"] for e in listing["elements"]] == [120, 120]
    chunk = next(Path(store).glob("kmer*/embeddings/c/0/0"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert _run("verify", store) == 3
    out = capsys.readouterr().out
    assert "fault: a chunk is damaged" in out
    assert "embeddings/c/0/0" in out
    assert "is damaged" in out
    assert _run("verify", store, "--json") == 3
    assert not json.loads(capsys.readouterr().out)["sound"]


def test_bad_calls_of_the_commands(suites, tmp_path, capsys):
    store = str(tmp_path / "s.zarr")
    suite = str(suites[0])
    assert _run("verify", store) == 3
    assert "there is no store here" in capsys.readouterr().err
    assert _run("embed", "kmer:2", "--suite", suite, "--store", suite) == 3
    assert "not empty and is no store" in capsys.readouterr().err
    assert _run("embed", "kmre:2", "--suite", suite, "--store", store) == 3
    assert "did you mean kmer" in capsys.readouterr().err
    assert _run("embed", "kmer:2", "--suite", suite, "--store", store, "--tasks", "frist") == 3
    assert "did you mean first" in capsys.readouterr().err
    assert _run("embed", "kmer:2", "--store", store) == 2
    (suites[0] / "tasks" / "first" / "test.csv").unlink()
    assert _run("embed", "kmer:2", "--suite", suite, "--store", store) == 4
    assert "failed: first" in capsys.readouterr().err


def test_real_tasks(shared_data, tmp_path):
    suite = load_suite("geneb", data=shared_data / "geneb").select(["iDHS*", "*B_amyloliquefaciens"])
    encoder = load_encoder("kmer:4")
    report = embed(encoder, suite, tmp_path / "s.zarr", progress=False)
    assert not report.failed
    element = open_store(tmp_path / "s.zarr").element(manifest_of(encoder.info))
    assert element.verify() == []
    for info in suite.tasks:
        for name, split in suite.load(info.id).splits.items():
            index = element.split(info.id, name)
            np.testing.assert_array_equal(element.read(index.rows), encoder.encode(split.sequences))
