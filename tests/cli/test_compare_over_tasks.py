"""``geneb compare`` over tasks: on the published board, where no run is needed."""

from __future__ import annotations

import json

from click.testing import CliRunner

from geneb_jax.cli.compare import command


def test_the_board_alone() -> None:
    shown = CliRunner().invoke(command, ["--published", "--regimes", "full", "--resamples", "500", "--within", "0.02"],
                               catch_exceptions=False, standalone_mode=False)  # fmt: skip
    assert "Not told from" in shown.output
    assert "Practical equivalence" in shown.output
    assert "joined by a line" in shown.output
    found = CliRunner().invoke(
        command, ["--published", "--regimes", "1shot", "--scope", "category", "--resamples", "500", "--json"],
        catch_exceptions=False, standalone_mode=False,
    )  # fmt: skip
    rows = json.loads(found.stdout)
    small = [row for row in rows if row["num_tasks"] < 6]
    assert small
    assert not any(row["can_tell"] or any(pair["better"] for pair in row["pairs"]) for row in small)
    assert {len(row["places"]) for row in rows} == {40}


def test_without_a_run_and_of_single_tasks() -> None:
    from geneb_jax.errors import UsageError

    for words in ([], ["--published", "--scope", "task"]):
        failed = CliRunner().invoke(command, words, standalone_mode=False)
        assert isinstance(failed.exception, UsageError)
