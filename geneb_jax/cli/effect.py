"""Options that would change nothing where they were typed: they are refused, not ignored."""

from __future__ import annotations

import click
from click.core import ParameterSource

from geneb_jax.errors import UsageError


def refuse_idle(reason: str, *names: str, cure: str = "leave it out") -> None:
    """Raise UsageError for the first of these parameters that was typed, since it would change nothing here.

    A permission or a promise (--offline, --trust-remote-code, --allow-unread) is no wish and may lie idle.
    """
    context = click.get_current_context(silent=True)
    if context is None:  # called from Python
        return
    for parameter in context.command.params:
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            shown = parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.make_metavar(context)
            raise UsageError(f"{shown} has no effect here: {reason}", cure=cure)


RESAMPLING = ("source", "level", "resamples", "seed", "groups")
"""Parameters that say how scores are resampled."""


def refuse_idle_resampling(source: str, groups: object, *, suite: bool = True) -> None:
    """Raise UsageError for an option of the resamples that this source, or this kind of groups, makes no use of.

    `suite`: --suite and --data serve the groups alone.
    """
    if source == "draws":
        refuse_idle("--source draws holds the test rows fixed", "groups", cure="leave it out, or take --source both")
    if suite and str(groups) not in ("duplicates", "near"):
        reason = "sequences are read only to find those that belong together"
        refuse_idle(reason, "suite_name", "data", cure="leave it out, or add --groups duplicates or near")
