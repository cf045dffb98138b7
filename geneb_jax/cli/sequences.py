"""The sequences behind a run, which keeps none: its suite's files, checked to be those that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geneb_jax.errors import RunError, UsageError

if TYPE_CHECKING:
    from geneb_jax.axes import NumpyInt
    from geneb_jax.run import Run
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


def groups_by_rule(runs: Sequence[Run], rule: str, suite_name: str | None, data: Path | None) -> dict[str, NumpyInt]:
    """The groups (m,) of the test rows of every task in the runs, by one of `RULES`.

    Raises:
        UsageError, MissingDataError, RunError: the sequences are not at hand, or not those of the runs.
    """
    from geneb_jax.task.groups import duplicate_groups

    holders: Mapping[str, Run] = {task_id: run for run in reversed(runs) for task_id in run.meta.tasks}
    suites = {run.path: suite_behind(run, suite_name, data) for run in {r.path: r for r in holders.values()}.values()}
    return {
        task_id: duplicate_groups(load_task(run, suites[run.path], task_id).test.sequences, near=rule == "near")
        for task_id, run in holders.items()
    }
