"""Gains over the floor against the differences they are made of; scores without leaked rows against scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import matthews_corrcoef

from geneb_jax.cli.bootstrap import command as bootstrap
from geneb_jax.cli.leakage import command
from geneb_jax.cli.resampling import read_groups
from geneb_jax.errors import RunError
from geneb_jax.run import Run
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.compare import compare
from geneb_jax.stats.gain import gains_over_floor
from geneb_jax.stats.intervals import holm
from geneb_jax.stats.leakage import rescored, without_rows
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.task import load_suite, reverse_complement
from tests.run.helpers import sequence, write_csv


def series(name: str, probe: str = "p") -> Series:
    return Series(name, f"digest of {name}", "logistic", probe, 1.0, "jax", "float32")


def task(chances: dict[Series, float], *, name: str = "t", m: int = 300, k: int = 2, seed: int = 0) -> TaskSample:
    """Series that are right with the given chances, else guess."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, m)
    right = rng.random((len(chances), m)) < np.array(list(chances.values()))[:, None]
    predicted = np.where(right, truth, rng.integers(0, k, (len(chances), m)))
    units = tuple(Unit(one, "full", (i,)) for i, one in enumerate(chances))
    return TaskSample(name, "c", k, truth, predicted, units)


def test_a_gain_is_the_paired_difference_to_the_best_floor_of_the_same_probe() -> None:
    good, bad, low, high, other = (series(s) for s in ("good", "bad", "kmer:2", "kmer:4", "other"))
    good_2, low_2 = series("good", "q"), series("kmer:2", "q")
    chances = {good: 0.9, bad: 0.1, low: 0.3, high: 0.6, other: 0.6, good_2: 0.8, low_2: 0.5}
    found = compare([task(chances), task(chances, name="u", seed=1)], resamples=500)
    floors = {low.encoder_digest, high.encoder_digest}
    gains = [g for g in gains_over_floor(found, floors) if g.scope == "macro"]
    assert [(g.series, g.floor) for g in gains if g.series.probe_digest == "q"] == [(good_2, low_2)]
    by_series = {g.series: g for g in gains}
    assert set(by_series) == {good, bad, other, good_2}
    assert {g.floor for g in gains if g.series.probe_digest == "p"} == {high}
    score = {r.series: r.estimate for r in found.ranks if r.scope == "macro"}
    for gain in gains:
        assert gain.estimate == pytest.approx(score[gain.series] - score[gain.floor], abs=1e-12)
        assert gain.low <= gain.estimate <= gain.high
    # below the floor the signs turn, and the ends of the interval change places
    pair = next(d for d in found.differences if (d.scope, d.first, d.second) == ("macro", high, bad))
    assert (by_series[bad].low, by_series[bad].high) == (-pair.high, -pair.low)
    assert by_series[good].low > 0 > by_series[bad].high
    assert [g.p_holm for g in gains] == holm(np.array([g.p for g in gains])).tolist()
    assert gains_over_floor(found, set()) == []


def test_scores_without_leaked_rows_are_sklearns_on_the_rows_that_are_left() -> None:
    one, two = series("one"), series("two")
    samples = [task({one: 0.8, two: 0.4}, k=3), task({one: 0.5, two: 0.7}, name="u", seed=3), task({one: 1}, name="v")]
    rng = np.random.default_rng(0)
    leaked = {"t": rng.random(300) < 0.3, "u": samples[1].truth == 1}
    found = {(r.task, r.series): r for r in rescored(samples, leaked, resamples=200)}
    for i, who in enumerate((one, two)):
        keep = ~leaked["t"]
        row = found["t", who]
        assert row.score == pytest.approx(matthews_corrcoef(samples[0].truth, samples[0].predicted[i]), abs=1e-12)
        expected = matthews_corrcoef(samples[0].truth[keep], samples[0].predicted[i][keep])
        assert row.without == pytest.approx(expected, abs=1e-12)
        assert (row.num_rows, row.num_kept) == (300, keep.sum())
        # of u a single class is left: no score, and no part of the mean
        assert found["u", who].without is None
        assert found["macro", who].without == row.without
    assert not any(name == "v" for name, _ in found)
    assert (found["u", one].low, found["u", one].high) == (None, None)
    with pytest.raises(RunError, match="leaks for 3 rows"):
        without_rows(samples[0], np.zeros(3, bool))


