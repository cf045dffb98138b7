"""The charts, in Vega-Lite by Altair. All draw from one table of scores, filtered by the page's regime and score.

Colours of groups are Okabe and Ito's, which people with any common colour blindness tell apart, and every group has a
shape of its own; scores are coloured by cividis, made for the same purpose.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from geneb_jax.report.web.content import MACRO, OF_RUN, Content, Place, regime_name
from geneb_jax.report.web.sensitivity import agreement_marks, agreement_rows
from geneb_jax.stats.samples import shots_of

OKABE_ITO: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#7F7F7F")
SHAPES: Final = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)
HIGHLIGHTED: Final = 6
"""Encoders drawn in colour where there are too many for a line each."""
DATA: Final = "scores"
_LINE_OF_TEXT: Final = 0.05
"""Height of a name in the scale chart, as a share of the range of scores."""
_NAME_IN_DECADES: Final = 1.3
"""Its width, on the axis of sizes."""
_FOR_SLANTED_LABELS: Final = {"left": 0, "top": 0, "bottom": 0, "right": 55}
Row = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure: its Vega-Lite specification, which holds a description in words, and the columns of its data table.

    `columns` are (field of the data, head); the table lists the rows of the chosen regime and score, or of all regimes
    or all categories. `rows` are its own data, None where it draws from the shared ones.
    """

    name: str
    title: str
    caption: str
    spec: dict[str, Any]
    columns: tuple[tuple[str, str], ...]
    every_regime: bool = False
    every_category: bool = False
    section: str = "charts"
    rows: list[Row] | None = None


def scope_id(place: Place) -> str:
    """How a page's controls and the data name a mean."""
    return place[0] if place[0] != "category" else f"category:{place[1]}"


def score_rows(content: Content) -> list[Row]:
    """The table that all charts share: one row per entrant, regime and mean; what is unknown is left out."""
    rows = []
    for regime in content.regimes:
        for place in content.places:
            frontier = content.frontier.get((regime, place), frozenset())
            named = _apart(content, regime, place, frontier)
            leading = _leading(content, place)
            for entrant in content.ordered(regime, place):
                cell = content.cell(regime, place, entrant.key)
                if cell.value is None:
                    continue
                row: Row = {
                    "model": entrant.name,
                    "key": entrant.key,
                    "kind": entrant.kind,
                    "params": entrant.params,
                    "regime": regime_name(regime),
                    "scope": scope_id(place),
                    "value": round(cell.value, 5),
                    "macro": content.cell(regime, MACRO, entrant.key).value,
                    "low": cell.low,
                    "high": cell.high,
                    "rank": cell.rank,
                    "rank_low": cell.rank_low,
                    "rank_high": cell.rank_high,
                    "tied": cell.tied,
                    "marks": (cell.marks or "none") if content.has_marks else None,
                    "frontier": (entrant.key in frontier) or None,
                    "named": (entrant.key in named) or None,
                    "lead": (entrant.key in leading) or None,
                }
                if place[0] == "category":
                    row["category"] = place[1]
                rows.append({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items() if v is not None})
    return rows


def charts(content: Content) -> list[Chart]:
    """The charts that this content has data for, in the order of the page."""
    makers: tuple[Callable[[Content], Chart | None], ...] = (_ranks, _scores, _heatmap, _scale, _shots, _agreements)
    return [chart for make in makers if (chart := make(content)) is not None]


def _leading(content: Content, place: Place) -> set[str]:
    """The encoders whose curves are coloured: those of runs, then the best at the first regime."""
    order = content.ordered(content.regimes[0], place)
    own_first = sorted(order, key=lambda entrant: entrant.origin != OF_RUN)
    return {entrant.key for entrant in own_first[:HIGHLIGHTED]}


def _apart(content: Content, regime: str, place: Place, frontier: Collection[str]) -> set[str]:
    """Of the frontier the encoders whose names in the scale chart do not run into a better one's."""
    values = [cell.value for cell in content.cells[regime].get(place, {}).values() if cell.value is not None]
    line = (max(values) - min(values)) * _LINE_OF_TEXT if values else 0.0
    kept: list[tuple[float, float, str]] = []
    for entrant in content.ordered(regime, place):
        value = content.cell(regime, place, entrant.key).value
        if entrant.key in frontier and entrant.params and value is not None:
            size = math.log10(entrant.params)
            if all(at - value > line or abs(size - other) > _NAME_IN_DECADES for at, other, _ in kept):
                kept.append((value, size, entrant.key))
    return {key for _, _, key in kept}


