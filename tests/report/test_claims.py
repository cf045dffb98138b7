"""Every sentence about significance, in a simulated case in which it is true and in one in which it is not."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.report.claims import (
    adjacent_claim,
    alpha,
    cannot_tell,
    equivalence_words,
    floor_claim,
    task_claim,
    task_method,
    tie_claim,
)
from geneb_jax.report.web.content import Cell, Entrant
from geneb_jax.report.web.words import headline
from geneb_jax.stats.compare import Comparison, compare
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.task_comparison import TaskComparison, TaskTable, compare_tables
from tests.stats.test_bootstrap import task


def study(*chances: float, rows: int = 600, seed: int = 0) -> TaskSample:
    """Encoders e0, e1, … that are right with these chances, on rows of two classes."""
    return task(rows, lanes=len(chances), seed=seed, accuracies=tuple(2 * c - 1 for c in chances))


def said(sample: TaskSample, **settings: object) -> tuple[Comparison, str, str]:
    """The comparison, and the sentences about ties and neighbours of its macro ranking."""
    found = compare([sample], **{"resamples": 400, **settings})  # type: ignore[arg-type]
    ranks = sorted((r for r in found.ranks if r.scope == "macro"), key=lambda r: r.rank)
    ranking = next(r for r in found.rankings if r.scope == "macro")
    pairs = [d for d in found.differences if d.scope == "macro"]
    names = {r.series: r.series.encoder for r in ranks}
    return found, tie_claim(ranking, ranks, names), adjacent_claim(ranking, [r.series for r in ranks], pairs)


def test_ties_are_named_where_encoders_are_equal_and_nowhere_else() -> None:
    _, ties, neighbours = said(study(0.9, 0.9, 0.6))
    leader, other = ("e0", "e1") if "from e0" in ties else ("e1", "e0")
    assert ties == f"Not told from {leader}, which leads, at 5%: {other}."
    assert neighbours == "Of 2 adjacent pairs 1 differs."
    _, ties, neighbours = said(study(0.95, 0.75, 0.55))
    assert ties == "e0 is better than each other one at 5%, adjusted for all pairs."
    assert neighbours == "Of 2 adjacent pairs 2 differ."


def test_a_sentence_about_the_leader_holds_in_most_studies_of_equal_encoders() -> None:
    claims = [said(study(*[0.8] * 6, rows=150, seed=seed), resamples=200)[1] for seed in range(40)]
    whole = sum(text.startswith("Not told") and text.count(",") == 6 for text in claims)
    assert whole >= 34  # 5 % may say otherwise: fewer than 34 of 40 come once in 200 times
    assert not any("better than each" in text for text in claims)


def test_where_no_resample_could_tell_no_tie_is_claimed() -> None:
    _, ties, neighbours = said(study(0.99, 0.5, 0.5), resamples=100, level=0.995)
    assert ties == cannot_tell(100, 0.995)
    assert ties == (
        "With 100 resamples no p-value is below 0.0099, so nothing can be told at 0.005: take --resamples 199 or more."
    )
    assert neighbours == ""
    _, ties, _ = said(study(0.99, 0.5, 0.5), resamples=199, level=0.995)
    assert ties.startswith("e0 is better")


def test_the_floor_of_holm_is_said_where_it_forbids_every_claim() -> None:
    many, few = (said(study(*[0.8] * n, rows=60), resamples=400)[0] for n in (8, 3))
    text = floor_claim([r for r in many.rankings if r.scope == "macro"])
    assert text == (
        "Smallest p that 400 resamples can give: 0.0025, max-T too; Holm of 28 pairs 0.07, so by Holm no pair could "
        "differ at 5%."
    )
    assert "no pair" not in floor_claim([r for r in few.rankings if r.scope == "macro"])
    assert all(d.p_holm > 0.05 for d in said(study(0.99, *[0.6] * 7), resamples=400)[0].differences)


@pytest.mark.parametrize(("level", "text"), [(0.95, "5%"), (0.9, "10%"), (0.99, "1%"), (0.995, "0.005")])
def test_levels_are_written_as_they_are(level: float, text: str) -> None:
    assert alpha(level) == text


def test_the_headline_of_a_page() -> None:
    found, _, _ = said(study(0.9, 0.9, 0.6))
    ranks = {r.series.encoder: r for r in found.ranks if r.scope == "macro"}

    def page(**tied: bool | None) -> str:
        cells = {
            key: Cell(r.estimate, low=r.estimate - 0.1, high=r.estimate + 0.1, tied=tied.get(key, r.tied))
            for key, r in ranks.items()
        }
        return headline("full", "MCC", cells, [Entrant(key, key, "run", "run") for key in cells], 0.95)

    assert "1 of the 2 others cannot be told from it (e" in page()
    assert "each of the 2 others is worse, at 5%, adjusted for all pairs." in page(e0=False, e1=False)
    assert "too few to tell" in page(e0=None, e1=None, e2=None)
    points = {key: Cell(r.estimate) for key, r in ranks.items()}
    lines = [Entrant(key, key, "board", "board") for key in points]
    assert "Published scores are points" in headline("full", "MCC", points, lines, 0.95)


def test_resamples_of_a_comparison_decide_as_the_text_says() -> None:
    """The p-value that the sentence rests on: below the level where it says better, above where it says not told."""
    for chances, worse in (((0.9, 0.6), True), ((0.8, 0.8), False)):
        found, ties, _ = said(study(*chances, seed=3))
        p = np.array([d.p_max_t for d in found.differences if d.scope == "macro"])
        assert (p[0] <= 0.05) == worse == ("better than" in ties)


def over(strengths: np.ndarray, tasks: int, *, seed: int = 0, **settings: object) -> TaskComparison:
    """Encoders of these strengths on tasks of one category, with noise of 0.05."""
    rng = np.random.default_rng(seed)
    scores = 0.5 + strengths[:, None] + 0.05 * rng.normal(size=(len(strengths), tasks)) + 0.1 * rng.normal(size=tasks)
    names = tuple(f"e{i}" for i in range(len(strengths)))
    table = TaskTable("full", names, tuple(f"t{i}" for i in range(tasks)), ("c",) * tasks, scores)
    return compare_tables([table], flips=500, **settings)[0]  # type: ignore[arg-type]


def test_ties_over_tasks() -> None:
    apart = over(np.array([0.2, 0.1, 0.0]), 40)
    assert task_claim(apart) == (
        "e0 is told from each other one over tasks at 5%, adjusted for all pairs. Of 2 adjacent pairs 2 differ."
    )
    equal = over(np.zeros(3), 40)
    leader, *rest = (place.name for place in equal.places)
    assert task_claim(equal) == (
        f"Not told from {leader}, which has the highest mean, over tasks at 5%: {', '.join(rest)}. "
        "Of 2 adjacent pairs 0 differ."
    )
    few = over(np.array([0.5, 0.0]), 5)
    assert task_claim(few) == (
        "5 independent tasks can give no p below 0.062, so nothing can be told at 5%: it takes 6 or more."
    )
    assert task_claim(over(np.array([0.5, 0.0]), 6)).startswith("e0 is told from each other one")
    assert task_method(few).endswith("Smallest p that there can be: 0.062.")


def test_better_on_most_tasks_although_worse_in_the_mean() -> None:
    scores = np.full((2, 30), 0.5)
    scores[1] += 0.02
    scores[0, 0] += 0.9
    table = TaskTable("full", ("a", "b"), tuple(map(str, range(30))), ("c",) * 30, scores)
    assert "On most tasks b is better than a, although its mean is lower." in task_claim(compare_tables([table])[0])
    assert "although" not in task_claim(over(np.array([0.2, 0.0]), 40))


def test_equivalence_is_claimed_where_it_is_shown_and_not_where_little_is_known() -> None:
    near = compare([study(0.9, 0.9, rows=20_000)], resamples=200, within=0.05)
    (one,) = (d for d in near.differences if d.scope == "macro")
    assert equivalence_words(one.equivalence.verdict, 0.05, apart=one.apart) == "equal within 0.05"
    assert one.equivalence.p <= 0.05
    little = compare([study(0.9, 0.9, rows=60)], resamples=200, within=0.05)
    (one,) = (d for d in little.differences if d.scope == "macro")
    assert equivalence_words(one.equivalence.verdict, 0.05, apart=one.apart) == "undecided"
    assert one.equivalence.p > 0.05
    far = compare([study(0.95, 0.6, rows=2000)], resamples=200, within=0.05)
    (one,) = (d for d in far.differences if d.scope == "macro")
    assert equivalence_words(one.equivalence.verdict, 0.05, apart=one.apart) == "worse by more than 0.05"
    assert one.equivalence.rope.better == 1
    assert equivalence_words("unclear", 0.05, apart=True) == "worse, perhaps by less than 0.05"


def test_equivalence_over_tasks() -> None:
    words = []
    for strengths, tasks in (([0.0, 0.0], 400), ([0.0, 0.0], 8), ([0.3, 0.0], 40)):
        one = over(np.array(strengths), tasks, within=0.03)
        words.append(equivalence_words(one.pairs[0].equivalence.verdict, 0.03))
    assert words == ["equal within 0.03", "undecided", "worse by more than 0.03"]