def test_the_change_of_a_score_is_resampled_together_with_it() -> None:
    one = series("one")
    sample, leaked = task({one: 0.6}, m=200), np.arange(200) < 60
    (row, _) = rescored([sample], {"t": leaked}, resamples=4000)
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(1500):
        rows = rng.integers(0, 200, 200)
        kept = rows[~leaked[rows]]
        # of two classes MCC is Pearson's correlation
        both = [np.corrcoef(sample.truth[own], sample.predicted[0, own])[0, 1] for own in (rows, kept)]
        changes.append(both[1] - both[0])
    low, high = np.quantile(changes, [0.025, 0.975])
    assert (row.low, row.high) == (pytest.approx(low, abs=0.012), pytest.approx(high, abs=0.012))
    # where nothing leaks nothing changes, in any resample
    (row, macro) = rescored([sample], {"t": np.zeros(200, bool)}, resamples=100)
    assert (row.low, row.high, macro.low, macro.high) == (0, 0, 0, 0)


def test_geneb_leakage_finds_planted_leaks_and_writes_groups(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    train = [(sequence(i % 2, rng, 60), i % 2) for i in range(60)]
    test = [(sequence(i % 2, rng, 60), i % 2) for i in range(30)]
    test[:4] = [(train[0][0], 0), (reverse_complement(train[1][0]), 1), (train[2][0][5:], 0), (train[2][0][4:], 1)]
    for split, rows in (("train", train), ("test", test)):
        write_csv(tmp_path / "suite" / "tasks" / "words" / f"{split}.csv", rows)
    suite = load_suite(tmp_path / "suite")
    embed_and_probe(["kmer:2"], suite, tmp_path / "run", regimes=("full",), progress=False)
    arguments = [str(tmp_path / "run"), "--suite", str(tmp_path / "suite"), "--json"]
    groups = tmp_path / "groups.csv"
    result = CliRunner().invoke(command, [*arguments, "--write-groups", str(groups)], standalone_mode=False)
    assert result.exception is None, result.output
    found = json.loads(result.stdout)
    assert found["tasks"]["words"] == {"rows": 30, "same": 1, "mirror": 1, "near": 2, "leaked": 4}
    run = Run.open(tmp_path / "run")
    held = run.predictions(run.records["record_id"][0].as_py())
    assert held is not None
    row = found["scores"][0]
    assert row["without"] == pytest.approx(matthews_corrcoef(held.true[4:], held.predicted[4:]), abs=1e-12)
    assert row["low"] <= row["without"] - row["score"] <= row["high"]
    numbers = read_groups(groups)["words"]
    assert numbers[2] == numbers[3]
    assert len(set(numbers.tolist())) == 29
    alone = [str(tmp_path / "run"), "--json"]
    # the rules of --groups are those groups, with no file between
    by = {
        rule: json.loads(
            CliRunner()
            # a file of groups needs no sequences, and --suite would be refused
            .invoke(
                bootstrap, [*(alone if rule == groups else arguments), "--groups", str(rule)], standalone_mode=False
            )
            .stdout
        )[0]
        for rule in (groups, "near", "duplicates")
    }
    assert by["near"] == by[groups]
    assert (by["near"]["num_rows"], by["duplicates"]["num_rows"]) == (29, 30)
    plain = json.loads(CliRunner().invoke(command, [*arguments, "--no-near"], standalone_mode=False).stdout)
    assert plain["tasks"]["words"]["leaked"] == 2
    # other data under the same name are refused
    write_csv(tmp_path / "suite" / "tasks" / "words" / "test.csv", test[1:])
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(result.exception, RunError)
    assert "not those that the run was made from" in str(result.exception)
