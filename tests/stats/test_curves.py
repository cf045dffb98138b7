"""Learning curves and the stability of rankings, against plain formulas and full enumeration."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import kendalltau, rankdata
from sklearn.metrics import matthews_corrcoef

from geneb_jax.cli.curves import command
from geneb_jax.run import Run
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.curves import crossing, learning_curves
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.stats.stability import Agreement, enough_draws, ranking_agreement
from geneb_jax.stats.uncertainty import score_intervals
from geneb_jax.task import load_suite
from tests.run.helpers import sequence, write_csv

DRAWS = 6


def series(name: str) -> Series:
    return Series(name, f"digest of {name}", "logistic", "p", 1.0, "jax", "float32")


def few_shot_task(name: str, category: str, *, seed: int, m: int = 200, draws: int = DRAWS) -> TaskSample:
    """Three encoders that get better from 1 to 8 shots, by draws that are more or less lucky, and on full data."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, m)
    predicted: list[np.ndarray] = []
    units = []
    for i in range(3):
        for regime, chance in (("1shot", 0.2), ("8shot", 0.5), ("full", 0.8)):
            own = 1 if regime == "full" else draws
            chances = chance + 0.04 * i + (rng.normal(0, 0.05, own) if own > 1 else np.zeros(1))
            right = rng.random((own, m)) < chances[:, None]
            units.append(Unit(series(f"e{i}"), regime, tuple(range(len(predicted), len(predicted) + own))))
            predicted += list(np.where(right, truth, rng.integers(0, 2, (own, m))))
    return TaskSample(name, category, 2, truth, np.stack(predicted), tuple(units))


SAMPLES = [few_shot_task("t", "a", seed=0), few_shot_task("u", "a", seed=1), few_shot_task("v", "b", seed=2)]


def test_crossing_is_where_the_interpolated_curve_first_reaches_the_score() -> None:
    shots, curve = [1, 5, 20, 100], np.array([0.1, 0.3, 0.5, 0.6])
    for target in (0.2, 0.3, 0.45, 0.6):
        assert crossing(curve, shots, target) == pytest.approx(np.exp(np.interp(target, curve, np.log(shots))))
    dips = np.array([[0.1, 0.4, 0.2, 0.6], [0.3, 0.2, 0.1, 0.6], [0.1, 0.1, 0.1, 0.1]])
    found = crossing(dips, shots, 0.3)
    assert 1 < found[0] < 5
    assert found[1:].tolist() == [1, np.inf]


def test_points_are_the_usual_intervals_and_their_variance_is_split() -> None:
    found = learning_curves(SAMPLES, scopes=("task", "macro"), source="rows", resamples=1000)
    points = {(p.score.name, p.score.series.encoder, p.shots): p for p in found.points}
    assert [p.shots for p in found.points if (p.score.name, p.score.series) == ("macro", series("e0"))] == [1, 8, None]
    usual = {(s.name, s.series.encoder, s.regime): s for s in score_intervals(SAMPLES, source="rows", resamples=1000)}
    assert points["macro", "e1", 8].score == usual["macro", "e1", "8shot"]
    one = points["u", "e2", 8]
    places = next(unit.draws for unit in SAMPLES[1].units if unit.name == (series("e2"), "8shot"))
    own = [matthews_corrcoef(SAMPLES[1].truth, SAMPLES[1].predicted[place]) for place in places]
    assert one.sd_draw == pytest.approx(np.std(own, ddof=1))
    assert one.se_draws == pytest.approx(np.std(own, ddof=1) / np.sqrt(DRAWS))
    # rows alone were drawn anew, so the bootstrap's standard error is theirs
    assert one.se_rows == pytest.approx(one.score.se, rel=0.1)
    # of the rows' part, what every draw makes of them by itself goes away with more draws
    assert one.sd_draw**2 / 5 / (one.sd_draw**2 / 5 + one.se_rows**2) < one.usual_share < 1
    # tasks have different rows, so their variances add with the squares of their weights; they share the draws' seeds
    weights = {"t": 0.25, "u": 0.25, "v": 0.5}
    expected = sum((weights[name] * points[name, "e0", 1].se_rows) ** 2 for name in weights)
    assert points["macro", "e0", 1].se_rows ** 2 == pytest.approx(expected)
    by_seed = np.zeros(DRAWS)
    for sample in SAMPLES:
        places = next(unit.draws for unit in sample.units if unit.name == (series("e0"), "1shot"))
        by_seed += weights[sample.task] * np.array(
            [matthews_corrcoef(sample.truth, sample.predicted[place]) for place in places]
        )
    assert points["macro", "e0", 1].sd_draw == pytest.approx(np.std(by_seed, ddof=1))
    assert (points["macro", "e0", None].sd_draw, points["macro", "e0", None].usual_share) == (None, None)


