"""Several devices, simulated on the CPU in a process of their own: the answers of one device, and one compilation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from geneb_jax.errors import ProbeError
from geneb_jax.probes.devices import DEVICES_VARIABLE, Split, mesh, use_devices
from geneb_jax.probes.lanes import COMPACT_FROM, continued
from tests.probe.on_devices import CASES, NUM_DEVICES, SEEDS, fit_case
from tests.tolerances import limit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the process with several devices fitted, and how."""
    out = tmp_path_factory.mktemp("devices") / "report.json"
    command = [sys.executable, "-W", "error", "-m", "tests.probe.on_devices", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(out.read_text())
    assert found["devices"] == NUM_DEVICES
    return found["cases"]  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_one_device(report: dict[str, Any], name: str) -> None:
    dtype = CASES[name].dtype
    for seed, task in zip(SEEDS, report[name]["tasks"], strict=True):
        with use_devices(1):
            alone = fit_case(name, seed)
        assert len(task["fits"]) == len(alone)
        for there, here in zip(task["fits"], alone, strict=True):
            assert there["status"] == here["status"] == "CONVERGED"
            assert there["objective"] == pytest.approx(here["objective"], rel=limit(dtype, "same_problem"))
            equal = np.mean(np.equal(there["predictions"], here["predictions"]))
            assert equal >= limit(dtype, "predictions_equal")


@pytest.mark.slow
def test_a_second_task_of_the_same_shapes_compiles_nothing(report: dict[str, Any]) -> None:
    for name, case in report.items():
        first, second = case["tasks"]
        assert first["compiled"] > 0
        assert second["compiled"] == 0, name


@pytest.mark.slow
def test_the_work_is_spread(report: dict[str, Any]) -> None:
    """Every device holds its part of the lanes, or of the rows, and nobody gathers what is spread."""
    axes = {name: {(r["solver"], r["axis"]) for r in case["rounds"]} for name, case in report.items()}
    rows, few = ("rounds", "rows"), ("dual_rounds", "lanes")
    assert axes == dict(zip(CASES, ({rows, few}, {("rounds", "lanes")}, {rows}, {few}, {few}), strict=True))
    says = {}
    for name, case in report.items():
        devices = CASES[name].devices
        for done in case["rounds"]:
            assert done["devices"] == {"W": devices, "Z": devices}
            if done["axis"] == "rows":
                assert done["X_shard"][0] * devices == done["X"][0]
                assert done["Z_shard"][1] * devices == done["X"][0]
            else:
                assert done["W_shard"][0] * devices == done["Z_shard"][0] * devices == done["lanes"]
                # a matrix that all lanes share is on every device, one that each has of its own is not
                assert done["X_shard"][0] == done["X"][0] // (devices if len(done["X"]) == 3 else 1)
            if "says" in done:
                says[done["solver"], done["axis"]] = done["says"]
    assert says == {rows: ["all-reduce"], few: [], ("rounds", "lanes"): []}


@pytest.mark.slow
def test_unfinished_lanes_go_on_alone(report: dict[str, Any]) -> None:
    sizes = {done["lanes"] for done in report["rounds of ever fewer lanes"]["rounds"]}
    assert len(sizes) > 1
    assert all(size % NUM_DEVICES == 0 for size in sizes)


@pytest.mark.slow
def test_groups_of_lanes_are_filled_up(report: dict[str, Any]) -> None:
    """Lanes whose directions are found in float32 and in float64 go apart, each group on all devices."""
    rounds = report["directions in two precisions"]["rounds"]
    assert {done["single"] for done in rounds} == {True, False}
    assert all(done["lanes"] % NUM_DEVICES == 0 for done in rounds)


@pytest.mark.parametrize("unit", [1, 3, 8])
def test_lanes_that_run_are_dealt_out(unit: int) -> None:
    count, on = 40 * unit, np.arange(5, 17)
    kept = continued(on, 2 * max(count, 2 * COMPACT_FROM), unit)
    assert kept is not None
    assert len(kept) % unit == 0
    assert len(set(kept.tolist())) == len(kept)
    running = np.isin(kept.reshape(unit, -1), on).sum(axis=1)
    assert running.sum() == len(on)
    assert running.max() - running.min() <= 1


def test_one_device_has_no_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICES_VARIABLE, "1")
    assert mesh() is None
    monkeypatch.delenv(DEVICES_VARIABLE)
    with use_devices(1):
        assert mesh() is None


@pytest.mark.parametrize("text", ["0", "many", "-1", "1000", ""])
def test_a_count_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(DEVICES_VARIABLE, text)
    with pytest.raises(ProbeError, match="device") as caught:
        mesh()
    assert caught.value.where is not None
    assert caught.value.cure is not None


def test_more_devices_than_there_are_is_refused() -> None:
    with pytest.raises(ProbeError, match="devices"), use_devices(len(jax.local_devices()) + 1):
        pass


def test_a_split_is_a_static_argument() -> None:
    one = jax.sharding.Mesh(np.array(jax.local_devices()[:1]), ("devices",))
    same = jax.sharding.Mesh(np.array(jax.local_devices()[:1]), ("devices",))
    assert Split(one, "lanes") == Split(same, "lanes") != Split(one, "rows")
    assert len({Split(one, "lanes"), Split(same, "lanes")}) == 1
