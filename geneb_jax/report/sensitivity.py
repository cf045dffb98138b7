"""The tables of a sensitivity study: one definition of each, for the terminal and for Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from rich.console import Console
from rich.text import Text

from geneb_jax.report.analysis import Section, print_section
from geneb_jax.report.board import METRIC_LINES
from geneb_jax.report.layout import Column, number_range, once
from geneb_jax.report.markdown import section_markdown
from geneb_jax.stats.sensitivity.agreement import ALL, Agreement, Comparison, Estimate, Flip
from geneb_jax.stats.sensitivity.analysis import Sensitivity
from geneb_jax.stats.sensitivity.settings import Axis, Setting, value_words
from geneb_jax.stats.sensitivity.spread import Variance
from geneb_jax.stats.sensitivity.timing import Timing
from geneb_jax.stats.sensitivity.verdicts import CHANGED, STEADY, SUBJECTS, conditions, verdicts
from geneb_jax.stats.ties import best_first
from geneb_jax.status import Status

FLIPS_SHOWN: Final = 12
"""Real flips that are listed; sensitivity.json has all."""

READING: Final = (
    "Spearman and Kendall compare two rankings of the encoders: 1 the same order, 0 unrelated, -1 reversed. "
    f"From {STEADY} on they hardly differ; below {CHANGED} they are called changed."
)


def print_sensitivity(found: Sensitivity, timing: Timing, to: Console, *, details: bool) -> None:
    """Print what was studied, the verdicts, and the tables; with `details` also intervals and categories."""
    to.print()
    to.print(Text(headline(found), style="bold"))
    for line in (METRIC_LINES[found.metric], READING, *warnings(found)):
        to.print(Text(line, style="dim"))
    to.print()
    for verdict in verdicts(found):
        to.print(Text(f"• {verdict}"))
    for section in sections(found, details=details):
        print_section(section, to)
    to.print()
    to.print(Text(time_line(timing), style="dim"))


def markdown(found: Sensitivity, timing: Timing) -> str:
    """The same with all details as Markdown, without a title: it goes into a page."""
    lines = [f"{headline(found)}.", METRIC_LINES[found.metric], READING, *warnings(found)]
    bullets = "\n".join(f"- {verdict}" for verdict in verdicts(found))
    tables = [section_markdown(section) for section in sections(found, details=True)]
    return "\n\n".join([*lines, bullets, *tables, time_line(timing)]) + "\n"


def headline(found: Sensitivity) -> str:
    """How much was compared."""
    study = found.study
    fits = sum(np.isfinite(draws).sum() for draws in study.draws.values())
    return (
        f"{len(study.encoders)} encoders under {len(study.settings)} settings on {len(study.tasks)} tasks: "
        f"{fits:,} scores"
    )


def warnings(found: Sensitivity) -> Iterator[str]:
    """What limits the figures."""
    if found.study.left_out:
        yield f"Not counted, since not every encoder and setting has a score: {', '.join(found.study.left_out)}."
    yield from status_lines(_statuses(found))
    if not found.resamples:
        yield "The runs hold no predictions: there are no intervals, and flips cannot be tested."
    elif found.resamples < found.resamples_needed:
        yield (
            f"With {found.resamples:,} resamples no flip can be called real among so many encoders: "
            f"give --resamples {found.resamples_needed:,} or more."
        )
    else:
        what = {"rows": "test rows", "draws": "few-shot draws", "both": "test rows and draws"}[found.source]
        yield f"Intervals at {found.level:.0%} and tests: {found.resamples:,} paired resamples of the {what}."


def status_lines(counts: Mapping[Status, int]) -> Iterator[str]:
    """How many scores a status marks, and what it means."""
    for status, count in sorted(counts.items()):
        verb = "is" if count == 1 else "are"
        yield f"{status.mark} {count:,} of these scores {verb} {status.label}: {status.sentence}"


def _statuses(found: Sensitivity) -> Counter[Status]:
    total = Counter[Status]()
    for own in found.study.statuses.values():
        for statuses in own:
            total.update(statuses)
    return total


def _marks(found: Sensitivity, setting: Setting, *encoders: str) -> str:
    """The signs of what happened to fits of these encoders under a setting."""
    by_name = dict(zip(found.study.encoders, found.study.statuses[setting], strict=True))
    return "".join(dict.fromkeys(status.mark for name in encoders for status in sorted(by_name[name])))


def time_line(timing: Timing) -> str:
    """Wall time of the parts, and of every type of probe."""
    probes = ", ".join(f"{probe} {seconds:,.0f} s" for probe, seconds in timing.probes.items())
    return f"Time: fitting {timing.fitting:,.0f} s (the fits alone: {probes}), analysis {timing.analysis:,.0f} s."


def sections(found: Sensitivity, *, details: bool) -> Iterator[Section]:
    """Every table, in the order in which it is read."""
    for axis in found.axes:
        macro = [one for one in found.agreements if one.axis == axis and one.scope == "macro"]
        yield _pairs(axis, macro, found.top)
        if details:
            yield _intervals(axis, macro, found.top)
            categories = [one for one in found.agreements if one.axis == axis and one.scope == "category"]
            if categories:
                yield _categories(axis, categories)
    if len(found.axes) > 1:
        yield _conditions(found)
    for axis in found.axes:
        yield _spreads(found, axis)
    yield _variances(found, "Where differences of single scores come from: share of the sum of squares",
                     "encoder × C is what changes rankings along C; draw: all terms with the few-shot draws.",
                     lambda rows: f"{sum(v.share for v in rows):.0%}")  # fmt: skip
    yield _variances(found, "The same as typical size of an effect: standard deviation, in units of the score",
                     "Square root of the variance components, which do not grow with the number of values compared; "
                     "0: no more than chance.",
                     lambda rows: f"{sum(max(v.component, 0) for v in rows) ** 0.5:.3f}")  # fmt: skip
    if found.resamples:
        yield _real_flips(found)


def _pairs(axis: Axis, rows: Sequence[Agreement], top: int) -> Section:
    """Spearman by pair and regime; what else there is, over all regimes."""
    regimes = _regimes(rows)
    pairs = list(dict.fromkeys((one.first, one.second) for one in rows))
    cells = {(one.first, one.second, one.regime): one for one in rows}
    own = [[cells[(*pair, regime)] for regime in regimes if (*pair, regime) in cells] for pair in pairs]
    spearman = [
        Column("Spearman" if regime == ALL else regime, [_known(cells.get((*pair, regime))) for pair in pairs])
        for regime in regimes
    ]
    tested = all(one.num_real is not None for one in rows)
    return Section(
        f"Rankings along {SUBJECTS[axis]}: Spearman between two values" + ("" if regimes == [ALL] else ", by regime"),
        _pair_columns(axis, pairs),
        [
            *spearman,
            Column("Kendall", [_mean([one.kendall for one in group]) for group in own]),
            Column(f"top {top}", [_mean([one.shared for one in group], "{:.0%}") for group in own]),
            Column("flips", [_flips(group) for group in own]),
            *([Column("real", [str(sum(one.num_real or 0 for one in group)) for group in own])] if tested else []),
        ],
        [
            f"{_ways([one.num_contexts for one in rows])}top {top}: share of the "
            f"{top} best that are the same. flips: pairs of encoders that change order; real: significant in both."
        ],
    )


def _intervals(axis: Axis, rows: Sequence[Agreement], top: int) -> Section:
    regimes = _regimes(rows)
    ordered = sorted(rows, key=lambda one: regimes.index(one.regime))
    return Section(
        f"Rankings along {SUBJECTS[axis]}: with intervals",
        [
            Column("regime", once([one.regime for one in ordered])),
            *_pair_columns(axis, [(one.first, one.second) for one in ordered]),
        ],
        [
            Column("Spearman", [_interval(one.spearman) for one in ordered]),
            Column("lowest", [_number(one.lowest) for one in ordered]),
            Column("Kendall", [_interval(one.kendall) for one in ordered]),
            Column(f"top {top}", [_interval(one.shared) for one in ordered]),
        ],
        ["lowest: Spearman of the single way to hold the rest that agrees least."],
    )


def _categories(axis: Axis, rows: Sequence[Agreement]) -> Section:
    names, regimes = list(dict.fromkeys(one.name for one in rows)), _regimes(rows)

    def lowest(name: str, regime: str) -> str:
        values = [one.spearman.value for one in rows if (one.name, one.regime) == (name, regime)]
        known = [value for value in values if value is not None]
        return f"{min(known):.2f}" if known else "–"

    return Section(
        f"Rankings along {SUBJECTS[axis]}: lowest Spearman between two values, by category",
        [Column("category", names)],
        [Column("Spearman" if r == ALL else r, [lowest(name, r) for name in names]) for r in regimes],
    )


def _conditions(found: Sensitivity) -> Section:
    rows = conditions(found)
    regimes = list(dict.fromkeys(one.regime for one in rows))
    keys = list(dict.fromkeys((one.axis, one.held, one.value) for one in rows))
    cells = {(one.axis, one.held, one.value, one.regime): one for one in rows}
    return Section(
        "How far the answer depends on the other choices: mean (lowest) Spearman along an axis",
        [
            Column("along", once([axis for axis, _, _ in keys])),
            Column("with", [value_words(held, value) for _, held, value in keys]),
        ],
        [
            Column(regime, [
                f"{one.spearman:.2f} ({one.lowest:.2f})" if (one := cells.get((*key, regime))) else "–" for key in keys
            ])
            for regime in regimes
        ],
    )  # fmt: skip


def _spreads(found: Sensitivity, axis: Axis) -> Section:
    rows = [one for one in found.spreads if one.axis == axis and one.scope == "macro"]
    regimes = list(dict.fromkeys(one.regime for one in rows))
    cells = {(one.encoder, one.regime): one for one in rows}
    names = list(dict.fromkeys(one.encoder for one in rows))
    names = best_first(names, lambda name: max(one.mean for one in rows if one.encoder == name), str)
    return Section(
        f"How far scores move along {SUBJECTS[axis]}: largest minus smallest macro (the best value)",
        [Column("encoder", names)],
        [
            Column("all regimes" if regime == ALL else regime, [
                f"{one.range:.3f} ({one.best})" if (one := cells.get((name, regime))) else "–" for name in names
            ])
            for regime in regimes
        ],
    )  # fmt: skip


def _variances(found: Sensitivity, title: str, note: str, text: Callable[[list[Variance]], str]) -> Section:
    """One row for each axis and regime; terms with draws stand together, and so do those that are left."""
    keys = list(dict.fromkeys((one.axis, one.regime) for one in found.variances))
    rows = {key: [one for one in found.variances if (one.axis, one.regime) == key] for key in keys}
    known = ("encoder", "task", "axis", "encoder × task", "encoder × axis", "draw", "rest")

    def group(one: Variance) -> str:
        factors = ["axis" if part == one.axis else part for part in one.term.split(" × ")]
        name = " × ".join(factors)
        return "draw" if "draw" in factors else name if name in known else "rest"

    return Section(
        title,
        [Column("axis", once([axis for axis, _ in keys])), Column("regime", [regime for _, regime in keys])],
        [
            Column(name.replace(" × ", "\n× "), [
                text(own) if (own := [one for one in rows[key] if group(one) == name]) else "–" for key in keys
            ])
            for name in known
        ],
        [note],
    )  # fmt: skip


def _real_flips(found: Sensitivity) -> Section:
    """The real flips with the largest smaller lead."""
    flips: list[tuple[float, Comparison, Flip]] = []
    for one in found.comparisons:
        flips += [(min(f.lead_first, f.lead_second), one, f) for f in one.flips if f.real]
    flips.sort(key=lambda row: -row[0])

    def leads(setting: Setting, axis: Axis, f: Flip, ahead: str, lead: float) -> str:
        marks = _marks(found, setting, f.ahead, f.behind)
        return f"{value_words(axis, setting.value(axis))}:\n{ahead} +{lead:.3f}{marks}"

    shown = flips[:FLIPS_SHOWN]
    more = f"{len(flips):,} in all; sensitivity.json lists them." if len(flips) > len(shown) else ""
    return Section(
        "Changes of order that are real: who leads depends on the choice",
        [
            Column("with", [leads(one.first, one.axis, f, f.ahead, f.lead_first) for _, one, f in shown]),
            Column("but with", [leads(one.second, one.axis, f, f.behind, f.lead_second) for _, one, f in shown]),
            Column("all else", [one.first.words(skip={one.axis}).replace(", ", ",\n", 1) for _, one, _ in shown]),
        ],
        [Column("adjusted p", [f"{max(f.p_first or 0, f.p_second or 0):.2g}" for *_, f in shown])],
        [more] if more else [] if flips else ["None: every change of order is within what other test rows could do."],
    )


def _pair_columns(axis: Axis, pairs: Sequence[tuple[str, str]]) -> list[Column]:
    return [
        Column("between", [value_words(axis, first) for first, _ in pairs]),
        Column("and", [value_words(axis, second) for _, second in pairs]),
    ]


def _regimes(rows: Sequence[Agreement]) -> list[str]:
    return list(dict.fromkeys(one.regime for one in rows))


def _known(one: Agreement | None) -> str:
    return "–" if one is None else _number(one.spearman.value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _mean(estimates: Sequence[Estimate], pattern: str = "{:.2f}") -> str:
    known = [one.value for one in estimates if one.value is not None]
    return pattern.format(sum(known) / len(known)) if known else "–"


def _interval(one: Estimate) -> str:
    text = _number(one.value)
    return text if one.low is None else f"{text} ({one.low:.2f} to {one.high:.2f})"


def _flips(rows: Sequence[Agreement]) -> str:
    return f"{sum(one.num_flips for one in rows):,} of {sum(one.num_pairs for one in rows):,}"


def _ways(counts: Sequence[int]) -> str:
    """Over how many contexts means are taken, as a sentence; nothing where there is one."""
    if max(counts) == 1:
        return ""
    return f"Means over {number_range(min(counts), max(counts))} ways to hold the rest. "