def _base(content: Content) -> alt.Chart:
    """A chart of the shared data with the page's regime and score as parameters."""
    regime = alt.param(name="regime", value=regime_name(content.regimes[0]))
    scope = alt.param(name="scope", value=scope_id(MACRO))
    return alt.Chart(alt.NamedData(name=DATA), width="container").add_params(regime, scope)


def _chosen(chart: alt.Chart) -> alt.Chart:
    return chart.transform_filter("datum.regime === regime && datum.scope === scope")


def _tooltip(content: Content, *more: alt.Tooltip) -> list[alt.Tooltip]:
    tips = [
        alt.Tooltip("model:N", title="Encoder"),
        alt.Tooltip("value:Q", title=content.metric, format=".3f"),
        alt.Tooltip("rank:Q", title="Rank", format="~g"),
    ]
    if content.has_intervals:
        tips += [alt.Tooltip("low:Q", title="From", format=".3f"), alt.Tooltip("high:Q", title="To", format=".3f")]
    tips += [alt.Tooltip("marks:N", title="Marks")] if content.has_marks else []
    return [*tips, *more]


def _names() -> alt.Y:
    """Encoders from best to worst by macro in the chosen regime."""
    return alt.Y("model:N", title=None, sort=alt.EncodingSortField(field="value", op="max", order="descending"),
                 axis=alt.Axis(labelLimit=220, ticks=False, domain=False))  # fmt: skip


def _height(content: Content) -> int:
    """Of a chart with a line for every encoder."""
    return 40 + 16 * len(content.entrants)


def _ranks(content: Content) -> Chart | None:
    if not any(c.rank_low is not None for p in content.cells.values() for c in p.get(MACRO, {}).values()):
        return None
    title = "Rank of every encoder, with its interval"
    base = _chosen(_base(content)).transform_filter("isValid(datum.rank_low)")
    x = alt.X("rank:Q", title="Rank (1 is best)", scale=alt.Scale(zero=False, nice=False, padding=12),
              axis=alt.Axis(format="d", tickMinStep=1))  # fmt: skip
    tips = _tooltip(content, alt.Tooltip("rank_low:Q", title="Rank from"), alt.Tooltip("rank_high:Q", title="Rank to"))
    rule = base.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x=alt.X("rank_low:Q"), x2="rank_high:Q", y=_names(), tooltip=tips
    )
    point = base.mark_point(size=70, filled=True, opacity=1).encode(
        x=x, y=_names(), tooltip=tips,
        shape=alt.Shape("tied:N", scale=alt.Scale(domain=[True, False], range=["circle", "diamond"]),
                        legend=alt.Legend(title=None, labelExpr="datum.value ? 'not told from the best' : 'worse'")),
        color=alt.Color("tied:N", scale=alt.Scale(domain=[True, False], range=[OKABE_ITO[0], OKABE_ITO[3]]),
                        legend=alt.Legend(title=None, labelExpr="datum.value ? 'not told from the best' : 'worse'")),
    )  # fmt: skip
    return _chart(
        "ranks", title, (rule + point).properties(height=_height(content)),
        "Dot: rank of the chosen score. Line: interval of the rank over the resamples, drawn together for "
        "all encoders. Circles cannot be told from the best by the paired test, adjusted for all pairs.",
        (("model", "Encoder"), ("rank", "Rank"), ("rank_low", "from"), ("rank_high", "to")),
    )  # fmt: skip


