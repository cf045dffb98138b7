"""`geneb run --control`: on a task that can be learned, what each control leaves, and that nothing mixes."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from geneb_jax.cli.run import command
from geneb_jax.errors import RunError, UsageError
from geneb_jax.run import Run
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import task_scores
from tests.run.helpers import write_csv


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    """A real run and one of each control, all in one store."""
    place = tmp_path_factory.mktemp("controls")
    rng = np.random.default_rng(0)
    for split, n in (("train", 300), ("test", 200)):
        # two words of the same letters: the order is all that tells the classes apart
        rows = [("".join(rng.choice(list("ACGT"), 90)) + ("ACGACGACG", "AGCAGCAGC")[i % 2], i % 2) for i in range(n)]
        write_csv(place / "suite" / "tasks" / "words" / f"{split}.csv", rows)
    found = {}
    for control in ("real", "labels", "mono"):
        arguments = ["kmer:3", "--suite", str(place / "suite"), "--tasks", "words", "--regimes", "full",
                     "--out", str(place / control), "--store", str(place / "store"), "--json"]  # fmt: skip
        arguments += [] if control == "real" else ["--control", control]
        result = CliRunner().invoke(command, arguments, standalone_mode=False)
        assert result.exception is None, result.output
        found[control] = Run.open(place / control)
        report = json.loads(result.stdout)
        assert (report["control"] is None) == (control == "real")
    return found


def test_what_a_control_leaves(runs: dict[str, Run]) -> None:
    score = {name: run.records["mcc"][0].as_py() for name, run in runs.items()}
    assert score["real"] > 0.8
    assert abs(score["mono"]) < 0.22  # 200 test rows: three standard errors of chance
    assert abs(score["labels"]) < 0.5  # more than chance on test rows: a strong direction may be learned by accident


def test_a_control_is_written_into_every_record_and_name(runs: dict[str, Run]) -> None:
    for name, run in runs.items():
        control = None if name == "real" else name
        assert set(run.records["control"].to_pylist()) == {control}
        assert set(run.records["task"].to_pylist()) == {"words" if control is None else f"words~{name}"}
        assert run.meta.suite.name.endswith(f"~{name}") == (control is not None)
    # the vectors of shuffled labels are the real ones, embedded once
    assert runs["labels"].meta.encoders[0].digest == runs["real"].meta.encoders[0].digest


def test_a_control_and_real_scores_share_no_directory_and_no_table(runs: dict[str, Run]) -> None:
    with pytest.raises(UsageError, match="never put into one table"):
        Runs.of(runs.values())
    with pytest.raises(UsageError, match="never put into one table"):
        task_scores(pa.concat_tables([runs["real"].records, runs["mono"].records]))
    place = runs["real"].path.parent
    again = ["kmer:3", "--suite", str(place / "suite"), "--regimes", "full", "--out", str(runs["real"].path)]
    result = CliRunner().invoke(command, [*again, "--control", "di"], standalone_mode=False)
    assert isinstance(result.exception, RunError)
    assert "other settings" in str(result.exception)
