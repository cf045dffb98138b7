"""``geneb analyse``: the analyses of the GENEB paper, on the official board, on runs, or on both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.boards import board_options, open_board, published_board
from geneb_jax.cli.effect import RESAMPLING, refuse_idle
from geneb_jax.cli.options import Finite, resample_options, split_known, split_list
from geneb_jax.errors import ExitCode, UsageError, unknown_name

if TYPE_CHECKING:
    from geneb_jax.published import LabelVersion
    from geneb_jax.report.analysis import Section
    from geneb_jax.stats.analysis.board import ScoreBoard
    from geneb_jax.stats.varied import Varied


@dataclass(frozen=True)
class Question:
    """What is asked of a board: the regime, and the choices that single analyses need."""

    board: ScoreBoard
    regime: str
    few: str
    level: float
    ratio: float
    in_domain: Sequence[str]
    labels: LabelVersion
    ddof: Any
    edges: Path | None


Answer = tuple[Any, "list[Section]"]


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@click.option("--published", is_flag=True,
              help="Put RUN… beside the official board, on the tasks that both have.")  # fmt: skip
@click.option("--what", "wanted", metavar="LIST", show_default="all",
              help="Which: scale, tiers, reversals, pareto, few-shot, variance, wins, leads, specialisation, "
              "pairs, macro-micro, graph (with --edges).")  # fmt: skip
@click.option("--regime", default="full", show_default=True, help="Of the scores; few-shot looks at all.")
@click.option("--few", default="10shot", show_default=True, help="The regime whose winners few-shot compares.")
@board_options
@click.option("--ratio", type=Finite(min=1, min_open=True), default=5.0, show_default=True,
              help="Of sizes, from which on a smaller model that scores higher counts as a reversal.")  # fmt: skip
@click.option("--in-domain", default="paper", show_default=True, metavar="SET",
              help="Models that reversals are counted among: paper (the 36 it calls in-domain), all, or names with "
              "commas. Encoders of RUN are always among them.")  # fmt: skip
@click.option("--labels", type=click.Choice(("paper", "board", "actual")), default="board", show_default=True,
              help="Which labels count for pairs and variance; actual: the tokenizer's real kind.")  # fmt: skip
@click.option("--ddof", type=click.Choice(("0", "1")), default="1", show_default=True,
              help="Standard deviation over models: 0 divides by n, 1 by n - 1, as the paper's do.")  # fmt: skip
@click.option("--edges", type=click.Path(path_type=Path), metavar="CSV",
              help="Who compared with whom: columns model,baseline.")  # fmt: skip
@resample_options(sources=("both", "rows", "draws"), regimes=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...], published: bool, wanted: str | None, regime: str, few: str, version: Any,
    own_sizes: tuple[str, ...], ratio: float, in_domain: str, labels: Any, ddof: str, edges: Path | None, as_json: bool,
    **resampling: Any,
) -> int:  # fmt: skip
    """Does size go with score? Who wins with few examples? Which reversals are real?

    Without RUN this is the official board, whose scores are points. Statistics of RUN… carry intervals, and claims say
    whether they survive the paired test. docs/analyses.md defines each.
    """
    from geneb_jax.stats.analysis.board import ScoreBoard
    from geneb_jax.stats.bootstrap import RESAMPLES
    from geneb_jax.stats.varied import varied_json, varied_lines

    names = _wanted(wanted, edges)
    for parameter, users in USED_BY.items():
        if not users & set(names):
            refuse_idle(f"it is for {', '.join(sorted(users))}, and --what asks for {', '.join(names)}", parameter)
    if few == "full":
        raise UsageError("--few takes a few-shot regime", cure="such as --few 1shot; it is compared with full data")
    notes: list[str] = []
    varied: list[Varied] = []
    if runs:
        opened, board, varied = open_board(runs, resampling, version=version, own_sizes=own_sizes, quiet=as_json)
        if published:
            from geneb_jax.stats.protocol import protocol_differences

            board = ScoreBoard.published(version).beside(board)
            notes = protocol_differences(opened, board.tasks)
    else:
        board_only = "without RUN the official board is analysed, whose scores are points of MCC"
        refuse_idle(board_only, "published", "metric", *RESAMPLING, cure="name a run, or leave it out")
        board = published_board(version, own_sizes)
    if len(board.models) < 2:
        raise UsageError(
            "the analyses compare models, and there is one",
            cure="name another run, or look beside the board: --published",
        )
    models = _in_domain(in_domain, board)
    question = Question(board, regime, few, resampling["level"], ratio, models, labels, int(ddof), edges)
    found, left_out = _answers(names, question)
    if as_json:
        settings = {
            "sizes": version, "regime": regime, "few": few, "ratio": ratio, "in_domain": models, "labels": labels,
            "ddof": question.ddof, "level": question.level, "models": len(board.models), "tasks": len(board.tasks),
        }  # fmt: skip
        parts = {name: data for name, (data, _) in found.items()}
        out = {"settings": settings, "protocol": notes, **parts, "left_out": left_out}
        out["varied"] = {one.regime: varied_json(one) for one in varied}
        click.echo(json.dumps(out, indent=2, default=_plain))
        return int(ExitCode.DONE)
    notes += varied_lines([one for one in varied if one.regime in (regime, few)])
    if runs and resampling["resamples"] < RESAMPLES:
        notes.append(
            f"With {resampling['resamples']:,} resamples no p-value is below {2 / (resampling['resamples'] + 1):.2g}, "
            "and each is multiplied by up to the number of claims: take more before you say that one does not survive."
        )
    _print([section for _, sections in found.values() for section in sections], board, notes, left_out)
    return int(ExitCode.DONE)


_SIZED = {"scale", "tiers", "reversals", "pareto"}
USED_BY: Mapping[str, set[str]] = {
    "version": _SIZED,
    "own_sizes": _SIZED,
    "regime": _SIZED | {"variance", "wins", "leads", "specialisation", "pairs", "macro-micro", "graph"},
    "few": {"few-shot"},
    "ratio": {"reversals"},
    "in_domain": {"reversals"},
    "labels": {"pairs", "variance"},
    "ddof": {"variance"},
    "edges": {"graph"},
}
"""Options that single analyses need."""


def _print(sections: Sequence[Section], board: ScoreBoard, notes: Sequence[str], left_out: Mapping[str, str]) -> None:
    from geneb_jax.report.analysis import print_section
    from geneb_jax.report.board import METRIC_LINES
    from geneb_jax.report.tables import console

    to = console()
    to.print(METRIC_LINES["mcc"])
    kinds = len(set(board.categories))
    to.print(f"Models: {len(board.models)}. Tasks: {len(board.tasks)}. Categories: {kinds}.", highlight=False)
    for note in notes:
        to.print(note, style="dim", markup=False, highlight=False)
    for section in sections:
        print_section(section, to)
    for reason in dict.fromkeys(left_out.values()):
        names = ", ".join(name for name, why in left_out.items() if why == reason)
        to.print(f"\nLeft out: {names}. {reason}", style="dim", markup=False, highlight=False)


def _answers(names: Sequence[str], question: Question) -> tuple[dict[str, Answer], dict[str, str]]:
    """The analyses, and those of several that the board has too little for, with the reason and what to do."""
    found, left_out = {}, {}
    for name in names:
        try:
            found[name] = ANALYSES[name](question)
        except UsageError as error:
            if len(names) == 1:
                raise
            left_out[name] = f"Reason: {error.what}. What to do: {error.cure}."
    return found, left_out


def _wanted(text: str | None, edges: Path | None) -> list[str]:
    if text is None:
        return [name for name in ANALYSES if name != "graph" or edges]
    asked = split_known(text, "analysis", ANALYSES)
    if "graph" in asked and not edges:
        raise UsageError(
            "the graph needs edges, which the paper did not publish", cure="give them with --edges FILE.csv"
        )
    return asked


def _in_domain(text: str, board: ScoreBoard) -> list[str]:
    """The keys of the set; those of runs are always in it. Raises UnknownNameError."""
    from geneb_jax.published import models

    if text == "all":
        return list(board.models)
    if text == "paper":
        return [*board.ours, *(one.model for one in models().values() if one.in_domain)]
    found = [(name, board_key(board, name)) for name in split_list(text)]
    for name, key in found:
        if key is None:
            raise unknown_name("model of this board", name, board.names.values())
    return [*board.ours, *(key for _, key in found if key)]


def board_key(board: ScoreBoard, name: str) -> str | None:
    """The model of the board that a name means: its key, its name in tables, or whatever the registry takes."""
    from geneb_jax.encoder.registry import find_model
    from geneb_jax.errors import UnknownNameError

    by_name = {shown: key for key, shown in board.names.items()}
    if name in board.models or name in by_name:
        return name if name in board.models else by_name[name]
    try:
        model = find_model(name).model
    except UnknownNameError:
        return None
    return model if model in board.models else None


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()


def _scale(q: Question) -> Answer:
    from geneb_jax.report.analysis import scale_section
    from geneb_jax.stats.analysis.scale import scale_correlations

    found = scale_correlations(q.board, regime=q.regime, level=q.level)
    return [asdict(one) for one in found], [scale_section(found, q.board.names)]


def _tiers(q: Question) -> Answer:
    from geneb_jax.report.analysis import tiers_section
    from geneb_jax.stats.analysis.tiers import tier_means

    found = tier_means(q.board, regime=q.regime, level=q.level)
    return [asdict(one) for one in found], [tiers_section(found, q.regime)]


def _reversals(q: Question) -> Answer:
    from geneb_jax.report.analysis import reversals_section
    from geneb_jax.report.analysis_scopes import reversal_counts_section
    from geneb_jax.stats.analysis.reversals import reversal_counts, reversals

    found = reversals(q.board, q.in_domain, ratio=q.ratio, regime=q.regime, level=q.level)
    counts = reversal_counts(q.board, q.in_domain, ratio=q.ratio, regime=q.regime, level=q.level)
    parts = {**asdict(found), "by_scope": [asdict(one) for one in counts]}
    return parts, [reversals_section(found, q.board.names), reversal_counts_section(counts)]


def _pareto(q: Question) -> Answer:
    from geneb_jax.report.analysis import pareto_section
    from geneb_jax.stats.analysis.pareto import pareto

    found = pareto(q.board, regime=q.regime, level=q.level)
    return [asdict(one) for one in found], [pareto_section(found, q.regime, q.board.names)]


def _few_shot(q: Question) -> Answer:
    from geneb_jax.report.analysis import drop_section, rerank_section
    from geneb_jax.report.analysis_scopes import category_drops_section, model_drops_section
    from geneb_jax.stats.analysis.few_shot import category_drops, few_shot_drop, model_drops, reranks

    drops, changes = few_shot_drop(q.board, level=q.level), reranks(q.board, few=q.few, level=q.level)
    by_category = category_drops(q.board, few=q.few, level=q.level)
    by_model = model_drops(q.board, few=q.few, level=q.level)
    found = {"drop": drops, "rerank": changes, "categories": by_category, "models": by_model}
    parts = {name: [asdict(one) for one in own] for name, own in found.items()}  # type: ignore[attr-defined]
    return parts, [
        drop_section(drops),
        rerank_section(changes, q.few, q.board.names),
        category_drops_section(by_category, q.few),
        model_drops_section(by_model, q.few, q.board.names),
    ]


def _variance(q: Question) -> Answer:
    from geneb_jax.published import tasks
    from geneb_jax.report.analysis import variance_section
    from geneb_jax.stats.analysis.variance import KINDS, THRESHOLD, places_by_label, variable_tasks

    found = variable_tasks(q.board, ddof=q.ddof, regime=q.regime, level=q.level)
    places = [one for kind in KINDS for one in places_by_label(q.board, found, kind=kind, labels=q.labels)]
    parts = {"tasks": [asdict(one) for one in found], "places": [asdict(one) for one in places]}
    labels = {task.id: task.label for task in tasks()}
    return parts, variance_section(found, THRESHOLD, q.ddof, places, {**q.board.names, **labels})


def _wins(q: Question) -> Answer:
    from geneb_jax.report.analysis import wins_section
    from geneb_jax.stats.analysis.wins import wins

    found = wins(q.board, regime=q.regime, level=q.level)
    number = int(q.board.common(q.regime).sum())
    return [asdict(one) for one in found], [wins_section(found, q.regime, number, q.board.names)]


def _leads(q: Question) -> Answer:
    from geneb_jax.report.analysis_scopes import leads_section
    from geneb_jax.stats.analysis.leads import leads

    found = leads(q.board, regime=q.regime, level=q.level)
    return [asdict(one) for one in found], [leads_section(found, q.regime, q.board.names)]


def _specialisation(q: Question) -> Answer:
    from geneb_jax.report.analysis import specialisation_section
    from geneb_jax.stats.analysis.specialisation import specialisation

    found = specialisation(q.board, regime=q.regime, level=q.level)
    return [asdict(one) for one in found], [specialisation_section(found, q.regime, q.board.names)]


def _pairs(q: Question) -> Answer:
    from geneb_jax.published import matched_pairs
    from geneb_jax.report.analysis import pairs_section
    from geneb_jax.stats.analysis.pairs import factor_means, pair_deltas

    deltas = pair_deltas(q.board, matched_pairs(), regime=q.regime, level=q.level)
    if not deltas:
        raise UsageError(
            "no pair of the paper has both of its models here", cure="put the runs beside the board: --published"
        )
    means = factor_means(q.board, matched_pairs(), labels=q.labels, regime=q.regime, level=q.level)
    parts = {"pairs": [asdict(one) for one in deltas], "factors": [asdict(one) for one in means]}
    return parts, pairs_section(deltas, means, q.labels, q.board.names)


def _macro_micro(q: Question) -> Answer:
    from geneb_jax.report.analysis import macro_micro_section
    from geneb_jax.stats.analysis.macro_micro import macro_micro_agreement

    found = macro_micro_agreement(q.board, regime=q.regime, level=q.level)
    return asdict(found), [macro_micro_section(found, q.board.names)]


def _graph(q: Question) -> Answer:
    from geneb_jax.report.analysis import graph_section
    from geneb_jax.stats.analysis.graph import comparison_graph, read_edges

    edges = read_edges(q.edges or Path())
    found = comparison_graph(
        q.board, edges, find=lambda name: board_key(q.board, name), regime=q.regime, level=q.level
    )  # fmt: skip
    return asdict(found), [graph_section(found, q.board.names)]


ANALYSES: Mapping[str, Callable[[Question], Answer]] = {
    "scale": _scale,
    "tiers": _tiers,
    "reversals": _reversals,
    "pareto": _pareto,
    "few-shot": _few_shot,
    "variance": _variance,
    "wins": _wins,
    "leads": _leads,
    "specialisation": _specialisation,
    "pairs": _pairs,
    "macro-micro": _macro_micro,
    "graph": _graph,
}
