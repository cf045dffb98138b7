"""In what runs differ from the protocol behind the published scores, a sentence each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from geneb_jax.probes.regime import GENEB_SEEDS
from geneb_jax.published import categories, tasks
from geneb_jax.run.meta import Settings
from geneb_jax.run.presets import by_preset
from geneb_jax.run.runs import Runs

SUITE: Final = "geneb"


def protocol_differences(runs: Runs, shared: Collection[str]) -> list[str]:
    """What to know before scores of these runs on the tasks `shared` are held against published ones."""
    return [
        *_data(runs, shared),
        *_encoders(runs),
        *_fits([run.meta.settings for run in runs.parts]),
        *_draws(runs),
        "The board publishes points without intervals: what is uncertain about them is in no interval here.",
    ]


def _data(runs: Runs, shared: Collection[str]) -> Iterator[str]:
    board = {task.id: task.category for task in tasks()}
    if len(shared) < len(board):
        kinds = {board[task] for task in shared}
        yield (
            f"Partial suite: {len(shared)} of the board's {len(board)} tasks, in {len(kinds)} of its "
            f"{len(categories())} categories; the means on both sides are over these."
        )
    for name in sorted({run.meta.suite.name for run in runs.parts} - {SUITE}):
        yield f"The tasks are those of the suite {name!r}: they are taken for the board's by their ids, unchecked."


def _encoders(runs: Runs) -> Iterator[str]:
    found = by_preset((encoder.name, encoder.settings) for encoder in runs.meta.encoders)
    for preset, names in found.items():
        if preset == "reference":
            yield f"Preset reference, which does what the official extractors do, defects included: {_listed(names)}."
        else:
            yield (
                f"Preset {preset}, which is not what the official extractors do: {_listed(names)}. "
                "`--preset reference` gives their vectors."
            )
    others = [
        encoder.name for encoder in runs.meta.encoders if not any(encoder.name in names for names in found.values())
    ]
    if others:
        yield f"No model of the board, or not by its registry entry: {_listed(others)}."


def probe_differences(probes: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """In what probes, given by the settings that a run keeps of each, differ from the board's."""
    stock = {"name": "logistic", "C": 1.0, "fit_intercept": True, "standardize": False, "balanced": False}
    for probe in {probe["digest"]: probe for probe in probes}.values():
        other = [key for key, value in stock.items() if probe.get(key, value) != value]
        if other:
            own, board = ([f"{key} = {held.get(key)}" for key in other] for held in (probe, stock))
            yield f"Probe {probe['name']}: {', '.join(own)}; the board's has {', '.join(board)}."


def _fits(settings: Sequence[Settings]) -> Iterator[str]:
    for engine in sorted({one.engine for one in settings}):
        if engine == "sklearn":
            yield (
                "Fits of the engine sklearn are of vectors cast to float64, the board's of float32 vectors, which stop "
                "elsewhere. `--engine sklearn-stock` runs those."
            )
        elif engine != "sklearn-stock":
            yield (
                f"Fits of the engine {engine} end at the optimum; the board's, by scikit-learn's stock settings, may "
                "stop before it. `--engine sklearn-stock` runs those."
            )
    yield from probe_differences(probe for one in settings for probe in one.probes)


def _draws(runs: Runs) -> Iterator[str]:
    """Of every series what it was drawn with, in whichever runs those draws lie."""
    columns = runs.records.select(["encoder_digest", "probe_digest", "regime", "seed"]).to_pydict()
    held: dict[tuple[str, str, str], set[int]] = {}
    for *series, seed in zip(*columns.values(), strict=True):
        if series[2] != "full":
            held.setdefault((series[0], series[1], series[2]), set()).add(seed)
    for draws in sorted({tuple(sorted(seeds)) for seeds in held.values()} - {GENEB_SEEDS}):
        yield f"Few-shot scores are means over {len(draws)} draws; the board's over the five seeds of GENEB."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
