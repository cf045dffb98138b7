"""Short names of series: the encoder, and whatever else tells one from the others at hand."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.probes.spec import PENALISED
from geneb_jax.stats.aggregate import Series


def penalty(series: Series) -> str:
    """C in words."""
    if series.C is None:
        return "auto" if chooses_penalty(series) else "-"
    return f"{series.C:g}"


def chooses_penalty(series: Series) -> bool:
    """Whether C is chosen fit by fit; some probe types have none."""
    return series.C is None and series.probe.split("-")[0] in PENALISED


def encoder_name(series: Series, among: Sequence[Series]) -> str:
    """The encoder's name, with a part of its digest where two of those at hand share it."""
    twins = {s.encoder_digest for s in among if s.encoder == series.encoder}
    return series.encoder + (f" #{series.encoder_digest[:6]}" if len(twins) > 1 else "")


def series_name(series: Series, among: Sequence[Series]) -> str:
    """The encoder, and probe, C, engine and precision where they differ among those at hand."""
    parts = [encoder_name(series, among)]
    parts += [series.probe] if len({s.probe for s in among}) > 1 else []
    parts += [f"C={penalty(series)}"] if len({s.C for s in among}) > 1 else []
    parts += [series.engine] if len({s.engine for s in among}) > 1 else []
    parts += [series.dtype] if len({s.dtype for s in among}) > 1 else []
    alike = {
        s.probe_digest
        for s in among
        if (s.encoder_digest, s.probe, s.C) == (series.encoder_digest, series.probe, series.C)
    }
    parts += [f"#{series.probe_digest[:6]}"] if len(alike) > 1 else []
    return " ".join(parts)
