"""From a run to a submission: one encoder's scores under GENEB's protocol, or what is missing for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geneb_jax import __version__
from geneb_jax.errors import RunError, UsageError, unknown_name
from geneb_jax.probes.regime import GENEB_SEEDS
from geneb_jax.published import REGIMES, board_model, tasks
from geneb_jax.report.submission.schema import HARNESS, SCHEMA_VERSION, file_stem, missing_scores, problems
from geneb_jax.run.meta import EncoderMeta
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import METRICS, Metric, Series, TaskScore, task_scores
from geneb_jax.stats.protocol import probe_differences

KEYS: Mapping[Metric, str] = {"mcc": "MCC", "accuracy": "Acc", "macro_f1": "F1"}

Results = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Entry:
    """One encoder of runs under one probe, with its results {regime: {task: {MCC, Acc, F1}}}.

    `short_of_draws` counts, by regime, the tasks that have scores, but not one of each of GENEB's five draws.
    """

    runs: Runs
    series: Series
    encoder: EncoderMeta
    results: Results
    short_of_draws: Mapping[str, int]


def entry_of(runs: Runs, name: str | None = None) -> Entry:
    """The encoder called `name`, or the only one; few-shot scores are means over GENEB's five draws, where all exist.

    Raises:
        UsageError: there are several encoders, or several probes of it, and nothing says which.
        UnknownNameError: the run has no such encoder.
        RunError: the scores are of a control, not of real data.
    """
    if any(runs.records["control"].to_pylist()):
        raise RunError("these scores are of a control, not of real data", cure="export a run of the real tasks")
    scores = {metric: task_scores(runs.records, metric) for metric in METRICS}
    series = _only(list(dict.fromkeys(one.series for one in scores["mcc"])), name)
    results: Results = {}
    short: Counter[str] = Counter()
    for metric, key in KEYS.items():
        for one in scores[metric]:
            if one.series != series:
                continue
            value = _over_draws(one)
            if value is not None:
                results.setdefault(one.regime, {}).setdefault(one.task, {})[key] = value
            elif metric == "mcc" and one.num_scores:
                short[one.regime] += 1
    encoder = runs.meta.encoder(series.encoder_digest)
    return Entry(
        runs, series, encoder or EncoderMeta(name=series.encoder, digest=series.encoder_digest), results, short
    )


def _only(every: Sequence[Series], name: str | None) -> Series:
    """The series of the encoder called `name`, or of the only one; under the board's probe where there are several."""
    encoders = list(dict.fromkeys(one.encoder for one in every))
    if name is None and len(encoders) != 1:
        raise UsageError(
            f"the run has {len(encoders)} encoders", where=", ".join(encoders), cure="name one with --model"
        )
    if name is not None and name not in encoders:
        raise unknown_name("encoder of this run", name, encoders)
    own = [one for one in every if name in (None, one.encoder)]
    stock = [one for one in own if one.probe == "logistic" and one.C == 1.0]
    if len(own) > 1 and len(stock) != 1:
        raise UsageError(f"the run has {len(own)} probe settings of {own[0].encoder}", cure="export a run of one")
    return stock[0] if len(own) > 1 else own[0]


def _over_draws(score: TaskScore) -> float | None:
    """The mean over GENEB's five draws; None where one has no score. Full data is fitted once."""
    if score.regime == "full":
        return score.mean
    values = [score.draws.get(seed) for seed in GENEB_SEEDS]
    held = [value for value in values if value is not None]
    return sum(held) / len(held) if len(held) == len(values) else None


def build_submission(entry: Entry, *, model_id: str | None = None, **given: Any) -> dict[str, Any]:
    """The submission; `given` are parts of ``meta`` that the user states, and go before what the registry knows.

    Raises:
        RunError: scores or facts are missing, the probe is not GENEB's, or a rule is broken; nothing is left out.
    """
    published = board_model(entry.encoder.name)
    meta = {
        "display": entry.encoder.name,
        "params": published.params if published else None,
        "url": f"https://huggingface.co/{published.hub_id}" if published and published.hub_id else "",
        "zero_shot": False,
        "training_data": published.pretraining if published else "",
        "provenance": "self-reported",
        "submitted_by": "",
        **{key: value for key, value in given.items() if value is not None},
    }
    lacking = list(_lacking(entry, meta))
    if lacking:
        raise RunError(
            f"this is no complete submission of {entry.encoder.name}: GENEB takes 100 tasks in 3 regimes",
            where="\n    ".join([entry.runs.name, *lacking]),
            cure=f"`geneb run ENCODER --suite geneb --out {entry.runs.parts[0].path.name}` adds scores to the run; "
            "nothing was written",
        )
    stock = entry.series.engine == "sklearn-stock"
    found = {
        "schema_version": SCHEMA_VERSION,
        "model_id": model_id or (published.model if published else entry.encoder.name),
        "harness_version": HARNESS if stock else f"{HARNESS} (protocol; fitted by geneb_jax {__version__})",
        "meta": meta,
        "results": {regime: {t.id: entry.results[regime][t.id] for t in tasks()} for regime in REGIMES},
    }
    wrong = problems(found, f"{file_stem(str(found['model_id']))}.json")
    if wrong:
        raise RunError("the submission breaks GENEB's rules", where="\n    ".join(wrong), cure="nothing was written")
    return found


def _lacking(entry: Entry, meta: Mapping[str, Any]) -> list[str]:
    """Why there can be no submission, a line each."""
    probes = entry.runs.meta.settings.probes
    found = [
        *missing_scores({regime: tuple(own) for regime, own in entry.results.items()}),
        *(
            f"{regime}: {count} task{'s' if count > 1 else ''} without one of GENEB's five draws, seeds "
            f"{', '.join(map(str, GENEB_SEEDS))}"
            for regime, count in entry.short_of_draws.items()
        ),
        *probe_differences(probe for probe in probes if probe["digest"] == entry.series.probe_digest),
    ]
    if meta["params"] is None:
        found.append("the number of parameters is not known: give --params, such as --params 87M")
    return found
