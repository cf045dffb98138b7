"""Learning curves and how many draws a ranking needs, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from geneb_jax.report.layout import Column, once, packed
from geneb_jax.report.marks import ends_text
from geneb_jax.report.naming import series_name
from geneb_jax.report.uncertainty import MEANS, SCOPES, print_marks, signs
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.curves import USUAL_DRAWS, Curves, Point, Reach
from geneb_jax.stats.means import Scope
from geneb_jax.stats.stability import Agreement, Enough


def print_curves(
    found: Curves, agreements: Sequence[Agreement], enough: Sequence[Enough], to: Console, *, level: float
) -> None:
    """For every mean or task: scores by rows per class, their spread, where they pass a score, and draws needed."""
    among = list(dict.fromkeys(point.score.series for point in found.points))
    places = dict.fromkeys((point.score.scope, point.score.name) for point in found.points)
    for scope, name in sorted(places, key=lambda place: SCOPES.index(place[0])):
        to.print()
        to.print(Text(MEANS.get(scope, f"{scope} {name}"), style="bold"))
        points = [p for p in found.points if (p.score.scope, p.score.name) == (scope, name)]
        _print_points(points, among, to, level)
        reaches = [r for r in found.reaches if (r.scope, r.name) == (scope, name)]
        if reaches:
            _print_reaches(reaches, among, to, level)
        _print_agreement(scope, name, agreements, enough, to)
    print_marks([point.score for point in found.points], to)


def _print_points(points: Sequence[Point], among: Sequence[Series], to: Console, level: float) -> None:
    regimes = list(dict.fromkeys(p.score.regime for p in sorted(points, key=lambda p: p.shots or float("inf"))))
    held = {(p.score.series, p.score.regime): p for p in points}
    series = [one for one in among if any((one, regime) in held for regime in regimes)]
    # cells have two lines, and stand on their last one
    left = [Column("encoder", [f"{series_name(one, among)}\n" for one in series])]
    rows = [[held.get((one, regime)) for one in series] for regime in regimes]
    for table in packed(left, [Column(r, [_score(p) for p in cells]) for r, cells in zip(regimes, rows, strict=True)],
                        to.width):  # fmt: skip
        to.print(table)
    draws = sorted({p.num_draws for p in points if p.num_draws > 1})
    many = f", mean of {' or '.join(f'{D:,}' for D in draws)} draws" if draws else ""
    to.print(f"Score by labelled rows per class{many}; below it the {level:.0%} interval.", style="dim")
    if not draws:
        return
    to.print()
    for table in packed(left, [Column(r, [_spread(p) for p in cells]) for r, cells in zip(regimes, rows, strict=True)],
                        to.width):  # fmt: skip
        to.print(table)
    to.print(
        f"Standard deviation of a single draw / standard error from the test rows; below them the part of the draws in "
        f"the variance of a mean of {USUAL_DRAWS} draws.",
        style="dim",
    )


def _print_reaches(reaches: Sequence[Reach], among: Sequence[Series], to: Console, level: float) -> None:
    targets = list(dict.fromkeys(r.target for r in reaches))
    series = list(dict.fromkeys(r.series for r in reaches))
    held = {(r.series, r.target): r for r in reaches}
    to.print()
    columns = [Column(f"for {target:g}", [_reach(held[one, target]) for one in series]) for target in targets]
    for table in packed([Column("encoder", [series_name(one, among) for one in series])], columns, to.width):
        to.print(table)
    to.print(
        f"Labelled rows per class needed, with the {level:.0%} interval; > is more than was tried, * that all training "
        "rows reach it.",
        style="dim",
    )


def _print_agreement(
    scope: Scope, name: str, agreements: Sequence[Agreement], enough: Sequence[Enough], to: Console
) -> None:
    own = [a for a in agreements if (a.scope, a.name) == (scope, name)]
    if not own:
        return
    regimes = list(dict.fromkeys(a.regime for a in own))
    held = {(a.regime, a.draws): a for a in own}
    limit = {e.regime: e for e in enough if (e.scope, e.name) == (scope, name)}
    left = [
        Column("regime", once([regime for regime in regimes for _ in range(3)])),
        Column("agreement", ["Kendall's tau", "same best", "same order"] * len(regimes)),
    ]
    columns = [
        Column(f"{d:,}", [cell for regime in regimes for cell in _agreement(held.get((regime, d)))])
        for d in sorted({a.draws for a in own})
    ]
    chance = next(iter(limit.values())).chance
    needed = [["", _draws(e.best, e.most), _draws(e.order, e.most)] for e in (limit[regime] for regime in regimes)]
    columns.append(Column(f"{chance:.0%} from", [cell for cells in needed for cell in cells]))
    to.print()
    for table in packed(left, columns, to.width):
        to.print(table)
    to.print(
        f"The ranking of {own[0].num_series} series by so many draws against that by the other draws (of "
        f"{own[0].draws + own[0].others:,}), which share none with them.",
        style="dim",
    )


def _score(point: Point | None) -> str:
    if point is None:
        return "–"
    one = point.score
    return f"{one.estimate:.3f}{signs(one)}\n{ends_text(one.low, one.high, one.marks)}"


def _spread(point: Point | None) -> str:
    if point is None or point.sd_draw is None:
        return "–" if point is None else f"– / {point.se_rows:.3f}\n"
    share = "–" if point.usual_share is None else f"{point.usual_share:.0%}"
    return f"{point.sd_draw:.3f} / {point.se_rows:.3f}\n{share}"


def _reach(found: Reach) -> str:
    def words(shots: float | None) -> str:
        if shots is None:
            return f">{found.most:,}"
        return f"≤{found.fewest:,}" if shots <= found.fewest else f"{shots:.0f}" if shots >= 9.5 else f"{shots:.1f}"

    star = "*" if found.shots is None and found.full else ""
    ends = "" if found.low is None else f" ({words(found.low)} to {words(found.high)})"
    return f"{words(found.shots)}{star}{ends}"


def _agreement(found: Agreement | None) -> list[str]:
    if found is None:
        return ["–"] * 3
    return ["–" if found.kendall is None else f"{found.kendall:.2f}", f"{found.best:.0%}", f"{found.order:.0%}"]


def _draws(number: int | None, most: int) -> str:
    return f">{most:,}" if number is None else f"{number:,}"
