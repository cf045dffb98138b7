"""How the series of runs stand on a board: their keys, names and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.options import together
from geneb_jax.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from geneb_jax.published import SizeVersion
    from geneb_jax.run.runs import Runs
    from geneb_jax.stats.aggregate import Series
    from geneb_jax.stats.analysis.board import Entry, ScoreBoard
    from geneb_jax.stats.varied import Varied

_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}


def parse_params(text: str | None, option: str) -> int | None:
    """A number of parameters such as ``500M``, ``1.2B`` or ``87101793``; None stays None. Raises UsageError."""
    if text is None:
        return None
    digits, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in _UNITS else (text, "")
    try:
        found = round(float(digits) * _UNITS.get(unit, 1))
    except (ValueError, OverflowError):
        found = -1
    if found < 0:
        raise UsageError(
            f"{option} takes a number of parameters, not {text!r}", cure="write it as 500M, 1.2B or 87101793"
        )
    return found


def parse_sizes(words: Iterable[str]) -> dict[str, int]:
    """Sizes by encoder name from words such as ``my-model=12M``. Raises UsageError."""
    found = {}
    for word in words:
        name, sign, size = word.rpartition("=")
        if not sign or not name:
            raise UsageError(f"--size takes NAME=NUMBER, not {word!r}", cure="write it as --size my-model=12M")
        found[name] = parse_params(size, "--size") or 0
    return found


def run_entries(runs: Runs, sizes: Mapping[str, int], version: SizeVersion) -> dict[Series, Entry]:
    """The entry of every series of the runs: registry models under their official id where only one series is theirs.

    `sizes` are the user's, by encoder name; they go before the published ones, of which `version` is taken.

    Raises:
        UnknownNameError: a size was given for an encoder that no run has.
    """
    from geneb_jax.published import board_model
    from geneb_jax.report.naming import series_name
    from geneb_jax.stats.aggregate import task_scores
    from geneb_jax.stats.analysis.board import Entry

    series = list(dict.fromkeys(score.series for score in task_scores(runs.records)))
    for name in sizes:
        if name not in {one.encoder for one in series}:
            raise unknown_name("encoder of these runs", name, (one.encoder for one in series))
    published = {one: board_model(one.encoder) for one in series}
    held = [model.model for model in published.values() if model]
    found = {}
    for one, model in published.items():
        name = series_name(one, series)
        stated = model.size(version) if model else None
        key = model.model if model and held.count(model.model) == 1 else name
        found[one] = Entry(key, name, sizes.get(one.encoder, stated))
    return found


board_options = together(
    [
        click.option("--sizes", "version", type=click.Choice(("paper", "board")), default="board", show_default=True,
                     help="Which sizes of the published models: the paper's first version, or today's board; they "
                     "differ for ten models."),
        click.option("--size", "own_sizes", multiple=True, metavar="NAME=NUMBER",
                     help="Parameters of an encoder of RUN, such as my-model=12M; repeat it."),
    ]
)  # fmt: skip
"""How large models are."""


def published_board(version: SizeVersion, own_sizes: Sequence[str], *, self_reported: bool = False) -> ScoreBoard:
    """The official board, where no run was named. Raises UsageError where a size was given that belongs to none."""
    from geneb_jax.stats.analysis.board import ScoreBoard

    if own_sizes:
        raise UsageError("--size is of an encoder of RUN, and there is none", cure="name a run, or leave --size out")
    return ScoreBoard.published(version, self_reported=self_reported)


def open_board(
    paths: Sequence[Path], resampling: Mapping[str, Any], *, version: SizeVersion, own_sizes: Iterable[str], quiet: bool
) -> tuple[Runs, ScoreBoard, list[Varied]]:
    """The runs in these directories, their board, with resamples, and what varies in these."""
    from geneb_jax.cli.resampling import open_runs, open_samples, settings_of
    from geneb_jax.stats.analysis.board import ScoreBoard

    require_mcc(resampling)
    runs = open_runs(paths)
    entries = run_entries(runs, parse_sizes(own_sizes), version)
    samples, done = open_samples(runs, resampling, quiet=quiet)
    settings = settings_of(resampling, "source", "resamples", "seed")
    with done as tick:
        board = ScoreBoard.of_runs(samples, entries, done=tick, **settings)
    return runs, board, samples.varied(resampling["source"])


def require_mcc(resampling: Mapping[str, Any]) -> None:
    """Raise UsageError where another score than the board's was asked for."""
    if resampling["metric"] != "mcc":
        raise UsageError("the published scores are MCC", cure="leave --metric out")
