"""The ``geneb`` command: finds the subcommand's module only when it is called, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

try:
    import click

    from geneb_jax import __version__
    from geneb_jax.cli.door import close_streams, debugging, in_words, open_streams
    from geneb_jax.errors import ExitCode, GenebError, UsageError, unknown_name
except KeyboardInterrupt:  # the command has not begun
    raise SystemExit(130) from None

# name -> (module with a click command called `command`, one line for `geneb --help`).
# The line is repeated here so that the help screen imports no subcommand.
COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": ("geneb_jax.cli.quickstart", "Embed, probe and report on bundled real data; needs no network."),
    "tasks": ("geneb_jax.cli.tasks", "List the tasks of a suite, or audit their data."),
    "encoders": ("geneb_jax.cli.encoders", "List the encoders that can be named, or show one."),
    "embed": ("geneb_jax.cli.embed", "Embed every distinct sequence of a suite once, into a store."),
    "probe": ("geneb_jax.cli.probe", "Fit and score the probes of one or more stores."),
    "run": ("geneb_jax.cli.run", "Embed, probe and report in one go."),
    "store": ("geneb_jax.cli.store", "Show, merge, copy, export and import stores of embeddings."),
    "bootstrap": ("geneb_jax.cli.bootstrap", "Intervals for the scores of runs, without fitting again."),
    "compare": ("geneb_jax.cli.compare", "Which differences between encoders are real: ranks, ties, p-values."),
    "curves": ("geneb_jax.cli.curves", "Scores by labelled rows, and how many draws a ranking needs."),
    "plan": ("geneb_jax.cli.plan", "How many test rows, draws or tasks show a difference of a given size."),
    "sensitivity": ("geneb_jax.cli.sensitivity", "Does the ranking depend on the probe, its C, the training rows?"),
    "analyse": ("geneb_jax.cli.analyse", "The paper's analyses, on the official board or on runs: size, wins, pairs."),
    "recommend": ("geneb_jax.cli.recommend", "Which models to try for a kind of task and a number of labels."),
    "export": ("geneb_jax.cli.export", "A run as GENEB's submission file with its model card, or as MTEB's files."),
    "leakage": ("geneb_jax.cli.leakage", "Test rows that also stand in train, and scores without them."),
    "report": ("geneb_jax.cli.report", "One HTML file, tables and figures, of runs and the official board."),
    "site": ("geneb_jax.cli.site", "A static leaderboard site of runs and the official board."),
    "verify": ("geneb_jax.cli.verify", "Check every chunk, index and manifest of a store; --repair mends it."),
    "doctor": ("geneb_jax.cli.doctor", "Show versions and devices; --parity compares a store with scikit-learn."),
}


class LazyGroup(click.Group):
    """A click group whose subcommands are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand; an unknown name lists the near ones."""
        if cmd_name not in COMMANDS:
            raise click.UsageError(str(unknown_name("command", cmd_name, COMMANDS)))
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command = module.command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list from the table above, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `geneb quickstart`. Every listing takes --json. Exit status: 0 done, 2 usage, 3 bad input or "
    "anything else that stopped the command, "
    "4 some records degenerate or failed, 130 interrupted (run the same command again to resume).",
)
@click.version_option(__version__, prog_name="geneb")
def app() -> None:
    """Compare frozen genomic encoders: embed once, probe everything, report with error marks."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script; exits the process."""
    guarded = open_streams()
    code = _run(argv)
    lost = close_streams(guarded)
    if lost is not None:
        _tell(lost)
        code = int(lost.exit_code)
    sys.exit(code)


def _run(argv: Sequence[str] | None) -> int:
    """The exit status of a command line; every error has been told."""
    try:
        _check_words(sys.argv[1:] if argv is None else argv)
        code = app.main(args=None if argv is None else list(argv), prog_name="geneb", standalone_mode=False)
    except GenebError as error:
        return _tell(error)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted: nothing finished is lost; run the same command again to resume.", err=True)
        return int(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except BrokenPipeError:  # the reader of a pipe has closed it, as `geneb tasks | head` does
        return int(ExitCode.DONE)
    except Exception as error:
        if debugging():
            traceback.print_exception(error)
        return _tell(in_words(error))
    return int(code) if isinstance(code, int) else int(ExitCode.DONE)


def _check_words(words: Sequence[str]) -> None:
    """Raise UsageError for a word that no file, name or number can be."""
    for number, word in enumerate(words, start=1):
        if "\0" in word or any("\ud800" <= letter <= "\udbff" for letter in word):
            raise UsageError(
                f"word {number} of the command holds a letter that no name can have: {word[:60]!a}",
                cure="remove the null byte or the half of a surrogate pair",
            )


def _tell(error: GenebError) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(str(error), err=True)
    return int(error.exit_code)
