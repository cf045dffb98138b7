"""The sequences behind a run, which keeps none: its suite's files, checked to be those that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geneb_jax.errors import RunError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from geneb_jax.axes import NumpyInt
    from geneb_jax.run import Run
    from geneb_jax.run.runs import Runs
    from geneb_jax.task import Suite, Task

RULES: Final = ("duplicates", "near")
"""Which test rows belong together (`geneb_jax.task.groups`): equal sequences, or also near-duplicates."""


def suite_behind(run: Run, name: str | None, data: Path | None) -> Suite:
    """The suite called `name`, by default the run's. Raises UsageError where that is not built in."""
    from geneb_jax.task import BUILT_IN, load_suite
    from geneb_jax.task.control import split_name

    own = run.meta.suite.name
    if name is None and split_name(own)[0] not in BUILT_IN:
        raise UsageError(
            f"the run's suite {own!r} is not built in, so its sequences are not known",
            cure="name its folder or .toml file with --suite",
        )
    return load_suite(name or own, data=data)


def load_task(run: Run, suite: Suite, task_id: str) -> Task:
    """A task of the suite.

    Raises:
        MissingDataError: its files are not at hand.
        RunError: they are not those that the run was made from.
    """
    task = suite.load(task_id)
    known = run.meta.tasks[task_id]
    for name, digest in (("train", known.train_digest), ("test", known.test_digest)):
        if digest and task.splits[name].digest != digest:
            raise RunError(
                f"the {name} rows at hand are not those that the run was made from",
                where=f"task {task_id}",
                cure="name the data of the run with --suite or --data",
            )
    return task


def behind(
    runs: Runs, name: str | None, data: Path | None, patterns: Sequence[str] = ()
) -> dict[str, tuple[Run, Suite]]:
    """Of every task of the runs (and of these patterns) a run that holds it, and the suite that has its sequences.

    Raises:
        UsageError: a suite is not built in and was not named.
        UnknownNameError: a pattern matches no task of any suite.
    """
    suites: dict[str, Suite] = {}
    found: dict[str, tuple[Run, Suite]] = {}
    unknown: UnknownNameError | None = None
    chosen = False
    for run in runs.parts:
        own = run.meta.suite.name
        if own not in suites:
            suites[own] = suite_behind(run, name, data)
        try:
            ids = suites[own].select(patterns).ids
            chosen = True
        except UnknownNameError as error:
            unknown = error
            continue
        for task in ids:
            if task in run.meta.tasks:
                found.setdefault(task, (run, suites[own]))
    if unknown is not None and not chosen:
        raise unknown
    return found


def groups_by_rule(runs: Runs, rule: str, suite_name: str | None, data: Path | None) -> dict[str, NumpyInt]:
    """The groups (m,) of the test rows of every task in the runs, by one of `RULES`.

    Raises:
        UsageError, MissingDataError, RunError: the sequences are not at hand, or not those of the runs.
    """
    from geneb_jax.task.groups import duplicate_groups

    return {
        task_id: duplicate_groups(load_task(run, suite, task_id).test.sequences, near=rule == "near")
        for task_id, (run, suite) in behind(runs, suite_name, data).items()
    }
