"""Several views in one pass into one store, the three stages of a run, and what is measured on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.cli.main import main
from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.views import staged
from geneb_jax.errors import EncoderError, ExitCode, StoreError
from geneb_jax.run.embedding import embed, embed_views, manifest_of
from geneb_jax.run.embedding_pipeline import Pipeline, cut_blocks
from geneb_jax.run.embedding_reuse import COMPARED
from geneb_jax.run.plan import encoder_meta
from geneb_jax.store import EmbeddingStore, open_store
from geneb_jax.task import Suite, load_suite

RNG = np.random.default_rng(5)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), n)) for n in RNG.integers(20, 60, 90)]


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """90 distinct sequences in 120 places."""
    task = tmp_path / "suite" / "tasks" / "only"
    task.mkdir(parents=True)
    for name, sequences in (("train", SEQUENCES), ("test", SEQUENCES[:30])):
        rows = [f"{s},{i % 2}" for i, s in enumerate(sequences)]
        (task / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return load_suite(str(tmp_path / "suite"))


class Pair:
    """Words of one and of two letters, as two views; the second is scaled."""

    thymine = "T"

    def __init__(self, scale: float = 1.0) -> None:
        self.parts = [load_encoder("kmer:1"), load_encoder("kmer:2")]
        self.scale, self.calls = scale, []
        self.views: tuple[EncoderInfo, ...] = tuple(part.info for part in self.parts)
        self.count_letters = self.parts[1].count_letters

    def encode_views(self, sequences: Sequence[str]) -> list[np.ndarray]:
        self.calls.append(list(sequences))
        one, two = (part.encode(sequences) for part in self.parts)
        return [one, two * np.float32(self.scale)]


def elements(path: Path) -> list[EmbeddingStore]:
    return sorted(open_store(path).elements(), key=lambda element: element.width)


def files(path: Path) -> dict[str, bytes]:
    found = (p for p in sorted(path.rglob("*")) if p.is_file() and p.name != "writer.lock")
    return {str(p.relative_to(path)): p.read_bytes() for p in found}


def test_each_view_is_the_element_of_its_encoder_alone(suite, tmp_path):
    pair = Pair()
    done = embed_views(pair, suite, tmp_path / "pair.zarr", progress=False, check=False, chunk_rows=16)
    for part in pair.parts:
        embed(part, suite, tmp_path / "alone.zarr", progress=False, chunk_rows=16)
    assert files(tmp_path / "pair.zarr") == files(tmp_path / "alone.zarr")
    asked = [s for call in pair.calls for s in call]
    assert len(asked) == len(set(asked)) == 90
    assert [(r.embedded_now, r.saved_by_dedupe, r.views) for r in done.reports] == [(90, 30, 2)] * 2
    assert set(done.reports[0].seconds) == {"read", "check", "tokenize", "encode", "write"}
    assert done.reports[0].behind["write"] > 0
    assert done.exit_code == ExitCode.DONE
    again = embed_views(pair, suite, tmp_path / "pair.zarr", progress=False)
    assert [r.embedded_now for r in again.reports] == [0, 0]
    # nothing to do, so nothing is checked but whether the stored vectors are still those of the encoder
    assert len([s for call in pair.calls for s in call]) == 90 + COMPARED


@pytest.mark.parametrize("dies_at", range(1, 12, 3))
def test_a_stop_between_the_commits_of_two_views_loses_a_block_of_one(suite, tmp_path, monkeypatch, dies_at):
    embed_views(Pair(), suite, tmp_path / "whole.zarr", progress=False, check=False, chunk_rows=16)
    append, calls = EmbeddingStore.append, []

    def dies(self, *args):
        calls.append(self.key)
        if len(calls) > dies_at:
            raise KeyboardInterrupt  # in the writing thread, where a signal never comes
        append(self, *args)

    monkeypatch.setattr(EmbeddingStore, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        embed_views(Pair(), suite, tmp_path / "s.zarr", progress=False, check=False, chunk_rows=16)
    monkeypatch.undo()
    rows = [element.num_rows for element in elements(tmp_path / "s.zarr")]
    assert sum(rows) == 16 * dies_at
    assert max(rows) - min(rows) == 16 * (dies_at % 2)
    pair = Pair()
    done = embed_views(pair, suite, tmp_path / "s.zarr", progress=False, check=False)
    assert [r.reused for r in done.reports] == rows
    assert sum(map(len, pair.calls)) == 90 - min(rows) + COMPARED
    assert files(tmp_path / "s.zarr") == files(tmp_path / "whole.zarr")


def test_views_whose_stores_stand_at_different_rows_each_get_what_they_lack(suite, tmp_path):
    pair = Pair()
    with open_store(tmp_path / "s.zarr", "a") as root:
        first = root.element(manifest_of(pair.views[0]), commit_rows=7)
        first.append(["ACGT", *SEQUENCES[::3]], pair.parts[0].encode(["ACGT", *SEQUENCES[::3]]))
    done = embed_views(pair, suite, tmp_path / "s.zarr", progress=False, chunk_rows=16)
    assert [r.embedded_now for r in done.reports] == [60, 90]
    for element, part in zip(elements(tmp_path / "s.zarr"), pair.parts, strict=True):
        assert element.verify() == []
        np.testing.assert_array_equal(element.read(element.lookup(SEQUENCES)), part.encode(SEQUENCES))


def test_a_view_that_fails_its_checks_is_left_out(suite, tmp_path):
    done = embed_views(Pair(scale=0.0), suite, tmp_path / "s.zarr", progress=False)
    assert [r.encoder for r in done.reports] == ["kmer:1"]
    assert [name for name, _ in done.left_out] == ["kmer:2"]
    assert "not constant" in str(done.left_out[0][1])
    assert done.exit_code == ExitCode.SOME_FAILED
    assert [e.manifest.name for e in elements(tmp_path / "s.zarr")] == ["kmer:1"]


def test_checks_of_several_views_share_the_calls(suite, tmp_path):
    pair = Pair()
    embed_views(pair, suite, tmp_path / "pair.zarr", progress=False)
    single = load_encoder("kmer:1")
    calls = []
    counted = type("Counted", (), {"info": single.info, "encode": lambda s, x: calls.append(1) or single.encode(x)})()
    embed(counted, suite, tmp_path / "single.zarr", progress=False)
    assert len(pair.calls) == len(calls)


@given(st.data())
def test_blocks_end_where_commits_do(data):
    n, commit = data.draw(st.integers(0, 60)), data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    rooms = [data.draw(st.integers(1, rows)) for rows in commit]
    needs = np.array([data.draw(st.lists(st.booleans(), min_size=n, max_size=n)) for _ in commit], bool)
    needs = needs.reshape(len(commit), n)[:, needs.reshape(len(commit), n).any(axis=0)]
    cuts = cut_blocks(needs, rooms, commit)
    assert [c.start for c in cuts] == [0, *(c.stop for c in cuts[:-1])][: len(cuts)]
    assert sum(c.stop - c.start for c in cuts) == needs.shape[1]
    for view, (room, rows) in enumerate(zip(rooms, commit, strict=True)):
        sizes, held = [], 0
        for cut in cuts:
            held += int(needs[view, cut.start : cut.stop].sum())
            if view in cut.flush:
                sizes.append(held)
                held = 0
        total = int(needs[view].sum())
        assert held == 0
        expected = [room, *[rows] * total] if total else []
        assert sizes[:-1] == expected[: len(sizes) - 1]
        assert sum(sizes) == total


class Stages:
    """Notes what each stage was given, and by which thread."""

    def __init__(self) -> None:
        self.prepared, self.computed, self.written, self.threads = [], [], [], {}
        self.most_ahead = self.most_behind = 0

    def prepare(self, block):
        self.threads["prepare"] = threading.current_thread().name
        self.prepared.append(block)
        self.most_ahead = max(self.most_ahead, len(self.prepared) - len(self.computed))
        return block * 10

    def compute(self, block, prepared, check):
        assert prepared == block * 10
        check()
        self.computed.append(block)
        self.most_behind = max(self.most_behind, len(self.computed) - len(self.written))
        return prepared + 1

    def write(self, block, result):
        assert result == block * 10 + 1
        self.threads["write"] = threading.current_thread().name
        time.sleep(0.002)
        self.written.append(block)

    def run(self, n=30):
        Pipeline(self.prepare, self.compute, self.write).run(list(range(n)))


def test_the_stages_overlap_in_order_and_hold_a_few_blocks():
    stages = Stages()
    stages.run()
    assert stages.written == stages.computed == stages.prepared == list(range(30))
    assert len({threading.current_thread().name, *stages.threads.values()}) == 3
    assert stages.most_ahead <= 4
    assert 2 <= stages.most_behind <= 3


@pytest.mark.parametrize("stage", ["prepare", "compute", "write"])
@pytest.mark.parametrize("error", [StoreError("full"), KeyboardInterrupt()])
def test_what_a_stage_raises_comes_out_after_what_was_before_it_is_written(stage, error):
    stages = Stages()
    inner = getattr(stages, stage)

    def fails(block, *rest):
        if block == 7:
            raise error
        return inner(block, *rest)

    setattr(stages, stage, fails)
    before = set(threading.enumerate())
    with pytest.raises(type(error)):
        stages.run()
    assert stages.written == list(range(7))
    if stage == "write":
        assert len(stages.computed) <= 9
    assert set(threading.enumerate()) <= before


class Half:
    """Counts with a rounding error, and their exact twin."""

    def __init__(self, twin: bool = True) -> None:
        self.inner = load_encoder("kmer:2,counts=true")
        self.info = replace(self.inner.info, settings={**self.inner.info.settings, "dtype": "bfloat16"})
        if twin:
            self.in_float32 = lambda: staged(self.inner)

    def encode(self, sequences):
        return self.inner.encode(sequences) * np.float32(1.01)


def test_drift_of_half_precision_is_reported_and_recorded(suite, tmp_path):
    report = embed(Half(), suite, tmp_path / "s.zarr", progress=False)
    assert report.drift is not None
    assert report.drift.sample == 32
    assert report.drift.median == pytest.approx(0.01, rel=1e-3)
    assert report.drift.least_cosine == pytest.approx(1, abs=1e-6)
    (element,) = elements(tmp_path / "s.zarr")
    meta = encoder_meta("s.zarr", element)
    assert meta.measures["drift"]["largest"] == pytest.approx(0.01, rel=1e-3)
    assert element.verify() == []
    embed(Half(), suite, tmp_path / "s.zarr", progress=False)
    assert encoder_meta("s.zarr", elements(tmp_path / "s.zarr")[0]) == meta
    other = embed(Half(twin=False), suite, tmp_path / "t.zarr", progress=False)
    assert other.drift is None
    assert any("drift of bfloat16 is not measured" in warning for warning in other.warnings)
    assert embed(load_encoder("kmer:1"), suite, tmp_path / "t.zarr", progress=False).drift is None


class Tight:
    """A real encoder on a device that holds 600 letters."""

    def __init__(self) -> None:
        self.inner = load_encoder("kmer:2")
        self.info = self.inner.info

    def encode(self, sequences):
        if sum(map(len, sequences)) > 600:
            raise MemoryError
        return self.inner.encode(sequences)


def test_a_run_goes_on_with_smaller_batches(suite, tmp_path):
    report = embed(Tight(), suite, tmp_path / "s.zarr", progress=False, chunk_rows=64)
    assert report.halvings >= 2
    element = elements(tmp_path / "s.zarr")[0]
    np.testing.assert_array_equal(element.read(element.lookup(SEQUENCES)), load_encoder("kmer:2").encode(SEQUENCES))


def test_half_precision_in_the_store_is_an_element_of_its_own(suite, tmp_path):
    for dtype in ("float32", "float16"):
        embed(load_encoder("kmer:2"), suite, tmp_path / "s.zarr", progress=False, stored_as=dtype)
    full, half = sorted(open_store(tmp_path / "s.zarr").elements(), key=lambda e: e.manifest.name)
    assert (full.manifest.dtype, half.manifest.dtype) == ("float32", "float16")
    np.testing.assert_allclose(half.read(), full.read(), rtol=1e-3)


def test_the_command_lists_every_view(suite, tmp_path, capsys, shared_models):
    model = shared_models / "mistral-dna-1m-tf0"
    call = ["embed", f"hf:{model}", "--suite", str(tmp_path / "suite"), "--store", str(tmp_path / "s.zarr")]
    with pytest.raises(SystemExit) as stop:
        main([*call, "--layers", "last,mid,all", "--pooling", "mean", "--pooling", "max"])
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    assert "and 9 more views" in err
    assert out.count("mistral-dna-1m-tf0") == 11  # ten rows, and where the time went
    assert "encode" in out
    listed = {e.manifest.digest: e for e in elements(tmp_path / "s.zarr")}
    assert len(listed) == 10
    alone = load_encoder(f"hf:{model},layer=2,pooling=max")
    element = listed[alone.info.digest]
    np.testing.assert_allclose(
        element.read(element.lookup(SEQUENCES[:20])), alone.encode(SEQUENCES[:20]), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(SystemExit) as stop:
        main([*call, "--layers", "99"])
    assert stop.value.code == ExitCode.USAGE
    assert "no layer '99'" in capsys.readouterr().err


def test_all_views_failing_is_an_error(suite, tmp_path):
    pair = Pair()
    pair.encode_views = lambda sequences: [part.encode(sequences) * 0 for part in pair.parts]
    with pytest.raises(EncoderError, match="not constant"):
        embed_views(pair, suite, tmp_path / "s.zarr", progress=False)
