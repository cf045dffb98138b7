"""Where the time of a study went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geneb_jax.run.runs import Runs
from geneb_jax.stats.sensitivity.study import probe_type


@dataclass(frozen=True)
class Timing:
    """Seconds of wall time: `fitting`, of all commands that filled the runs and came to their end, and `analysis`.

    `probes` are those of the fits alone by type of probe, most first; fits of an interrupted command count too.
    """

    fitting: float
    analysis: float
    probes: Mapping[str, float]


def study_timing(runs: Runs, analysis: float) -> Timing:
    """The time that these runs keep, beside that of an analysis."""
    phases = [phase for session in runs.meta.sessions for phase in session.phases.values()]
    sums: dict[str, float] = {}
    for run in runs.parts:
        columns = run.records.select(["probe", "seconds"]).to_pydict()
        for probe, seconds in zip(columns["probe"], columns["seconds"], strict=True):
            sums[probe_type(probe)] = sums.get(probe_type(probe), 0.0) + (seconds or 0.0)
    by_time = dict(sorted(sums.items(), key=lambda one: -one[1]))
    return Timing(sum(phase.seconds for phase in phases), analysis, by_time)
