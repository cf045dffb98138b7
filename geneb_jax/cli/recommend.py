"""``geneb recommend``: which models to try for one kind of task and one number of labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from geneb_jax.cli.boards import board_options, open_board, parse_params, published_board
from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.options import Finite, parse_size, resample_options, split_list
from geneb_jax.errors import ExitCode, UsageError, unknown_name

if TYPE_CHECKING:
    from geneb_jax.encoder.registry import ModelEntry
    from geneb_jax.stats.analysis.board import ScoreBoard
    from geneb_jax.stats.analysis.choice import Choice
    from geneb_jax.stats.varied import Varied

BYTES: Final = {"float32": 4, "half": 2}
OVERHEAD: Final = 1.5
"""Memory beyond the weights: activations of a small batch, and the framework; stated with every figure."""

NO_WEIGHTS: Final = ("kmer", "onehot", "random-conv")
"""Families of encoders that are counted or drawn, not trained: nothing to download, and no licence but ours."""


@dataclass(frozen=True)
class Facts:
    """What a choice depends on besides the score. None: not stated, and never guessed."""

    name: str
    params: int | None
    memory: int | None
    licence: str | None
    entry: ModelEntry | None = None


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@click.option("--category", default="macro", show_default=True, metavar="NAME",
              help="Kind of task, such as 'Splice Sites'; macro: all kinds.")  # fmt: skip
@click.option("--regime", default="full", show_default=True,
              help="Labelled sequences per class: full, 10shot or 1shot on the board.")  # fmt: skip
@click.option("--max-params", metavar="NUMBER", help="Only models up to so many parameters, such as 500M.")
@click.option("--max-memory", metavar="SIZE", help="Only models that run in so much memory, such as 16GB.")
@click.option("--precision", type=click.Choice(tuple(BYTES)), default="float32", show_default=True,
              help="Of the weights, for the memory.")  # fmt: skip
@click.option("--licence", "licences", default="any", show_default=True, metavar="LIST",
              help="any, permissive, non-commercial, or licences such as mit with commas.")  # fmt: skip
@click.option("--within", type=Finite(min=0, max=2), default=0.02, show_default=True, metavar="MCC",
              help="How far behind the best a model may be and still count as just as good.")  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), default=3, show_default=True, help="How many to name.")
@board_options
@resample_options(sources=("both", "rows", "draws"), regimes=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all models.")
def command(
    runs: tuple[Path, ...], category: str, regime: str, max_params: str | None, max_memory: str | None, precision: str,
    licences: str, within: float, count: int, version: Any, own_sizes: tuple[str, ...], as_json: bool,
    **resampling: Any,
) -> int:  # fmt: skip
    """Name a few models to try, with the reason for each and what to install.

    First the best and those that are as good, smallest first, then those of which the scores cannot tell, the likeliest
    first. Without RUN the published board answers, offline, for other tasks of that kind; with RUN…, the encoders there
    are judged on the tasks of the runs. docs/choose.md explains both.
    """
    from geneb_jax.stats.analysis.choice import choose
    from geneb_jax.stats.varied import varied_json, varied_lines

    if as_json:
        refuse_idle("the JSON holds all models", "count")
    families: Mapping[str, str] = {}
    varied: list[Varied] = []
    if runs:
        opened, board, varied = open_board(runs, resampling, version=version, own_sizes=own_sizes, quiet=as_json)
        families = {encoder.name: encoder.family for encoder in opened.meta.encoders}
    else:
        board_only = "without RUN the published board answers, whose scores are points of MCC"
        refuse_idle(board_only, "metric", "source", "resamples", "seed", "groups", cure="name a run, or leave it out")
        board = published_board(version, own_sizes, self_reported=True)
    scope = _scope(board, regime, category)
    facts = {model: _facts(board, model, families, BYTES[precision]) for model in board.models}
    left_out = _left_out(
        facts, parse_params(max_params, "--max-params"), parse_size(max_memory, "--max-memory"), licences
    )  # fmt: skip
    eligible = [model for model in board.models if model not in left_out]
    if not eligible:
        raise UsageError(
            "no model meets these limits",
            where="; ".join(f"{facts[model].name}: {why}" for model, why in list(left_out.items())[:3]),
            cure="allow more parameters or memory, or --licence any",
        )
    unchecked = [model for model in eligible if (entry := facts[model].entry) and not entry.official and not runs]
    found = choose(
        board, eligible,
        regime=regime, scope=scope, within=within, level=resampling["level"], behind_others=unchecked,
    )  # fmt: skip
    if as_json:
        out = {**asdict(found), "left_out": left_out, "unchecked": unchecked}
        out["varied"] = {one.regime: varied_json(one) for one in varied if one.regime == regime}
        for one in out["candidates"]:
            own = facts[one["model"]]
            one.update(name=own.name, memory=own.memory, licence=own.licence, steps=_steps(own))
        click.echo(json.dumps(out, indent=2))
    else:
        _print(found, facts, left_out, unchecked, count=count, precision=precision, published=not runs)
        for line in varied_lines([one for one in varied if one.regime == regime]):
            click.echo(line)
    return int(ExitCode.DONE)


def _scope(board: ScoreBoard, regime: str, text: str) -> str:
    """The scope that a text means, whatever its case, or the only one that begins so. Raises UnknownNameError."""
    known = ("macro", "micro", *board.scopes(regime))
    like = [name for name in known if name.lower().startswith(text.lower())]
    same = [name for name in like if len(name) == len(text)]
    if len(same or like) != 1:
        raise unknown_name("category", text, known)
    return (same or like)[0]


def _facts(board: ScoreBoard, model: str, families: Mapping[str, str], bytes_each: int) -> Facts:
    from geneb_jax.encoder.registry import registry
    from geneb_jax.published import board_model

    name = board.names[model]
    published = board_model(name)
    entry = registry().get(published.model if published else model)
    no_weights = families.get(name) in NO_WEIGHTS
    params = board.sizes.get(model, 0 if no_weights else None)
    memory = None if params is None else round(params * bytes_each * OVERHEAD)
    licence = "no weights" if no_weights else entry.licence if entry else None
    return Facts(name, params, memory, licence, entry)


def _left_out(
    facts: Mapping[str, Facts], max_params: int | None, max_memory: int | None, licences: str
) -> dict[str, str]:
    """Models that do not meet the limits, with the reason. What is not stated meets no limit."""
    found = {}
    for model, one in facts.items():
        if max_params is not None and (one.params is None or one.params > max_params):
            found[model] = "size not stated" if one.params is None else "too many parameters"
        elif max_memory is not None and (one.memory is None or one.memory > max_memory):
            found[model] = "size not stated" if one.memory is None else "too much memory"
        elif (why := _licence_problem(one.licence, licences)) is not None:
            found[model] = why
    return found


def _licence_problem(licence: str | None, allowed: str) -> str | None:
    """Why a licence is not among those allowed; None where it is."""
    from geneb_jax.published.licences import NON_COMMERCIAL, PERMISSIVE, licence_class

    words = [word.lower() for word in split_list(allowed)]
    classes = ("any", "permissive", "non-commercial")
    for word in words:
        if word not in classes and word not in PERMISSIVE | NON_COMMERCIAL:
            raise unknown_name("licence", word, [*classes, *PERMISSIVE, *NON_COMMERCIAL])
    if "any" in words or licence == "no weights" or licence in words or licence_class(licence) in words:
        return None
    return "licence not stated" if licence is None else f"licence {licence}"


def _steps(facts: Facts) -> list[str]:
    """What to do to run the model, one step a line."""
    from geneb_jax.encoder.registry.card import embed_command, install_steps

    if facts.entry is None:
        return []
    return [*(step for step in install_steps(facts.entry) if step), embed_command(facts.entry)]


def _print(
    found: Choice, facts: Mapping[str, Facts], left_out: Mapping[str, str], unchecked: Sequence[str], *,
    count: int, precision: str, published: bool,
) -> None:  # fmt: skip
    from rich.text import Text

    from geneb_jax.report.analysis import print_section
    from geneb_jax.report.choice import choice_section, evidence_lines, heading, reason
    from geneb_jax.report.tables import console

    to = console()
    shown = found.candidates[:count]
    names = {model: one.name for model, one in facts.items()}
    to.print(Text(heading(found, len(shown), "the published board" if published else "the runs"), style="bold"))
    for line in evidence_lines(found, names):
        to.print(Text(line))
    print_section(choice_section(found, shown, facts, unchecked), to)
    for one in shown:
        to.print()
        to.print(Text.assemble((names[one.model], "bold"), ": " + reason(one, found, names, facts)))
        for step in _steps(facts[one.model]):
            to.print(f"  {step}", markup=False, highlight=False, soft_wrap=True)
    to.print()
    for note in _notes(facts, left_out, precision):
        to.print(Text(note, style="dim"))


def _notes(facts: Mapping[str, Facts], left_out: Mapping[str, str], precision: str) -> list[str]:
    notes = [
        f"Memory: parameters times {BYTES[precision]} bytes ({precision}) times {OVERHEAD:g}, for activations of a "
        "small batch; long sequences take more.",
        "Licences are those of the weights, as their authors state them; –: not stated, which allows nothing.",
    ]
    reasons: dict[str, list[str]] = {}
    for model, why in left_out.items():
        reasons.setdefault(why, []).append(facts[model].name)
    notes += [f"Left out, {why}: {', '.join(held)}." for why, held in reasons.items()]
    if not any(one.licence == "no weights" for one in facts.values()):
        notes.append(
            "Put `kmer:6,counts=true` beside them: k-mer counts need no weights, and a model should beat them."
        )
    return notes
