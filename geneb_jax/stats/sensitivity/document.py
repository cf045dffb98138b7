"""``sensitivity.json``: what a study showed, for other programs. `KEYS` says what every key holds.

The file carries ``geneb_type`` ("sensitivity") and ``geneb_version``, which rises when a key changes its meaning, not
when one is added. A value that could not be computed is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from geneb_jax.stats.sensitivity.agreement import Comparison, estimate
from geneb_jax.stats.sensitivity.analysis import Sensitivity
from geneb_jax.stats.sensitivity.timing import Timing
from geneb_jax.stats.sensitivity.verdicts import conditions, verdicts

DOCUMENT: Final = "sensitivity.json"
SENSITIVITY_TYPE: Final = "sensitivity"
SENSITIVITY_VERSION: Final = 1

KEYS: Final[Mapping[str, str]] = {
    "geneb_type": "sensitivity",
    "geneb_version": "version of the meaning of these keys",
    "runs": "names of the run directories that were analysed",
    "seconds": "wall time",
    "seconds.fitting": "of all commands that filled the runs, without those that were interrupted",
    "seconds.analysis": "of rankings, resamples and tests",
    "seconds.probes": "of the fits alone, by type of probe",
    "metric": "mcc, accuracy or macro_f1",
    "source": "what the resamples draw anew: rows, draws or both",
    "level": "of the intervals; 1 - level is the significance level of flips",
    "resamples": "how many; 0 where the runs hold no predictions, and no interval or test is given",
    "top": "how many of the best encoders are compared",
    "encoders": "names, without layer and pooling",
    "tasks": "category of every task that was counted",
    "left_out": "tasks that some encoder or setting has no score of: not counted",
    "axes": "the values of every axis that was varied: probe, C, pooling, layer, shots, standardize",
    "verdicts": "sentences, one string for each axis and regime",
    "settings": "every combination that was scored: its word on each axis (- for none), and scores",
    "settings.scores": "macro of every encoder; null where it lacks the view",
    "settings.statuses": "by encoder, how many fits of the counted tasks did not simply converge, by status",
    "agreements": "two values of an axis, all else equal, in one regime and mean, over all ways to hold the rest",
    "agreements.axis": "what differs",
    "agreements.first": "one value",
    "agreements.second": "the other",
    "agreements.regime": "full or <k>shot; all on the axis shots, which compares regimes",
    "agreements.scope": "macro or category",
    "agreements.name": "macro, or the category's name",
    "agreements.num_contexts": "ways to hold the rest, over which means are taken",
    "agreements.spearman": "mean rank correlation of the encoders' scores: value, low, high (percentile interval)",
    "agreements.kendall": "the same with Kendall's tau-b",
    "agreements.shared": "mean share of the `top` best that are among the best in both",
    "agreements.lowest": "the lowest Spearman of a single way to hold the rest",
    "agreements.lowest_at": "that way, in words",
    "agreements.num_pairs": "pairs of encoders, counted in every context",
    "agreements.num_flips": "pairs that change order",
    "agreements.num_real": "flips whose difference is significant in both settings (paired bootstrap, max-T)",
    "comparisons": "the same for macro, one way to hold the rest at a time",
    "comparisons.axis": "what differs",
    "comparisons.first": "one setting, its word on each axis",
    "comparisons.second": "the other",
    "comparisons.regime": "as in agreements",
    "comparisons.num_encoders": "encoders that have both",
    "comparisons.spearman": "value, low, high",
    "comparisons.kendall": "value, low, high",
    "comparisons.shared": "value, low, high",
    "comparisons.flips": "pairs of encoders that change order",
    "comparisons.flips.ahead": "the encoder that leads under first",
    "comparisons.flips.behind": "the one that leads under second",
    "comparisons.flips.lead_first": "difference of their scores under first, above 0",
    "comparisons.flips.lead_second": "difference under second, above 0",
    "comparisons.flips.p_first": "p-value under first, step-down max-T over all pairs of encoders",
    "comparisons.flips.p_second": "p-value under second",
    "comparisons.flips.real": "whether both are at most 1 - level; null without resamples",
    "conditions": "agreement along an axis where another axis is held at one value (macro)",
    "conditions.axis": "what differs",
    "conditions.regime": "as in agreements",
    "conditions.held": "the axis that is held",
    "conditions.value": "at what",
    "conditions.num_comparisons": "pairs of settings",
    "conditions.spearman": "mean Spearman over them",
    "conditions.lowest": "lowest Spearman of one of them",
    "conditions.lowest_first": "the values between which it is lowest",
    "conditions.lowest_second": "the values between which it is lowest",
    "spreads": "how far one encoder's score moves along an axis",
    "spreads.axis": "what differs",
    "spreads.encoder": "its name",
    "spreads.regime": "as in agreements",
    "spreads.scope": "macro or category",
    "spreads.name": "macro, or the category's name",
    "spreads.num_contexts": "ways to hold the rest, over which means are taken",
    "spreads.mean": "mean score",
    "spreads.sd": "standard deviation over the axis (ddof 1), mean over contexts",
    "spreads.range": "largest minus smallest score over the axis, mean over contexts",
    "spreads.best": "the value with the highest mean score",
    "spreads.worst": "the value with the lowest",
    "variances": "analysis of variance of single scores; geneb_jax.stats.sensitivity.variance states the model",
    "variances.axis": "the axis in the model",
    "variances.regime": "as in agreements",
    "variances.term": "encoder, task, the axis, draw, and interactions joined by ×",
    "variances.df": "degrees of freedom, summed over contexts",
    "variances.share": "part of the total sum of squares; the parts of one axis and regime add up to 1",
    "variances.component": "variance component, mean over contexts; below 0: no more than chance",
    "variances.num_contexts": "analyses that were put together",
    "variances.num_draws": "draws in each; 1: no draw in the model",
}
"""Every key, those of listed objects with the list's name in front."""