def test_rows_needed_for_a_score() -> None:
    found = learning_curves(SAMPLES, scopes=("macro",), targets=(0.0, 0.4, 0.9), resamples=400)
    score = {(p.score.series, p.shots): p.score.estimate for p in found.points}
    for reach in found.reaches:
        ends = score[reach.series, 1], score[reach.series, 8]
        if reach.target == 0.4:
            assert reach.shots == pytest.approx(8 ** ((0.4 - ends[0]) / (ends[1] - ends[0])))
            assert reach.low is not None
            assert 1 < reach.low < reach.shots
            assert reach.high is None or reach.high > reach.shots
        else:
            expected = 1 if reach.target == 0 else None
            assert (reach.shots, reach.low, reach.high) == (expected, expected, expected)
        assert reach.full == (score[reach.series, None] >= reach.target)


def test_agreement_of_few_draws_with_the_others_is_that_of_all_choices() -> None:
    table = np.zeros((DRAWS, 3))
    for sample, weight in zip(SAMPLES, (0.25, 0.25, 0.5), strict=True):
        for i in range(3):
            places = next(unit.draws for unit in sample.units if unit.name == (series(f"e{i}"), "8shot"))
            table[:, i] += weight * np.array([matthews_corrcoef(sample.truth, sample.predicted[p]) for p in places])
    found = {a.draws: a for a in ranking_agreement(SAMPLES, scopes=("macro",)) if a.regime == "8shot"}
    assert sorted(found) == [1, 2]
    for d, one in found.items():
        tau, best, order = [], [], []
        for chosen in combinations(range(DRAWS), d):
            few, rest = table[list(chosen)].mean(axis=0), np.delete(table, chosen, axis=0).mean(axis=0)
            tau.append(kendalltau(few, rest).statistic)
            best.append(few.argmax() == rest.argmax())
            order.append((rankdata(few) == rankdata(rest)).all())
        assert (one.others, one.num_series) == (DRAWS - d, 3)
        assert one.kendall == pytest.approx(np.mean(tau), abs=0.05)
        assert one.best == pytest.approx(np.mean(best), abs=0.05)
        assert one.order == pytest.approx(np.mean(order), abs=0.05)


def test_a_series_that_lost_draws_takes_its_task_out_of_the_means() -> None:
    cut = SAMPLES[2].units[0]
    lame = TaskSample("w", "b", 2, SAMPLES[2].truth, SAMPLES[2].predicted,
                      (Unit(cut.series, cut.regime, cut.draws[:-1]), *SAMPLES[2].units[1:]))  # fmt: skip
    with_it, without = (ranking_agreement(some, scopes=("macro",)) for some in ([*SAMPLES[:2], lame], SAMPLES[:2]))
    assert [a for a in with_it if a.regime == "1shot"] == [a for a in without if a.regime == "1shot"]
    assert [a for a in with_it if a.regime == "8shot"] != [a for a in without if a.regime == "8shot"]


def test_enough_draws_are_those_from_which_on_the_chance_holds() -> None:
    chances = {1: (0.96, 0.3), 2: (0.9, 0.5), 5: (0.97, 0.8), 10: (0.99, 0.9)}
    rows = [Agreement("macro", "macro", "1shot", 4, d, 20 - d, 0.5, *both) for d, both in chances.items()]
    (found,) = enough_draws(rows)
    assert (found.best, found.order, found.most) == (5, None, 10)
    assert enough_draws(rows, 0.8)[0].order == 5


def test_geneb_curves_reads_a_run_with_several_numbers_of_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 40)):
        rows = [(sequence(i % 2, rng, 60), i % 2) for i in range(count)]
        write_csv(tmp_path / "suite" / "tasks" / "words" / f"{split}.csv", rows)
    encoders, regimes = ["kmer:2", "composition"], ("full", "4shot", "1shot")
    embed_and_probe(
        encoders, load_suite(tmp_path / "suite"), tmp_path / "run", regimes=regimes, draws=4, progress=False
    )  # fmt: skip
    arguments = [str(tmp_path / "run"), "--resamples", "200", "--reach", "-1,2", "--scope", "macro,task"]
    found = json.loads(CliRunner().invoke(command, [*arguments, "--json"], standalone_mode=False).stdout)
    points = {(p["score"]["scope"], p["score"]["series"]["encoder"], p["shots"]): p for p in found["points"]}
    run = Run.open(tmp_path / "run").records.to_pylist()
    for encoder in encoders:
        for shots, regime in ((1, "1shot"), (4, "4shot"), (None, "full")):
            own = [row["mcc"] for row in run if (row["encoder"], row["regime"]) == (encoder, regime)]
            assert points["macro", encoder, shots]["score"]["estimate"] == pytest.approx(np.mean(own))
            assert points["task", encoder, shots]["num_draws"] == len(own)
    assert {(r["target"], r["shots"]) for r in found["reaches"]} == {(-1, 1), (2, None)}
    assert {(a["regime"], a["draws"], a["others"]) for a in found["agreements"]} == {
        (regime, d, 4 - d) for regime in ("1shot", "4shot") for d in (1, 2)
    }
    shown = CliRunner().invoke(command, arguments, standalone_mode=False).output
    assert f"{points['macro', 'kmer:2', 4]['score']['estimate']:.3f}" in shown
    assert "Kendall's tau" in shown
    assert ">4" in shown
