"""What the commands that embed and probe have in common: options, listing of commas, the end of a run."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from geneb_jax.cli.effect import refuse_idle
from geneb_jax.errors import ExitCode, UsageError, unknown_name
from geneb_jax.probes.solvers import SOLVER_CHOICES
from geneb_jax.run.engines import ENGINES, precision

if TYPE_CHECKING:
    from geneb_jax.probes.heads.specs import AnyHead
    from geneb_jax.probes.spec import Penalised, ProbeSpec
    from geneb_jax.run.directory import Run

_Command = TypeVar("_Command", bound=Callable[..., Any])


def together(options: Sequence[Callable[[Any], Any]]) -> Callable[[_Command], _Command]:
    """Several options as one decorator; the help lists them in this order."""

    def decorate(function: _Command) -> _Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class Finite(click.FloatRange):
    """A number within bounds; click's own lets "nan" through, which no bound excludes, and "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises click.BadParameter."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a number that can be computed with", param, ctx)
        return found


task_filter = click.option(
    "--tasks", "patterns", multiple=True, metavar="GLOB",
    help="Only tasks whose id matches, such as '*prom*'; repeat it or use commas.",
)  # fmt: skip


def suite_options(*, required: bool, made: str = "store", tasks: bool = True) -> Callable[[_Command], _Command]:
    """``--suite``, ``--data`` and, if wanted, ``--tasks``; `made` is what the suite was made into."""
    return together(
        [
            click.option("--suite", "suite_name", required=required, metavar="SUITE",
                         help="geneb, quickstart, a folder in the official layout, or a .toml file."
                         + ("" if required else f" Default: the suite that the {made} was made from.")),
            click.option("--data", type=click.Path(path_type=Path), metavar="DIR",
                         help="Local GENEB files: DIR/tasks/<task_id>/{train,test}.csv. "
                         "Default: the folder in GENEB_DATA."),
            *([task_filter] if tasks else []),
        ]
    )  # fmt: skip


regime_option = click.option(
    "--regimes", default="full,10shot,1shot", show_default=True, metavar="LIST",
    help="How many training rows a probe sees: full, or <k>shot per class.",
)  # fmt: skip

draw_options = together(
    [
        click.option("--draws", type=int, metavar="N",
                     help="Random draws per few-shot regime. The first five are GENEB's; full data, where nothing "
                     "is random, are then fitted and recorded once. Default: GENEB's five."),
        click.option("--seeds", metavar="LIST",
                     help="Seeds of the few-shot draws, instead of --draws. Default: GENEB's 13,17,42,123,997."),
        click.option("--key", type=int, default=0, show_default=True, metavar="INT",
                     help="What seeds beyond GENEB's, and the rows held out by --C auto, are derived from."),
    ]
)  # fmt: skip
"""Which few-shot draws."""

head_options = together(
    [
        click.option("--probe", "heads", default="logistic", show_default=True, metavar="LIST",
                     help="Probe types: logistic, ridge, svm, lda, centroid, knn, gnb, mlp. Settings follow after "
                     "colons, as in knn:k=1:metric=cosine or lda:shrinkage=0.5 (docs/probes.md)."),
        click.option("--C", "penalties", metavar="LIST", show_default="1.0",
                     help="Inverse penalty of logistic, svm and ridge, scikit-learn's C; several values are fitted "
                     "together. auto: chosen from 0.01,0.1,1,10,100 on a fifth of the probe's own training rows, "
                     "never on test; auto:0.1,1,10 chooses from these."),
    ]
)  # fmt: skip
"""Types of probe and their penalties."""

variant_options = together(
    [
        click.option("--standardize", is_flag=True,
                     help="Scale features to unit variance first (GENEB does not)."),
        click.option("--balanced", is_flag=True, help="Weight classes equally (GENEB does not)."),
        click.option("--no-intercept", is_flag=True, help="Fit no intercept (GENEB does)."),
    ]
)  # fmt: skip
"""What GENEB does otherwise."""

engine_options = together(
    [
        click.option("--engine", type=click.Choice(ENGINES), default="jax", show_default=True,
                     help="jax: all probes batched, to the optimum. sklearn-stock: GENEB's script, stock settings "
                     "of scikit-learn on float32 vectors. sklearn: the same settings on vectors cast to float64. "
                     "sklearn-optimum: scikit-learn in float64, run to the optimum."),
        click.option("--solver", type=click.Choice(SOLVER_CHOICES), default="auto", show_default=True,
                     help="auto: the quicker by a cost model of rows, width, classes and device. newton: exact "
                     "steps. newton-cg: iterative steps. The optimum is the same; run.json says which it was."),
        click.option("--x64", is_flag=True, help="Fit in float64; the default is float32."),
        click.option("--memory-budget", metavar="SIZE",
                     help="Memory that fitting may take, such as 8GiB or 500MB; embeddings that need more are read "
                     "in blocks, with the same answer. Default: half of what is available."),
    ]
)  # fmt: skip
"""How probes are solved."""

probe_options = together([regime_option, draw_options, head_options, variant_options, engine_options])
"""Everything that says which probes are fitted, and how."""


