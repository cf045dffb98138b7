"""``geneb tasks`` as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def geneb(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "GENEB_"))} | env
    call = [
        sys.executable,
        "-W",
        "error",
        "-c",
        "from geneb_jax.cli.main import main; main()",
        "tasks",
        *args,
    ]
    return subprocess.run(call, env=clean, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for task, letters in (("iDHS-EL_DNase_I", "ACGT"), ("iDNA_ABF_5mC", "ACG!")):
        where = tmp_path / "tasks" / task
        where.mkdir(parents=True)
        for name in ("train", "test"):
            (where / f"{name}.csv").write_text(f"text,label\nGGG,0\n{letters},1\n")
    return tmp_path


def test_lists_the_board_without_any_data() -> None:
    done = geneb()
    assert done.returncode == 0, done.stderr
    assert "Suite geneb: 100 tasks in 13 categories" in done.stdout
    assert "darlednik/geneb-tasks@4edd705be573e48c585c2cf79dc320f9f43c7b04" in done.stdout
    assert sum("_" in line.split(" ")[0] for line in done.stdout.splitlines()) == 100
    covid = next(line for line in done.stdout.splitlines() if "virus_covid" in line)
    assert covid.split() == ["leannmlindsey_GUE_virus_covid", "~9", "~77669", "~7000"]


def test_json_listing_and_selection() -> None:
    done = geneb("--json", "--tasks", "*species*,*covid", "--tasks", "iDHS*")
    listing = json.loads(done.stdout)
    assert [task["num_classes"] for task in listing["tasks"]] == [20, 40, None, None]
    assert listing["tasks"][0]["category"] == "Species Clf."
    assert listing["tasks"][2]["upstream"]["num_classes"] == 9
    wrong = geneb("--tasks", "leannmlindsey_GUE_virus_covit")
    assert wrong.returncode == 3
    assert "did you mean leannmlindsey_GUE_virus_covid" in wrong.stderr


def test_data_folder_says_what_is_there(folder: Path) -> None:
    done = geneb("--data", str(folder))
    assert "data here: 2 of 100 tasks" in done.stdout
    assert geneb(GENEB_DATA=str(folder)).stdout == done.stdout
    listing = json.loads(geneb("--data", str(folder), "--json").stdout)
    assert sum(task["present"] for task in listing["tasks"]) == 2


def test_audit_reports_the_bad_task_and_exits_4(folder: Path) -> None:
    done = geneb("--data", str(folder), "--audit")
    assert done.returncode == 4
    assert "1 of 100 tasks audited, 98 without data here, 1 could not be read" in done.stdout
    assert "row 2 (line 3)" in done.stdout
    assert geneb("--data", str(folder), "--audit", "--tasks", "iDHS*").returncode == 0
    report = json.loads(geneb("--data", str(folder), "--audit", "--json").stdout)
    assert len(report["absent"]) == 98
    assert [task["problem"] is None for task in report["tasks"]] == [False, True]


def test_audit_of_the_bundled_suite_needs_nothing() -> None:
    done = geneb("--suite", "quickstart", "--audit", HF_HUB_OFFLINE="1")
    assert done.returncode == 0
    assert "3 of 3 tasks audited" in done.stdout
    assert done.stderr == ""


def test_audit_without_any_data_stops_with_both_ways(tmp_path: Path) -> None:
    done = geneb("--audit", "--offline", HF_HOME=str(tmp_path))
    assert done.returncode == 3
    assert "--data DIR" in done.stderr
    assert "darlednik/geneb-tasks@" in done.stderr
    assert done.stdout == ""


def test_square_brackets_in_names_are_shown_as_they_are(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}[bold].csv").write_text("text,label\nGG[,0\nAC,1\n")
    (tmp_path / "s.toml").write_text(
        'name = "s[dim]"\n[[task]]\nid = "t"\ntrain = "train[bold].csv"\ntest = "test[bold].csv"\n'
    )
    done = geneb("--suite", str(tmp_path / "s.toml"), "--audit")
    assert done.returncode == 4
    assert "Audit of suite s[dim], version" in done.stdout
    assert "train[bold].csv, row 1 (line 2)" in done.stdout
