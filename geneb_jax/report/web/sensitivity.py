"""Panels from ``sensitivity.json``: do rankings survive another probe, penalty, pooling or label budget?

The file's keys are described in `geneb_jax.stats.sensitivity.document`; a key that is absent gives no panel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from geneb_jax.report.sensitivity import status_lines
from geneb_jax.report.web.content import Table, regime_name
from geneb_jax.status import Status

Row = dict[str, Any]


def agreement_rows(document: Mapping[str, Any]) -> list[Row]:
    """Of every two values of an axis: how well the rankings by macro agree."""
    return [
        {
            "pair": f"{one['axis']}: {one['first']} – {one['second']}",
            "regime": "All" if one["regime"] == "all" else regime_name(one["regime"]),
            **{name: value for name, value in one["spearman"].items() if value is not None},
            "lowest": one["lowest"],
            "flips": f"{one['num_flips']} of {one['num_pairs']}",
            "real": one["num_real"],
        }
        for one in document.get("agreements", ())
        if one["scope"] == "macro" and one["spearman"]["value"] is not None
    ]


def agreement_marks(base: alt.Chart, colours: Sequence[str]) -> tuple[alt.Chart, alt.Chart]:
    """Points with intervals, coloured by label budget."""
    y = alt.Y("pair:N", title=None, sort=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    x = alt.X("value:Q", title="Spearman's rank correlation (1: the same order)", scale=alt.Scale(domainMax=1))
    tips = [
        alt.Tooltip("pair:N", title="Compared"),
        alt.Tooltip("regime:N", title="Training data"),
        alt.Tooltip("value:Q", title="Spearman", format=".2f"),
        alt.Tooltip("flips:N", title="Pairs that change order"),
        alt.Tooltip("real:Q", title="of these significant in both"),
    ]
    offset = alt.YOffset("regime:N", sort=None)
    rule = base.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x=alt.X("low:Q"), x2="high:Q", y=y, yOffset=offset, tooltip=tips
    )
    colour = alt.Color("regime:N", title="Training data", sort=None, scale=alt.Scale(range=list(colours)))
    shape = alt.Shape("regime:N", title="Training data", sort=None)
    points = base.mark_point(size=60, filled=True, opacity=1).encode(
        x=x, y=y, yOffset=offset, tooltip=tips, color=colour, shape=shape
    )
    return rule, points


def sensitivity_tables(document: Mapping[str, Any]) -> tuple[Table, ...]:
    """How far each encoder's macro score moves along each axis."""
    rows = tuple(
        (one["axis"], one["encoder"], regime_name(one["regime"]) if one["regime"] != "all" else "All",
         *(_number(one[name]) for name in ("mean", "sd", "range")), str(one["best"]), str(one["worst"]))
        for one in document.get("spreads", ()) if one["scope"] == "macro"
    )  # fmt: skip
    heads = ("What is varied", "Encoder", "Training data", "Mean score", "s.d.", "Range", "Best at", "Worst at")
    total = Counter[Status]()
    for setting in document.get("settings", ()):
        for counts in setting.get("statuses", {}).values():
            total.update({status: counts[status.label] for status in Status if status.label in counts})
    note = " ".join((
        "s.d. and range over the values of what is varied, all else equal, mean over the ways to hold the rest.",
        *status_lines(total),
    ))  # fmt: skip
    return (Table(heads, rows, "How far a macro score moves", note, left=3),) if rows else ()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
