"""``geneb sensitivity``: does the ranking of encoders depend on how it is measured?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from geneb_jax.cli.effect import RESAMPLING, refuse_idle
from geneb_jax.cli.files import write_text
from geneb_jax.cli.options import (
    draw_options,
    engine_options,
    head_options,
    probe_arguments,
    resample_options,
    say_notes,
    split_list,
    suite_options,
    typed_command,
)
from geneb_jax.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from geneb_jax.run import Run
    from geneb_jax.run.runs import Runs
    from geneb_jax.stats.sensitivity.analysis import Sensitivity

APPENDIX_E: Final = {
    "heads": "logistic,mlp", "penalties": "0.01,0.1,1,10,100", "shots": "1,10,full", "standardize": "no",
}  # fmt: skip
SCALINGS: Final = {"no": (False,), "yes": (True,), "both": (False, True)}
DRAWS: Final = 5
"""GENEB's own; asked for by number, so that full data, where nothing is drawn, are fitted once."""


def _preset(ctx: click.Context, _: click.Parameter, chosen: bool) -> None:
    """Make the values of the paper's study the defaults; what is written beside --appendix-e still counts."""
    if chosen:
        ctx.default_map = {**(ctx.default_map or {}), **APPENDIX_E}


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE…|RUN…")
@click.option("--appendix-e", is_flag=True, is_eager=True, expose_value=False, callback=_preset,
              help="The study of the GENEB paper: --probe logistic,mlp --C 0.01,0.1,1,10,100 --shots 1,10,full "
              "--standardize no; an option beside it replaces its part.")  # fmt: skip
@suite_options(required=False)
@head_options
@click.option("--shots", default="1,5,10,full", show_default=True, metavar="LIST",
              help="Training rows of each class, and full for all of them.")  # fmt: skip
@click.option("--standardize", type=click.Choice(tuple(SCALINGS)), default="both", show_default=True,
              help="Scale features to unit variance first.")  # fmt: skip
@click.option("--pooling", "poolings", metavar="LIST", help="Only these poolings of encoders that have several "
              "in the stores. Default: all.")  # fmt: skip
@click.option("--layer", "layers", metavar="LIST", help="Only these layers of encoders that have several in the "
              "stores. Default: all.")  # fmt: skip
@draw_options
@engine_options
@click.option("--preset", type=click.Choice(["normalized", "reference"]),
              help="Only this preset of the registry models, where a store holds both.")  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True,
              help="How many of the best are compared.")  # fmt: skip
@resample_options(sources=("both", "rows", "draws"), resamples=2_000, regimes=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN",
              help="Run directory of the fits and of sensitivity.json; an interrupted one is continued.")  # fmt: skip
