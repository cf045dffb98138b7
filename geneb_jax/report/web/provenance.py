"""Where scores come from, as tables: data, encoders, versions, timings, and what is known of the tasks' data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geneb_jax.published import SOURCE
from geneb_jax.report.layout import value
from geneb_jax.report.web.content import Table, regime_name
from geneb_jax.run.directory import Run
from geneb_jax.run.meta import Session
from geneb_jax.run.runs import Runs
from geneb_jax.stats.compare import POWER
from geneb_jax.stats.resampled import Resampled


def board_provenance() -> tuple[Table, ...]:
    """Source and licence of the published scores."""
    rows = (
        ("Repository", SOURCE.repository),
        ("Commit", SOURCE.commit),
        ("Paper", SOURCE.paper),
        ("Licence of the scores", SOURCE.licence),
        ("Probe", "scikit-learn's LogisticRegression, C = 1, max_iter = 1000, as the authors ran it"),
        ("Value", "mean over the seeds 13, 17, 42, 123, 997"),
    )
    return (Table(("Item", "Value"), rows, "Source of the published scores", left=2),)


def run_provenance(runs: Runs) -> tuple[Table, ...]:
    """Settings, encoders, versions and timings of every run."""
    return (
        Table(
            ("Item", *(f"Run {run.path.name}" for run in runs.parts)),
            _settings(runs.parts),
            "Settings",
            left=1 + len(runs.parts),
        ),
        Table(
            ("Encoder", "Width", "Sequences", "Revision", "Digest"),
            tuple(
                (e.name, _number(e.width), _number(e.num_rows), e.revision, e.digest[:16]) for e in runs.meta.encoders
            ),
            "Encoders",
        ),
        Table(
            ("Run and command", "Phase", "Seconds", "Peak memory (GB)"),
            tuple(row for run in runs.parts for session in run.meta.sessions for row in _phases(run, session)),
            "Time and memory",
            "Wall-clock time of each phase; memory is the process's highest use by the end of the phase.",
            left=2,
        ),
    )


def recorded_tables(runs: Runs, resampled: Resampled | None) -> tuple[Table, ...]:
    """What runs recorded of its tasks' data, and the smallest difference that each task can show."""
    detectable = resampled.comparison.detectable if resampled and resampled.comparison else ()
    regimes = list(dict.fromkeys(d.regime for d in detectable))
    smallest = {(d.task, d.regime): value(d.difference) for d in detectable}
    rows = []
    for task, meta in runs.meta.tasks.items():
        if task not in runs.meta.suite.categories:
            continue
        shown = [smallest.get((task, regime), "–") for regime in regimes]
        said = "; ".join(filter(None, (*meta.warnings, meta.leak_sentence))) or "–"
        rows.append((runs.meta.suite.labels.get(task, task), _number(meta.n_train), _number(meta.n_test),
                     str(len(meta.labels)), _number(meta.leaked), *shown, said))  # fmt: skip
    heads = [f"Smallest difference, {regime_name(regime).lower()}" for regime in regimes]
    note = (
        f"Smallest difference: the paired difference between two encoders that this task's test rows would show with a "
        f"chance of {POWER:.0%} or more, compared alone, median over pairs."
        if regimes
        else ""
    )
    heads = ["Task", "Training rows", "Test rows", "Classes", "Test rows in train", *heads, "Warnings"]
    return (Table(tuple(heads), tuple(rows), "Data of the tasks, as the run recorded them", note),)


def audit_tables(audit: Mapping[str, Any], labels: Mapping[str, str]) -> tuple[Table, ...]:
    """The tables of an audit as `geneb tasks --audit --json` prints it; none for an empty one."""
    rows = []
    for task in audit.get("tasks", ()):
        splits = {split["name"]: split for split in task["splits"]}
        across = next((c for c in task["across"] if (c["first"], c["second"]) == ("train", "test")), None)
        if task.get("problem") or not {"train", "test"} <= splits.keys():
            reason = task.get("problem") or "no train and test split"
            rows.append((labels.get(task["id"], task["id"]), *["–"] * 7, reason))
            continue
        counts = splits["test"]["class_counts"].values()
        rows.append((
            labels.get(task["id"], task["id"]),
            *(_number(splits[name]["duplicate_rows"]) for name in ("train", "test")),
            _number(across["rows"] if across else None),
            _number(across["opposite_rows"] if across else None),
            _number(across["near_rows"] if across else None),
            _number(task["conflicting_sequences"]),
            f"{max(counts) / sum(counts):.0%}" if counts else "–",
            "; ".join(task["warnings"]) or "–",
        ))  # fmt: skip
    if not rows:
        return ()
    heads = (
        "Task", "Duplicate rows in train", "in test", "Test rows that stand in train", "on the opposite strand",
        "nearly", "Sequences with two labels", "Largest class of test", "Warnings",
    )  # fmt: skip
    return (
        Table(heads, tuple(rows), "Audit of the sequences", "Sequences are compared exactly, letter by letter; nearly: "
              "80% of it stand in one training sequence at 90% identity (– where that was not looked for)."),
    )  # fmt: skip


def _settings(runs: Sequence[Run]) -> tuple[tuple[str, ...], ...]:
    columns = []
    for run in runs:
        meta = run.meta
        last = meta.sessions[-1] if meta.sessions else Session(started="")
        columns.append({
            "Suite": " ".join(filter(None, (meta.suite.name, meta.suite.version))),
            "Source of the data": meta.suite.source,
            "Regimes": ", ".join(meta.settings.regimes),
            "Few-shot draws": str(len(meta.settings.seeds)),
            "Probes": ", ".join(dict.fromkeys(f"{p.get('name')} (C = {p['C']:g})" if isinstance(p.get("C"), float)
                                              else str(p.get("name")) for p in meta.settings.probes)),
            "Engine and precision": f"{meta.settings.engine}, {meta.settings.dtype}",
            "Started": last.started,
            "Finished": last.finished or "not finished",
            "Devices": ", ".join(last.devices),
            "Versions": ", ".join(f"{name} {version}" for name, version in last.versions.items()),
            "Records": f"{len(run.records):,}; SHA-256 {meta.hashes.get('records.parquet', 'unknown')[:16]}",
        })  # fmt: skip
    return tuple((name, *(column[name] for column in columns)) for name in columns[0])


def _phases(run: Run, session: Session) -> list[tuple[str, ...]]:
    name = f"{run.path.name}, {session.started}"
    return [
        (name, phase, f"{found.seconds:,.1f}", f"{found.peak_memory / 1e9:.2f}" if found.peak_memory else "–")
        for phase, found in session.phases.items()
    ]


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