def _scores(content: Content) -> Chart | None:
    if not content.has_intervals:
        return None
    title = "Score of every encoder, with its interval"
    points = "Published models are points, since no predictions of theirs are public. " if content.is_mixed else ""
    base = _chosen(_base(content))
    tips = _tooltip(content)
    rule = base.mark_rule(strokeWidth=3, opacity=0.45).encode(x=alt.X("low:Q"), x2="high:Q", y=_names(), tooltip=tips)
    point = base.mark_point(size=60, filled=True, opacity=1, color=OKABE_ITO[0]).encode(
        x=alt.X("value:Q", title=f"{content.metric} (chosen score)", scale=alt.Scale(zero=False),
                axis=alt.Axis(tickCount=6)),
        y=_names(), tooltip=tips,
    )  # fmt: skip
    return _chart(
        "scores", title, (rule + point).properties(height=_height(content)),
        f"Dot: the score. Line: its bootstrap interval. {points}"
        "Intervals that overlap may still differ: the comparison is paired, and stands in the ranks.",
        (("model", "Encoder"), ("value", content.metric), ("low", "from"), ("high", "to")),
    )  # fmt: skip


def _heatmap(content: Content) -> Chart | None:
    if len(content.categories) < 2:
        return None
    title = "Score of every encoder in every category"
    labels = " : ".join(
        f"datum.value === {json.dumps(name)} ? {json.dumps(f'{name} ({n})')}" for name, n in content.categories.items()
    )
    base = _base(content).transform_filter("datum.regime === regime && isValid(datum.category)")
    chart = base.mark_rect().encode(
        x=alt.X("category:N", title=None, sort=list(content.categories),
                axis=alt.Axis(orient="top", labelAngle=-45, labelExpr=f"{labels} : datum.value", ticks=False,
                              domain=False)),
        y=alt.Y("model:N", title=None, sort=alt.EncodingSortField(field="macro", op="max", order="descending"),
                axis=alt.Axis(labelLimit=220, ticks=False, domain=False)),
        color=alt.Color("value:Q", title=content.metric,
                        scale=alt.Scale(scheme="cividis"), legend=alt.Legend(format=".1f", gradientLength=160)),
        tooltip=_tooltip(content, alt.Tooltip("category:N", title="Category")),
    )  # fmt: skip
    return _chart(
        "heatmap", title, chart.properties(height=_height(content), padding=_FOR_SLANTED_LABELS),
        f"{content.metric}, mean over the tasks of a category (their number in brackets); encoders from the best macro "
        "score down. Cividis colours: yellow is high, blue is low.",
        (("model", "Encoder"), ("category", "Category"), ("value", content.metric), ("rank", "Rank")),
        every_category=True,
    )  # fmt: skip


def _scale(content: Content) -> Chart | None:
    kinds = [e.kind for e in content.entrants if e.params]
    if len(kinds) < 3:
        return None
    title = "Score against size, with the Pareto frontier"
    base = _chosen(_base(content)).transform_filter("isValid(datum.params)")
    powers = alt.Axis(format="~s", labelExpr="replace(datum.label, 'G', 'B')", values=[10**n for n in range(3, 13)])
    x = alt.X("params:Q", title="Parameters (logarithmic)", axis=powers,
              scale=alt.Scale(type="log", nice=False, padding=45))  # fmt: skip
    y = alt.Y("value:Q", title=f"{content.metric} (chosen score)", scale=alt.Scale(zero=False))
    more = (alt.Tooltip("params:Q", title="Parameters", format=","), alt.Tooltip("kind:N", title="Type"))
    points = base.mark_point(size=75, filled=True, opacity=0.9).encode(
        x=x, y=y, tooltip=_tooltip(content, *more), **_kinds(kinds)
    )
    front = base.transform_filter("datum.frontier")
    line = front.mark_line(interpolate="step-after", strokeDash=[5, 3], strokeWidth=1.5, color="#7F7F7F").encode(
        x=x, y=y, order="params:Q"
    )
    # names stand on the side where there is room
    text = (
        front.transform_filter("datum.named")
        .mark_text(
            align=alt.expr("datum.params < 3e7 ? 'left' : 'right'"), dx=alt.expr("datum.params < 3e7 ? 8 : -8"), dy=-8
        )
        .encode(x=x, y=y, text="model:N")
    )
    return _chart(
        "scale", title, (line + points + text).properties(height=380),
        "Every point is a model. Dashed: the Pareto frontier, the models that no smaller or equal one beats. These are "
        "named where there is room. Scores are points without intervals where the board published none.",
        (("model", "Encoder"), ("params", "Parameters"), ("value", content.metric), ("frontier", "On the frontier")),
    )  # fmt: skip


