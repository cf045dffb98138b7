"""The analyses give the paper's figures on the published board, and carry intervals and tests where runs have them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from geneb_jax.cli.boards import run_entries
from geneb_jax.errors import DataError, UsageError
from geneb_jax.published import SIZE_VERSIONS, categories, leaderboard, matched_pairs, models, task_mcc, tasks
from geneb_jax.run import Run
from geneb_jax.run.runs import Runs
from geneb_jax.stats.analysis import ScoreBoard
from geneb_jax.stats.analysis.few_shot import category_drops, few_shot_drop, model_drops, reranks
from geneb_jax.stats.analysis.graph import comparison_graph, read_edges
from geneb_jax.stats.analysis.leads import leads
from geneb_jax.stats.analysis.macro_micro import macro_micro_agreement
from geneb_jax.stats.analysis.pairs import factor_means, pair_deltas
from geneb_jax.stats.analysis.pareto import pareto
from geneb_jax.stats.analysis.reversals import reversal_counts, reversals
from geneb_jax.stats.analysis.sampled import claim_tests
from geneb_jax.stats.analysis.scale import OUTLIERS, scale_correlation, scale_correlations
from geneb_jax.stats.analysis.specialisation import specialisation
from geneb_jax.stats.analysis.tiers import tier_means
from geneb_jax.stats.analysis.variance import places_by_label, variable_tasks
from geneb_jax.stats.analysis.wins import wins
from geneb_jax.stats.compare import compare
from geneb_jax.stats.samples import task_samples

IN_DOMAIN = [one.model for one in models().values() if one.in_domain and one.official]
CATEGORY = {one.id: one.category for one in tasks()}
RESAMPLES = 400


@pytest.fixture(scope="module")
def ours(board_run: Run) -> ScoreBoard:
    sizes = {"strong": 1_000_000, "middling": 100_000_000, "weak": 50_000_000_000}
    entries = run_entries(Runs.of(board_run), sizes, "board")
    return ScoreBoard.of_runs(task_samples([board_run]), entries, resamples=RESAMPLES)


@pytest.mark.parametrize(("version", "rho"), [("paper", 0.565), ("board", 0.573)])
def test_scale_correlation_is_the_papers(version, rho):
    board = ScoreBoard.published(version)
    assert round(scale_correlation(board).rho.value, 3) == rho
    left = [one for one in models().values() if one.official and one.model not in OUTLIERS]
    macro = [leaderboard("full")[one.model].macro for one in left]
    by_scipy = spearmanr(np.log([one.size(version) for one in left]), macro).statistic
    found = scale_correlation(board, without=OUTLIERS)
    assert found.num_models == 39
    assert found.rho.value == pytest.approx(by_scipy)
    assert found.p < 0.001
    every = scale_correlations(board)
    assert [(one.scope, one.without) for one in every] == [
        (scope, without) for scope in ("macro", *categories()) for without in ((), OUTLIERS)
    ]
    for one in every[2:]:
        kept = [m for m in models().values() if m.official and m.model not in one.without]
        scores = [leaderboard("full")[m.model].categories[one.scope] for m in kept]
        theirs = spearmanr([m.size(version) for m in kept], scores)
        assert (one.rho.value, one.p) == pytest.approx(
            (theirs.statistic, theirs.pvalue), abs=0.01
        )  # rounded scores tie


def test_few_shot_drop_is_the_papers():
    drops = {one.regime: one for one in few_shot_drop(ScoreBoard.published())}
    assert {regime: round(one.mean.value, 3) for regime, one in drops.items()} == {
        "full": 0.488, "10shot": 0.253, "1shot": 0.106,
    }  # fmt: skip


def test_drops_by_category_and_model_recompute_from_the_tables():
    official = [one.model for one in models().values() if one.official]
    full, few = (leaderboard(regime) for regime in ("full", "10shot"))
    by_category = category_drops(ScoreBoard.published())
    assert {one.scope for one in by_category} == set(categories())
    for one in by_category:
        pairs = np.array([[full[m].categories[one.scope], few[m].categories[one.scope]] for m in official])
        assert one.lost.value == pytest.approx((pairs[:, 0] - pairs[:, 1]).mean(), abs=1e-4)
        assert one.rho.value == pytest.approx(spearmanr(*pairs.T).statistic, abs=0.01)  # rounded scores tie
    assert [o.lost.value for o in by_category] == sorted((o.lost.value for o in by_category), reverse=True)
    by_model = model_drops(ScoreBoard.published())
    assert {one.model for one in by_model} == set(official)
    for one in by_model:
        assert one.lost.value == pytest.approx(full[one.model].macro - few[one.model].macro, abs=1e-4)
        own = [list(task_mcc(regime)[one.model].values()) for regime in ("full", "10shot")]
        assert one.rho.value == pytest.approx(spearmanr(*own).statistic)
        assert one.few_rank == 1 + sum(few[m].macro > few[one.model].macro for m in official)


@pytest.mark.parametrize("regime", ["full", "1shot"])
def test_leads_are_the_first_two_of_every_column(regime, ours):
    official = [one.model for one in models().values() if one.official]
    for one in leads(ScoreBoard.published(), regime=regime):
        rows = {m: leaderboard(regime)[m] for m in official}
        scores = {m: getattr(r, one.scope) if one.scope in ("macro", "micro") else r.categories[one.scope]
                  for m, r in rows.items()}  # fmt: skip
        second, first = sorted(scores.values())[-2:]
        assert (scores[one.best], scores[one.runner_up]) == (first, second)
        assert one.lead.value == pytest.approx(first - second, abs=1e-4)
        assert one.test is None
    macro = leads(ours)[0]
    assert (macro.best, macro.runner_up) == ("strong", "middling")
    assert macro.lead.low < macro.lead.value < macro.lead.high
    assert macro.test.survives is (macro.test.p_adjusted <= 0.05)


@pytest.mark.parametrize("version", SIZE_VERSIONS)
def test_reversals_are_those_that_a_loop_over_pairs_finds(version):
    found = reversals(ScoreBoard.published(version), IN_DOMAIN)
    size = {model: models()[model].size(version) for model in IN_DOMAIN}
    macro = {model: row.macro for model, row in leaderboard("full").items()}
    pairs = [(a, b) for a, b in permutations(IN_DOMAIN, 2) if size[b] >= 5 * size[a]]
    assert (found.num_models, found.num_pairs) == (36, len(pairs))
    assert {(one.small, one.large) for one in found.found} == {(a, b) for a, b in pairs if macro[a] > macro[b]}
    assert found.count.value == len(found.found)
    by_scope = {one.scope: one for one in reversal_counts(ScoreBoard.published(version), IN_DOMAIN)}
    assert by_scope.keys() == {"macro", "micro", *categories()}
    assert by_scope["macro"].count == found.count
    micro = {model: row.micro for model, row in leaderboard("full").items()}
    assert by_scope["micro"].count.value == sum(micro[a] > micro[b] for a, b in pairs)
    for name in categories():
        score = {m: np.mean([v for t, v in task_mcc("full")[m].items() if CATEGORY[t] == name]) for m in IN_DOMAIN}
        assert by_scope[name].count.value == sum(score[a] > score[b] for a, b in pairs)
    # a ratio of exactly five counts: HyenaDNA of 55 million parameters has none such, 200 million and a billion do
    assert any(size[b] == 5 * size[a] for a, b in pairs)


def test_frontier_wins_ranks_and_places_recompute_from_the_tables():
    board = ScoreBoard.published()
    points = pareto(board)
    front = [one for one in points if one.on_frontier]
    for one in points:
        beaten = [o for o in points if o.size <= one.size and o.score.value > one.score.value]
        assert bool(beaten) is not one.on_frontier
    assert [o.score.value for o in front] == sorted(o.score.value for o in front)

    table = task_mcc("full")
    counts = dict.fromkeys(board.models, 0)
    for task in board.tasks:
        counts[max(board.models, key=lambda m, t=task: table[m][t])] += 1
    assert {one.model: one.count.value for one in wins(board)} == {m: n for m, n in counts.items() if n}

    places = {
        t: {m: 1 + sum(table[o][t] > table[m][t] for o in board.models) for m in board.models} for t in board.tasks
    }
    best = specialisation(board)[0]
    inside = [c == best.category for c in board.categories]
    own = np.array([places[t][best.model] for t in board.tasks])
    assert best.places.value == pytest.approx(own[~np.array(inside)].mean() - own[inside].mean(), abs=0.1)  # ties
    assert best.substantial

    for ddof in (0, 1):
        spread = {t: np.std([table[m][t] for m in board.models], ddof=ddof) for t in board.tasks}
        variable = variable_tasks(board, ddof=ddof)
        assert {v.task: v.std.value for v in variable} == pytest.approx({t: s for t, s in spread.items() if s > 0.12})
        assert all(table[v.first[0]][v.task] == max(table[m][v.task] for m in board.models) for v in variable)
    kinds = places_by_label(board, variable, kind="pretraining", labels="board")
    assert sum(one.first for one in kinds) == sum(one.last for one in kinds) == 3 * len(variable)
    assert sum(one.num_models for one in kinds) == len(board.models)


def test_pairs_are_turned_to_one_side_before_they_are_averaged():
    board, pairs = ScoreBoard.published(), matched_pairs()
    macro = {model: row.macro for model, row in leaderboard("full").items()}
    deltas = pair_deltas(board, pairs)
    assert [d.delta.value for d in deltas] == pytest.approx([macro[p.first] - macro[p.second] for p in pairs], abs=1e-5)
    assert all((abs(d.delta.value) > 0.02) is (d.winner is not None) for d in deltas)
    graph = next(one for one in factor_means(board, pairs) if one.sub_factor == "encoder-vs-graph")
    expected = [macro[m] - macro["deepgene"] for m in ("GROVER", "gena-lm-bert-base")]
    assert (graph.level, graph.num_pairs) == ("encoder", 2)
    assert graph.mean.value == pytest.approx(np.mean(expected), abs=1e-5)
    assert [len(pair_deltas(board, pairs, labels=v)) for v in ("paper", "board", "actual")] == [26, 20, 18]


def test_macro_and_micro_rank_alike_but_not_equally():
    found = macro_micro_agreement(ScoreBoard.published())
    rows = [leaderboard("full")[one.model] for one in models().values() if one.official]
    assert found.rho.value == pytest.approx(spearmanr([r.macro for r in rows], [r.micro for r in rows]).statistic)
    assert found.moved[0].macro_rank != found.moved[0].micro_rank


def test_tests_and_intervals_are_those_of_the_paired_bootstrap(board_run, ours):
    by_compare = compare(task_samples([board_run]), resamples=RESAMPLES)
    same = {
        (d.first.encoder, d.second.encoder): d
        for d in by_compare.differences
        if (d.scope, d.regime) == ("macro", "full")
    }
    scores = ours.score("full")
    for (first, second), one in same.items():
        found = scores.difference(ours.place(first), ours.place(second))
        (test,) = claim_tests([[found]])
        assert test.p == pytest.approx(one.p, abs=0.01)
        assert found.estimate().value == pytest.approx(one.estimate)
        # the interval of one difference lies within that of all pairs at once, but for the noise of resampling
        assert one.low - 0.01 <= found.estimate().low <= found.estimate().high <= one.high + 0.01
    # of three models no two are in one place, and the smallest is the best: two reversals, that stand the test as above
    turned = reversals(ours, ours.models)
    assert {(one.small, one.large) for one in turned.found} == set(same)
    assert sorted(one.test.p for one in turned.found) == pytest.approx(sorted(one.p for one in same.values()), abs=0.01)
    assert all(one.test.survives == same[one.small, one.large].apart for one in turned.found)
    assert scale_correlation(ours).rho.value == pytest.approx(-1)
    low, high = scale_correlation(ours).rho.low, scale_correlation(ours).rho.high
    assert low == pytest.approx(-1)
    assert low <= high
    assert sum(one.count.value for one in wins(ours)) >= len(ours.tasks)
    assert all(one.tested for one in wins(ours))


def test_our_models_join_the_board_on_common_tasks(ours):
    board = ScoreBoard.published().beside(ours)
    assert set(board.tasks) == set(ours.tasks)
    assert len(board.models) == 43
    scores = board.score("full")
    estimates = scores.estimates()
    assert [one.low is None for one in estimates] == [True] * 40 + [False] * 3
    assert estimates[40].value == pytest.approx(ours.score("full").value[0])
    published = [np.mean([np.mean([task_mcc("full")[m][t] for t, k in zip(board.tasks, board.categories, strict=True)
                                   if k == c]) for c in set(board.categories)]) for m in board.models[:40]]  # fmt: skip
    assert [one.value for one in estimates[:40]] == pytest.approx(published)
    # every resample completes the published points: the share of resamples on the frontier is a share
    shares = {one.model: one.share for one in pareto(board)}
    assert all(0 <= share <= 1 for share in shares.values())
    assert max(shares.values()) == 1
    # nothing that is published alone is tested; what involves a model of ours is
    assert {bool(one.test) for one in reversals(board, board.models).found} == {True, False}
    drops = few_shot_drop(board)
    assert all(one.mean.low <= one.mean.value <= one.mean.high for one in drops)
    assert [one.test for one in reranks(board) if not one.changed] == [None] * sum(
        not r.changed for r in reranks(board)
    )
    tiers = tier_means(board)
    assert sum(len(tier.models) for tier in tiers) == 43
    # a mean over published models alone has no interval, though others here have one
    assert [tier.mean.low is None for tier in tiers] == [not set(tier.models) & set(board.ours) for tier in tiers]
    assert all(one.mean.low is None for one in factor_means(board, matched_pairs()))
    with pytest.raises(UsageError, match="three models of known size"):
        scale_correlation(board.select(board.models[:2]))


def test_a_graph_of_edges_says_who_was_never_compared(ours, tmp_path):
    edges = tmp_path / "edges.csv"
    edges.write_text("model,baseline\nstrong,weak\nstrong,weak\nstrong,BLAST\n")
    graph = comparison_graph(ours, read_edges(edges), find=lambda name: name if name in ours.models else None)
    assert graph.groups == (("strong", "weak"), ("middling",)) or set(graph.groups[0]) == {"strong", "weak"}
    assert (graph.num_pairs_compared, graph.baselines, graph.outside) == (1, {"weak": 1}, ("BLAST",))
    assert graph.edges[0].difference.value > 0
    assert graph.edges[0].test
    edges.write_text("model,baseline\nBLAST,HMMER\n")
    with pytest.raises(DataError, match="no edge links two models"):
        comparison_graph(ours, read_edges(edges), find=lambda name: None)
    edges.write_text("model,other\na,b\n")
    with pytest.raises(DataError, match="baseline"):
        read_edges(edges)
