"""``geneb export``: a run as a submission to GENEB, or as result files of MTEB; and the check of a submission."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from geneb_jax.cli.boards import parse_params
from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.files import write_text, writing
from geneb_jax.errors import ExitCode, UsageError
from geneb_jax.paths import confined

if TYPE_CHECKING:
    from geneb_jax.report.submission.build import Entry

_SHOWN: Final = 20
"""Problems of a checked file that are printed; --json prints all."""


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@click.option("--format", "kind", type=click.Choice(("geneb", "mteb")), default="geneb", show_default=True,
              help="geneb: one file for all tasks and regimes, with a model card. mteb: a file per task.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Where the files go; for geneb this can be a checkout of GENEB's repository.")  # fmt: skip
@click.option("--model", "encoder", metavar="ENCODER", help="Which encoder, where RUN… has several.")
@click.option("--model-id", metavar="ID", help="Id on the board, after which the file is named. Default: the encoder's "
              "name, or a published model's own id.")  # fmt: skip
@click.option("--display", metavar="TEXT", help="Name on the board. Default: the encoder's.")
@click.option("--params", metavar="NUMBER", help="Number of parameters, such as 87M; needed where no table has it.")
@click.option("--url", metavar="URL", help="Where the weights are.")
@click.option("--training-data", metavar="TEXT", help="What the model was trained on.")
@click.option("--submitted-by", metavar="TEXT", help="Who submits.")
@click.option("--zero-shot", is_flag=True, help="No task's data was in the training data in any form.")
@click.option("--check", type=click.Path(path_type=Path), metavar="FILE",
              help="Check a submission by GENEB's rules; writes nothing.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...],
    kind: str,
    out: Path | None,
    encoder: str | None,
    check: Path | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Write RUN… in a form that others take: GENEB's submission file, or MTEB's result files.

    A submission is complete or is not written: what is missing is listed. docs/submission.md says what comes with it.
    """
    if check is not None:
        others = ("runs", "kind", "out", "encoder", *given)
        refuse_idle("--check reads one file and writes nothing", *others, cure="leave it or --check out")
        return _check(check, as_json=as_json)
    if not runs or out is None:
        raise UsageError("RUN and --out are needed", cure="write `geneb export RUN --out FOLDER`, or --check FILE")
    from geneb_jax.cli.resampling import open_runs
    from geneb_jax.report.submission.build import entry_of

    entry = entry_of(open_runs(runs), encoder)
    if kind == "mteb":
        refuse_idle("result files of MTEB have no place for it", *given, cure="leave it out, or take --format geneb")
        from geneb_jax.report.submission.mteb import write_mteb

        with writing(out):
            files = write_mteb(entry, out)
        lines = [f"Result files of {entry.encoder.name}, a file per task:", f"  {files[0].parent}"]
    else:
        given["params"] = parse_params(given["params"], "--params")
        files, lines = _write_submission(entry, given, out)
    click.echo(json.dumps({"files": [str(file) for file in files]}, indent=2) if as_json else "\n".join(lines))
    return int(ExitCode.DONE)


def _write_submission(entry: Entry, given: dict[str, Any], out: Path) -> tuple[list[Path], list[str]]:
    """The files that were written, and what to tell of them."""
    from geneb_jax.published import models
    from geneb_jax.report.submission.build import build_submission
    from geneb_jax.report.submission.card import model_card, open_fields
    from geneb_jax.report.submission.schema import file_stem

    found = build_submission(entry, **given)
    card, stem = model_card(entry, found), file_stem(found["model_id"])
    texts = {
        "submissions/{}.json": json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n",
        "model_cards/{}.md": card,
    }
    files = {confined(out, name.format(stem), what="model's id"): text for name, text in texts.items()}
    for file, text in files.items():
        write_text(file, text)
    lines = ["A complete submission, which keeps GENEB's rules, and its model card:", *(f"  {file}" for file in files)]
    if open_ends := open_fields(card):
        lines.append(f"Fill in the card before you send it: {'; '.join(open_ends)}.")
    if found["model_id"] in models():
        lines.append(f"The board has an entry {found['model_id']}, which this would replace: --model-id gives another.")
    return list(files), lines


def _check(path: Path, *, as_json: bool) -> int:
    from geneb_jax.report.submission.schema import problems, read_submission

    wrong = problems(read_submission(path), path.name)
    if as_json:
        click.echo(json.dumps({"file": path.name, "problems": wrong}, indent=2))
    else:
        more = [f"… and {len(wrong) - _SHOWN} more: --json prints all"] if len(wrong) > _SHOWN else []
        verdict = f"{len(wrong)} problem{'s' if len(wrong) > 1 else ''}" if wrong else "keeps GENEB's rules"
        click.echo("\n".join([*wrong[:_SHOWN], *more, f"{path.name}: {verdict}"]))
    return int(ExitCode.BAD_INPUT if wrong else ExitCode.DONE)