def split_list(text: str | Sequence[str]) -> list[str]:
    """The parts of one or several comma-separated lists."""
    parts = [text] if isinstance(text, str) else list(text)
    return [item.strip() for part in parts for item in part.split(",") if item.strip()]


def split_known(text: str, noun: str, known: Collection[str]) -> list[str]:
    """The words of a comma-separated list. Raises UnknownNameError, naming what a word should be, for any other."""
    words = split_list(text)
    if not words:
        raise UsageError(f"no {noun} was named", cure=f"known: {', '.join(known)}")
    for word in words:
        if word not in known:
            raise unknown_name(noun, word, known)
    return words


def split_numbers(text: str, kind: type[int] | type[float], option: str) -> list[Any]:
    """A comma-separated list of numbers. Raises UsageError naming the option and the word."""
    found = []
    for word in split_list(text):
        try:
            found.append(kind(word))
        except ValueError:
            noun = "a whole number" if kind is int else "a number"
            raise UsageError(f"{option} takes {noun} or several with commas, not {word!r}") from None
    return found


def probe_arguments(
    *,
    regimes: str,
    draws: int | None,
    seeds: str | None,
    key: int,
    heads: str,
    penalties: str | None,
    standardize: bool,
    balanced: bool,
    no_intercept: bool,
    engine: str,
    solver: str,
    x64: bool,
    memory_budget: str | None,
) -> dict[str, Any]:
    """The arguments of `geneb_jax.run.probing.probe` that the options of `probe_options` stand for.

    Raises:
        UsageError: --seeds beside --draws, a word that is no number or size, an empty or repeated entry, or an option
            without effect.
    """
    if draws is not None and seeds is not None:
        raise UsageError("--draws and --seeds were both given", cure="give one of the two")
    study = {
        "regimes": split_list(regimes),
        "draws": draws,
        "seeds": None if seeds is None else split_numbers(seeds, int, "--seeds"),
        "key": key,
        "specs": make_all_specs(
            split_list(heads),
            penalties,
            key=key,
            standardize=standardize,
            balanced=balanced,
            fit_intercept=not no_intercept,
        ),
    }
    budget = parse_size(memory_budget, "--memory-budget")
    check_engine(engine, budget, solver, x64=x64)
    _refuse_idle_probe_options(study)
    dtype = "float64" if x64 else "float32"
    return {**study, "engine": engine, "solver": solver, "dtype": dtype, "memory_budget": budget}


def _refuse_idle_probe_options(study: Mapping[str, Any]) -> None:
    """Raise UsageError for an option that none of these probes and draws makes use of."""
    from geneb_jax.probes.regime import GENEB_SEEDS, check_key
    from geneb_jax.probes.spec import HeldOutC, LogisticSpec

    check_key(study["key"])
    specs = study["specs"]
    bases = [spec.base if isinstance(spec, HeldOutC) else spec for spec in specs]
    if not any(isinstance(base, LogisticSpec) for base in bases):
        refuse_idle("only the logistic probe has a choice of solvers", "solver")
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("control"):
        return  # the key picks the shuffle
    derived = study["seeds"] is None and (study["draws"] or 0) > len(GENEB_SEEDS) and set(study["regimes"]) != {"full"}
    if not derived and not any(isinstance(spec, HeldOutC) for spec in specs):
        reason = "the draws are GENEB's, or those of --seeds, and no C is chosen on held-out rows"
        refuse_idle(reason, "key", cure="leave it out, or ask for more draws than five, or for --C auto")


def make_all_specs(
    heads: Sequence[str], penalties: str | None, *, standardize: bool, key: int = 0, **settings: bool
) -> list[ProbeSpec]:
    """The specifications of several probe types: each penalty of the list for each type that has one.

    Raises:
        UsageError: an empty list, or an option that a type does not have.
        UnknownNameError: no such type, or setting of a type.
    """
    from geneb_jax.probes.heads.specs import parse_head
    from geneb_jax.probes.spec import LogisticSpec, Penalised

    if not heads:
        raise UsageError("--probe is empty", cure="write logistic, or several types with commas")
    specs: list[ProbeSpec] = []
    penalised = False
    for head in heads:
        spec: LogisticSpec | AnyHead
        if head == LogisticSpec.head:
            spec = LogisticSpec(standardize=standardize, **settings)
        else:
            spec = parse_head(head, standardize=standardize)
            if settings.get("balanced") or not settings.get("fit_intercept", True):
                raise UsageError(
                    f"--balanced and --no-intercept are for the logistic probe, and --probe names {head}",
                    cure="leave them out, or probe in two commands",
                )
        has_its_own = {"C", "alpha"} & set(re.split("[:=]", head))
        penalised |= not has_its_own and isinstance(spec, Penalised)
        if penalties is None or has_its_own or not isinstance(spec, Penalised):
            specs.append(spec)
        else:
            specs += make_specs(spec, penalties, key=key)
    if penalties is not None and not penalised:
        raise UsageError(
            f"--C has no effect with --probe {', '.join(heads)}: each has a penalty of its own, or none",
            cure="leave it out; logistic, svm and ridge take it",
        )
    return specs


