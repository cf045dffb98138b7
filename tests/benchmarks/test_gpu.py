"""The script of GPU checks on a machine without a GPU: what runs, what says that it was skipped, and what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from click.testing import CliRunner

from benchmarks.gpu.__main__ import command
from benchmarks.gpu.kernel_checks import OPERATIONS, Operation, check
from benchmarks.gpu.steps import FailedCheckError, Figures, Setting, Step, run_steps

HERE = Setting("toy", gpu=False)


def test_the_script_checks_what_it_can_and_names_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = CliRunner().invoke(command, ["kernel gram", "share", "transfers", "--out", str(out)], standalone_mode=False)
    assert done.return_value == 0, done.output
    found = json.loads(out.read_text(encoding="utf-8"))
    steps = {step["name"]: step for step in found["steps"]}
    assert (found["geneb_type"], found["machine"]["device"]["platform"]) == ("gpu-checks", "cpu")
    assert steps["transfers behind work"]["outcome"] == "skipped"
    assert steps["torch and JAX share"]["figures"]["right"] > 0.9
    gram = steps["kernel gram"]
    assert gram["outcome"] == "passed"
    assert 0 < gram["figures"]["xla_error_over_limit"] <= 1
    assert gram["figures"]["kernel"].startswith("skipped: it needs a Hopper GPU")
    assert "says nothing about" in done.output


def test_a_failure_or_the_time_limit_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    seen: list[list[str]] = []

    def look(setting: Setting) -> Figures:
        seen.append([step["outcome"] for step in json.loads(out.read_text(encoding="utf-8"))["steps"]])
        return {"number": 1}

    def fail(setting: Setting) -> Figures:
        raise FailedCheckError("too far off", {"gap": 2.0})

    def crash(setting: Setting) -> Figures:
        raise OSError("no such device")

    steps = [Step("fails", "", fail), Step("crashes", "", crash), Step("looks", "", look)]
    outcomes = run_steps(steps, HERE, out, limit=60)
    assert seen == [["failed", "failed", "not reached"]]
    assert [(o.outcome, o.why) for o in outcomes[:2]] == [
        ("failed", "too far off"),
        ("failed", "OSError in crash: no such device"),
    ]
    assert outcomes[0].figures == {"gap": 2.0}
    assert {o.outcome for o in run_steps(steps, HERE, None, limit=-1)} == {"not reached"}


@pytest.mark.parametrize("operation", OPERATIONS[:2], ids=lambda operation: operation.name)
def test_operands_in_bfloat16_do_not_pass_for_float32(operation: Operation) -> None:
    def rounded(X: jax.Array, *rest: jax.Array) -> object:
        return operation.run(X.astype(jnp.bfloat16).astype(jnp.float32), *rest)

    with pytest.raises(FailedCheckError, match="beyond the limit: xla") as caught:
        check(replace(operation, run=rounded), HERE)
    assert caught.value.figures["xla_error_over_limit"] > 10
