"""Embed with several encoders, then probe: what ``geneb run`` and ``geneb quickstart`` do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.batching import free_memory
from geneb_jax.encoder.load import takes_option
from geneb_jax.errors import EncoderError
from geneb_jax.probes.regime import GENEB_REGIMES
from geneb_jax.probes.solvers import SolverChoice
from geneb_jax.probes.spec import Dtype, LogisticSpec, ProbeSpec
from geneb_jax.run.directory import Run
from geneb_jax.run.embedding import EmbedReport, embed
from geneb_jax.run.engines import Engine
from geneb_jax.run.presets import require_one_preset
from geneb_jax.run.probing import probe
from geneb_jax.task import Suite


@dataclass(frozen=True)
class WholeRun:
    """A run with the report of each encoder's embedding, and a line for everything that went wrong there."""

    run: Run
    reports: tuple[EmbedReport, ...]
    problems: tuple[str, ...]


def embed_and_probe(
    encoders: Sequence[str],
    suite: Suite,
    out: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    tasks: Sequence[str] = (),
    regimes: Sequence[str] = GENEB_REGIMES,
    seeds: Sequence[int] | None = None,
    draws: int | None = None,
    key: int = 0,
    specs: Sequence[ProbeSpec] = (LogisticSpec(),),
    engine: Engine = "jax",
    solver: SolverChoice = "auto",
    dtype: Dtype = "float32",
    memory_budget: int | None = None,
    progress: bool = True,
    command: Sequence[str] = (),
    trust_remote_code: bool = False,
    allow_unread: bool = False,
    embedded: Callable[[EmbedReport], None] | None = None,
) -> WholeRun:
    """Embed a suite with every encoder into `store` (default: `out`/store) and probe what it then holds.

    All encoders are loaded first, so that a wrong name stops at once. One that fails its checks is left out
    and named, unless it is the only one; so is one that does not read a task's letters, unless `allow_unread`
    (`geneb_jax.run.reading`). `trust_remote_code` lets models of the hub run code of their own.
    `embedded` is told of each encoder as soon as its vectors are stored.

    Raises:
        GenebError: as `load_encoder`, `embed` and `probe` do.
    """
    # JAX would take three quarters of a GPU at its first array, and the models would have to live on the rest
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    store = Path(out) / "store" if store is None else Path(store)
    chosen = suite.select(list(tasks))
    loaded = [
        load_encoder(
            name,
            **({"trust_remote_code": True} if trust_remote_code and takes_option(name, "trust_remote_code") else {}),
        )
        for name in dict.fromkeys(encoders)
    ]
    require_one_preset(
        ((encoder.info.name, encoder.info.settings) for encoder in loaded),
        cure="run each preset on its own, with an --out of its own",
    )
    reports: list[EmbedReport] = []
    problems: list[str] = []
    only = len(loaded) == 1
    while loaded:
        # a model leaves the device when its vectors are stored: the next one, and the fits, need the memory
        encoder = loaded.pop(0)
        try:
            reports.append(embed(encoder, chosen, store, progress=progress, allow_unread=allow_unread))
            if embedded is not None:
                embedded(reports[-1])
        except EncoderError as error:
            if only:
                raise
            problems.append(f"{encoder.info.name} is left out: {error}")
        del encoder
        free_memory()
    run = probe(
        [store],
        suite,
        out,
        tasks=tasks,
        regimes=regimes,
        seeds=seeds,
        draws=draws,
        key=key,
        specs=specs,
        engine=engine,
        solver=solver,
        dtype=dtype,
        memory_budget=memory_budget,
        progress=progress,
        command=command,
        encoders={report.digest for report in reports},
    )
    return WholeRun(run, tuple(reports), tuple(problems))