def make_specs(base: Penalised, penalties: str, *, key: int = 0) -> list[ProbeSpec]:
    """One specification per penalty of a list such as ``0.1,1``, ``auto``, ``auto:0.1,1,10`` or ``1,auto``.

    Raises:
        UsageError: a word that is no number, or no number where one must be.
        ProbeError: a number that is no penalty.
    """
    from geneb_jax.probes.regime import check_key
    from geneb_jax.probes.spec import DEFAULT_GRID, HeldOutC

    check_key(key)
    fixed, auto, after = penalties.partition("auto")
    specs: list[ProbeSpec] = [base.with_C(C) for C in split_numbers(fixed, float, "--C")]
    if auto:
        grid = list(DEFAULT_GRID)
        if after.strip():
            found = split_numbers(after.strip().removeprefix(":"), float, "--C auto:")
            if not after.strip().startswith(":") or not found:
                raise UsageError(
                    f"--C cannot be read: auto{after}",
                    cure="write auto, or auto:0.1,1,10 with the values to choose from, at the end of the list",
                )
            grid = found
        specs.append(HeldOutC(base, tuple(grid), key=key))
    if not specs:
        raise UsageError("--C is empty", cure="write a positive number, several with commas, or auto")
    return specs


def parse_size(text: str | None, option: str) -> int | None:
    """Bytes of a size such as ``8GiB``, ``500MB`` or ``1000000``; None stays None. Raises UsageError."""
    if text is None:
        return None
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except ValidationError:
        size = 0
    if size < 1:
        raise UsageError(f"{option} takes a size such as 8GiB or 500MB, not {text!r}")
    return size


def check_engine(engine: str, memory_budget: int | None, solver: str, *, x64: bool) -> None:
    """Raise UsageError where an option has no effect with this engine."""
    if engine == "jax":
        return
    cure = "leave it out, or use --engine jax"
    if memory_budget is not None:
        what = f"--memory-budget has no effect with --engine {engine}, which holds every task's embeddings whole"
        raise UsageError(what, cure=cure)
    if solver != "auto":
        raise UsageError(f"--solver has no effect with --engine {engine}, which has its own", cure=cure)
    if x64:
        own = precision(engine, "float32")
        if own != "float64":
            what = f"--engine {engine} fits float32 vectors as they are"
            raise UsageError(what, cure="for float64 take --engine sklearn")
        raise UsageError(f"--x64 has no effect with --engine {engine}, which fits in float64 anyway", cure=cure)


def typed_command() -> list[str]:
    """What the user typed, after the program's name."""
    return sys.argv[1:]


def conclude(run: Run, *, as_json: bool) -> int:
    """Print a finished run, and say by the exit status whether every record has a meaningful score."""
    from geneb_jax.report.tables import console, print_report, report_json

    say_notes(run)
    if as_json:
        click.echo(json.dumps(report_json(run), indent=2))
    else:
        to = console()
        print_report(run, to)
        to.print(f"Run directory: {run.path}", style="dim", soft_wrap=True)
    return int(ExitCode.SOME_FAILED if run.has_faults else ExitCode.DONE)


def say_notes(run: Run) -> None:
    """Print what the last command on a run has to say beside its figures."""
    for note in run.meta.sessions[-1].notes:
        click.echo(note, err=True)


_SOURCES = {
    "both": "test rows and, where there are several, few-shot draws",
    "rows": "test rows, the draws held fixed",
    "draws": "few-shot draws, the rows held fixed",
    "tasks": "the tasks",
}

regime_filter = click.option("--regimes", metavar="LIST", help="Only these, such as full,10shot. Default: all.")


def resample_options(
    *, sources: Sequence[str], resamples: int = 10_000, regimes: bool = True
) -> Callable[[_Command], _Command]:
    """``--source`` if several, ``--regimes`` if wanted, and what all that resample take (below)."""
    return together(
        [
            *([click.option("--source", type=click.Choice(sources), default=sources[0], show_default=True,
                            help="What varies: " + "; ".join(f"{name}: {_SOURCES[name]}" for name in sources) + ".")]
              if len(sources) > 1 else []),
            *([regime_filter] if regimes else []),
            click.option("--metric", type=click.Choice(("mcc", "accuracy", "macro_f1")), default="mcc",
                         show_default=True, help="Which score."),
            click.option("--level", type=Finite(0, 1, min_open=True, max_open=True), default=0.95,
                         show_default=True, help="Of the intervals."),
            click.option("--resamples", type=click.IntRange(100, 1_000_000), default=resamples, show_default=True,
                         help="How many."),
            click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
                         help="Of the resamples; the same seed repeats them."),
            click.option("--groups", type=click.Path(path_type=Path), metavar="RULE|CSV",
                         help="Test rows that belong together are drawn together: duplicates (equal sequences), near "
                         "(also near-duplicates and opposite strands), or a CSV with the columns task,row,group."),
        ]
    )  # fmt: skip