def _shots(content: Content) -> Chart | None:
    if len(content.regimes) < 2:
        return None
    order = [regime_name(regime) for regime in sorted(content.regimes, key=lambda regime: shots_of(regime) or math.inf)]
    crowded = len(content.entrants) > HIGHLIGHTED
    own = "runs and " if content.is_mixed else ""
    coloured = f"; {own}the best with the most data are coloured, others are grey" if crowded else ""
    base = _base(content).transform_filter("datum.scope === scope")
    x = alt.X("regime:N", title="Training sequences per class", sort=order,
              axis=alt.Axis(labelAngle=0, labelExpr="replace(datum.value, '-shot', '')"))  # fmt: skip
    y = alt.Y("value:Q", title=f"{content.metric} (chosen score)")
    tips = _tooltip(content, alt.Tooltip("regime:N", title="Training data"))
    every = base.mark_line(strokeWidth=1, opacity=0.35, color="#8a8a8a").encode(x=x, y=y, detail="key:N", tooltip=tips)
    best = base.transform_filter("datum.lead")
    colours, shapes = alt.Scale(range=list(OKABE_ITO)), alt.Scale(range=list(SHAPES))
    lines = best.mark_line(strokeWidth=2).encode(
        x=x, y=y, tooltip=tips, stroke=alt.Stroke("model:N", scale=colours, legend=None)
    )
    points = best.mark_point(size=70, filled=True, opacity=1).encode(
        x=x, y=y, tooltip=tips,
        color=alt.Color("model:N", title="Encoder", scale=colours),
        shape=alt.Shape("model:N", title="Encoder", scale=shapes),
    )  # fmt: skip
    return _chart(
        "shots", "Score by number of training sequences per class", (every + lines + points).properties(height=360),
        f"Lines join one encoder's scores{coloured}. "
        "Few-shot scores are means over random draws of the training sequences.",
        (("model", "Encoder"), ("regime", "Training data"), ("value", content.metric), ("rank", "Rank")),
        every_regime=True,
    )  # fmt: skip


def _agreements(content: Content) -> Chart | None:
    rows = agreement_rows(content.sensitivity)
    if not rows:
        return None
    rule, points = agreement_marks(_base(content), OKABE_ITO)
    marks = (rule + points).properties(height=60 + 16 * len(rows))
    return _chart(
        "agreements", "Agreement of rankings under two settings", marks,
        "Dot: Spearman's correlation between the rankings of the encoders under two values of one setting, all else "
        "equal; line: its bootstrap interval. 1 is the same order, 0 unrelated.",
        (("pair", "Compared"), ("regime", "Training data"), ("value", "Spearman"), ("low", "from"), ("high", "to"),
         ("lowest", "lowest"), ("flips", "Pairs that change order"), ("real", "significant in both")),
        section="sensitivity", rows=rows,
    )  # fmt: skip


def _kinds(kinds: Sequence[str]) -> dict[str, Any]:
    """Colour and shape by kind, the most frequent first; a legend that shows both. No two kinds share both."""
    domain = sorted(set(kinds), key=lambda kind: (-kinds.count(kind), kind))
    turns = [(i, i // len(SHAPES)) for i in range(len(domain))]
    colours = [OKABE_ITO[i % len(OKABE_ITO)] for i, _ in turns]
    shapes = [SHAPES[(i + turn) % len(SHAPES)] for i, turn in turns]
    return {
        "color": alt.Color("kind:N", title="Type", scale=alt.Scale(domain=domain, range=colours)),
        "shape": alt.Shape("kind:N", title="Type", scale=alt.Scale(domain=domain, range=shapes)),
    }


def _chart(
    name: str, title: str, chart: alt.TopLevelMixin, caption: str, columns: tuple[tuple[str, str], ...], **more: Any
) -> Chart:
    # the page's theme brings colours and fonts; the height of named rows follows from their number
    spec: dict[str, Any] = chart.properties(
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        description=f"{title}. {caption} The data are in the table below the chart.",
    ).to_dict()
    spec.pop("config", None)
    return Chart(name, title, caption, spec, columns, **more)