@click.option("--out-markdown", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Also write the report as Markdown.")  # fmt: skip
@click.option("--details", is_flag=True, help="Show intervals and categories too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what sensitivity.json holds.")
def command(
    sources: tuple[Path, ...],
    top: int,
    out: Path | None,
    out_markdown: Path | None,
    details: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Does the ranking of encoders depend on the type of probe, its penalty, or the training rows?

    Fits every combination of --probe, --C, --shots and --standardize on the embeddings in STORE…, for every pooling and
    layer that they hold, and compares the rankings. Given run directories, RUN…, it compares what they hold and fits
    nothing. docs/sensitivity.md explains every figure.

    Exit status: 4 when some fits are degenerate or failed.
    """
    from geneb_jax.report.sensitivity import markdown, print_sensitivity
    from geneb_jax.report.tables import console
    from geneb_jax.run.directory import is_run
    from geneb_jax.run.runs import Runs
    from geneb_jax.stats.sensitivity.document import DOCUMENT, document
    from geneb_jax.stats.sensitivity.timing import study_timing

    resampling = {name: options.pop(name) for name in ("source", "metric", "level", "resamples", "seed", "groups")}
    resampling |= {name: options[name] for name in ("suite_name", "data")}
    if any(map(is_run, sources)):
        fitted = (name for name in options if name not in ("suite_name", "data"))
        refuse_idle(
            "RUN… holds its fits, and nothing is fitted", *fitted, "appendix_e", cure="name STORE…, or leave it out"
        )
    else:
        resampling["reads_suite"] = True
    fits = () if any(map(is_run, sources)) else (_fit(sources, out, options, quiet=as_json),)
    runs = Runs.of(fits) if fits else _open(sources)
    if as_json:
        refuse_idle("the JSON holds intervals and categories", "details")
    began = time.monotonic()
    found = _analyse(runs, resampling, top, quiet=as_json)
    timing = study_timing(runs, time.monotonic() - began)
    content = document(found, runs=[run.path.resolve().name for run in runs.parts], timing=timing)
    if out is not None:
        write_text(out / DOCUMENT, json.dumps(content, indent=1, allow_nan=False) + "\n")
    if out_markdown is not None:
        write_text(out_markdown, markdown(found, timing))
    if as_json:
        click.echo(json.dumps(content, indent=2, allow_nan=False))
    else:
        print_sensitivity(found, timing, console(), details=details)
        for path in (out and out / DOCUMENT, out_markdown):
            if path is not None:
                click.echo(f"Written: {path}")
    return int(ExitCode.SOME_FAILED if runs.has_faults else ExitCode.DONE)


def _open(sources: Sequence[Path]) -> Runs:
    from geneb_jax.cli.resampling import open_runs
    from geneb_jax.run.directory import is_run

    stores = [path for path in sources if not is_run(path)]
    if stores:
        raise UsageError(
            "run directories and stores were named together",
            where=", ".join(path.name for path in stores),
            cure="name runs alone to compare what they hold, or stores alone to fit a study",
        )
    return open_runs(sources)


def _fit(stores: Sequence[Path], out: Path | None, options: dict[str, Any], *, quiet: bool) -> Run:
    """Fit the whole study into `out`; what could not be analysed is refused before."""
    from geneb_jax.run.probing import probe
    from geneb_jax.run.views import stored_views
    from geneb_jax.stats.sensitivity.analysis import nothing_varied, require_encoders
    from geneb_jax.task import load_suite

    if out is None:
        raise UsageError("a study of stores needs a run directory for its fits", cure="add --out RUN")
    poolings, layers = (None if (words := options.pop(name)) is None else split_list(words)
                        for name in ("poolings", "layers"))  # fmt: skip
    suite_name, data, patterns, preset = (options.pop(name) for name in ("suite_name", "data", "patterns", "preset"))
    arguments = _study(**options)
    views = stored_views(stores, poolings, layers, preset)
    require_encoders(sorted({view.name for view in views.values()}))
    specs, regimes = arguments["specs"], arguments["regimes"]
    if len(specs) == len(regimes) == 1 and all(view.pooling is None for view in views.values()):
        raise nothing_varied(f"{specs[0].name}, {regimes[0]}")
    suite = None if suite_name is None and data is None else load_suite(suite_name or "geneb", data=data)
    run = probe(
        stores, suite, out, tasks=split_list(patterns), encoders=set(views), preset=preset, **arguments,
        progress=not quiet, command=typed_command(),
    )  # fmt: skip
    say_notes(run)
    return run


def _study(*, shots: str, standardize: str, **options: Any) -> dict[str, Any]:
    """The arguments of a probe command: the specifications of every scaling, and all else once."""
    regimes = ",".join(f"{word}shot" if word.isdecimal() else word for word in split_list(shots))
    draws = DRAWS if options["draws"] is options["seeds"] is None else options["draws"]
    given = {**options, "draws": draws, "regimes": regimes, "balanced": False, "no_intercept": False}
    parts = [probe_arguments(standardize=scaling, **given) for scaling in SCALINGS[standardize]]
    return {**parts[0], "specs": [spec for part in parts for spec in part["specs"]]}


def _analyse(runs: Runs, resampling: Mapping[str, Any], top: int, *, quiet: bool) -> Sensitivity:
    from geneb_jax.cli.resampling import open_samples, settings_of
    from geneb_jax.stats.sensitivity.analysis import analyse
    from geneb_jax.stats.sensitivity.study import read_study

    study = read_study(runs, metric=resampling["metric"])
    settings = settings_of(resampling)
    if not runs.has_predictions:
        refuse_idle("the runs keep no predictions, so nothing is resampled", *RESAMPLING)
        return analyse(study, None, top=top, **settings)
    samples, bar = open_samples(runs, resampling, quiet=quiet)
    with bar as done:
        return analyse(study, samples, top=top, done=done, **settings)