def document(found: Sensitivity, *, runs: Sequence[str], timing: Timing) -> dict[str, Any]:
    """The content of ``sensitivity.json``."""
    study = found.study
    return {
        "geneb_type": SENSITIVITY_TYPE,
        "geneb_version": SENSITIVITY_VERSION,
        "runs": list(runs),
        "seconds": asdict(timing),
        "metric": found.metric,
        "source": found.source,
        "level": found.level,
        "resamples": found.resamples,
        "top": found.top,
        "encoders": list(study.encoders),
        "tasks": dict(zip(study.tasks, study.categories, strict=True)),
        "left_out": list(study.left_out),
        "axes": {axis: list(values) for axis, values in found.axes.items()},
        "verdicts": verdicts(found),
        "settings": [
            {
                **asdict(setting),
                "scores": {
                    name: float(score) if score == score else None
                    for name, score in zip(study.encoders, scores, strict=True)
                },
                "statuses": {
                    name: {status.label: count for status, count in sorted(statuses.items())}
                    for name, statuses in zip(study.encoders, study.statuses[setting], strict=True)
                    if statuses
                },
            }
            for setting, scores in found.macro.items()
        ],
        "agreements": [asdict(one) for one in found.agreements],
        "comparisons": [_comparison(one, found.level) for one in found.comparisons],
        "conditions": [asdict(one) for one in conditions(found)],
        "spreads": [asdict(one) for one in found.spreads],
        "variances": [asdict(one) for one in found.variances],
    }


def _comparison(one: Comparison, level: float) -> dict[str, Any]:
    parts = [asdict(estimate(row, level)) for row in one.values]
    return {
        "axis": one.axis,
        "first": asdict(one.first),
        "second": asdict(one.second),
        "regime": one.regime,
        "num_encoders": one.num_encoders,
        **dict(zip(("spearman", "kendall", "shared"), parts, strict=True)),
        "flips": [asdict(flip) for flip in one.flips],
    }
