"""A submission is complete and keeps the rules, or is not written; what is missing is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from geneb_jax.errors import RunError, UsageError
from geneb_jax.probes.regime import GENEB_SEEDS
from geneb_jax.published import REGIMES, models, tasks
from geneb_jax.report.submission.build import build_submission, entry_of
from geneb_jax.report.submission.card import model_card, open_fields
from geneb_jax.report.submission.schema import problems
from geneb_jax.run import Run
from geneb_jax.run.runs import Runs
from tests.run.helpers import forget_hashes


@pytest.fixture(scope="module")
def whole_run(board_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with the records of one encoder's four tasks in turn, as if they were those of all 100."""
    folder = tmp_path_factory.mktemp("whole")
    real = board_run.records.filter(pc.field("encoder") == "strong")
    by_task = [real.filter(pc.field("task") == name) for name in pc.unique(real["task"]).to_pylist()]
    parts = []
    for number, task in enumerate(tasks()):
        part = by_task[number % len(by_task)]
        for column, value in (("task", task.id), ("category", task.category)):
            place = part.column_names.index(column)
            part = part.set_column(place, part.schema.field(column), [[value] * part.num_rows])
        parts.append(part)
    pq.write_table(pa.concat_tables(parts), folder / "records.parquet")
    shutil.copy(board_run.path / "run.json", folder)
    forget_hashes(folder)
    return Run.open(folder)


def test_a_complete_run_becomes_a_submission_with_a_card(geneb, whole_run: Run, tmp_path: Path):
    facts = ("--params", "12M", "--model-id", "lab/my model", "--submitted-by", "me")
    status, shown = geneb("export", whole_run.path, "--out", tmp_path, *facts)
    assert status == 0, shown
    file, card = tmp_path / "submissions" / "lab_my_model.json", tmp_path / "model_cards" / "lab_my_model.md"
    found = json.loads(file.read_text())
    assert {regime: len(own) for regime, own in found["results"].items()} == dict.fromkeys(REGIMES, 100)
    rows = whole_run.records.to_pylist()
    task = tasks()[7].id
    for regime in REGIMES:
        own = [r for r in rows if (r["task"], r["regime"]) == (task, regime) and r["seed"] in GENEB_SEEDS]
        for key, column in (("MCC", "mcc"), ("Acc", "accuracy"), ("F1", "macro_f1")):
            assert found["results"][regime][task][key] == pytest.approx(np.mean([r[column] for r in own]))
    assert (found["model_id"], found["meta"]["params"]) == ("lab/my model", 12_000_000)
    assert "- **Parameters:** 12,000,000" in card.read_text()
    assert "Fill in the card before you send it: Architecture; Weights / URL;" in shown
    assert "Submitted by" not in shown
    assert geneb("export", "--check", file) == (0, "lab_my_model.json: keeps GENEB's rules\n")
    # without a number of parameters GENEB takes none
    status, shown = geneb("export", whole_run.path, "--out", tmp_path / "other")
    assert (status, "give --params" in shown, (tmp_path / "other").exists()) == (3, True, False)


@pytest.fixture
def accepted(whole_run: Run) -> dict[str, Any]:
    return build_submission(entry_of(Runs.of(whole_run)), model_id="mine", params=0, provenance="self-reported")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("model_id",), "other", "must be called other.json"),
        (("schema_version",), "2.0", "schema_version: Input should be '1.0'"),
        (("harness_version",), "", "harness_version: String should have at least 1 character"),
        (("meta", "display"), None, "meta / display"),
        (("meta", "params"), None, "meta / params: Input should be a valid integer"),
        (("meta", "params"), 1e6, "meta / params: Input should be a valid integer"),
        (("meta", "zero_shot"), "no", "meta / zero_shot: Input should be a valid boolean"),
        (("meta", "provenance"), "my own", "meta / provenance: Input should be 'official'"),
        (("meta", "provenance"), "official", "'official' is for the models of the paper"),
        (("results", "full", tasks()[0].id, "MCC"), -1.01, "MCC: Input should be greater"),
        (("results", "10shot", tasks()[0].id, "F1"), float("nan"), "F1: Input should be a finite"),
        (("results", "1shot", tasks()[0].id, "Acc"), "0.5", "Acc: Input should be a valid number"),
        (("results", "1shot", tasks()[0].id), {"MCC": 0.1, "Acc": 0.5}, "F1: Field required"),
        (("results", "1shot", "mine"), {"MCC": 0.1, "Acc": 0.5, "F1": 0.5}, "results / 1shot / mine: no task of"),
        (("results", "full"), {}, "Histone Mod.: 30 of 30 tasks without a score in full"),
    ],
)
def test_every_rule_of_the_board_is_checked(accepted: dict[str, Any], place: tuple[str, ...], value: Any, words: str):
    # what the board's own validator lets pass: whole numbers, sums just above 1, further keys
    accepted["meta"]["note"] = "more"
    accepted["results"]["full"][tasks()[1].id] = {"MCC": 1, "Acc": 1 + 1e-9, "F1": 1}
    assert problems(accepted, "mine.json") == []
    *parents, last = place
    inner = accepted
    for key in parents:
        inner = inner[key]
    inner[last] = value
    found = problems(accepted, "mine.json")
    assert any(words in one for one in found), found


def test_the_card_of_a_published_model_knows_it(whole_run: Run):
    entry = entry_of(Runs.of(whole_run))
    settings = {"canonical": False, "pooling": "cls", "defect": "the wrong row"}
    encoder = entry.encoder.model_copy(update={"name": "GROVER, reference", "settings": settings})
    entry = replace(entry, encoder=encoder)
    found = build_submission(entry)
    assert (found["model_id"], found["meta"]["params"]) == ("GROVER", models()["GROVER"].params_board)
    card = model_card(entry, found)
    for line in ("- **canonical:** False", "- **Pooling:** cls", "- **Defect of the embedding rule:** the wrong row"):
        assert line in card.splitlines()
    assert open_fields(card)[-2:] == ["Known train/test overlap with benchmark data", "Submitted by"]


def test_a_file_that_breaks_rules_ends_with_status_3(geneb, accepted: dict[str, Any], tmp_path: Path):
    del accepted["results"]["10shot"]
    for scores in accepted["results"]["full"].values():
        scores["Acc"] = 2.0
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(accepted))
    status, shown = geneb("export", "--check", file)
    assert (status, len(shown.splitlines())) == (3, 22)
    assert "mine.json: 113 problems" in shown
    status, shown = geneb("export", "--check", file, "--json")
    assert (status, len(json.loads(shown)["problems"])) == (3, 100 + 13)
    file.write_text("[]")
    assert geneb("export", "--check", file)[0] == 3
    file.write_text("no")
    assert geneb("export", "--check", file)[0] == 3


def test_a_partial_run_is_refused_and_nothing_is_written(geneb, board_run: Run, tmp_path: Path):
    status, shown = geneb("export", board_run.path, "--out", tmp_path, "--model", "strong")
    assert status == 3
    assert "Histone Mod.: 30 of 30 tasks without a score in full, 10shot, 1shot\n" in shown
    assert "Splice Sites: 5 of 7 tasks without a score in full, 10shot, 1shot (NT-rev splice sites donors, …)" in shown
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="3 encoders"):
        entry_of(Runs.of(board_run))


def test_another_probe_or_fewer_draws_than_the_boards_are_refused(whole_run: Run):
    (probe,) = whole_run.meta.settings.probes
    settings = whole_run.meta.settings.model_copy(update={"probes": [{**probe, "C": 10.0}]})
    records = whole_run.records
    kept = pc.invert(pc.and_(pc.equal(records["regime"], "10shot"), pc.equal(records["seed"], 997)))
    other = Run(whole_run.path, whole_run.meta.model_copy(update={"settings": settings}), records.filter(kept))
    with pytest.raises(RunError) as caught:
        build_submission(entry_of(Runs.of(other)), params=0)
    assert "C = 10.0; the board's has C = 1.0" in str(caught.value)
    assert "10shot: 100 tasks without one of GENEB's five draws" in str(caught.value)
    assert "without a score in 10shot" in str(caught.value)


def test_mteb_files_hold_every_regime_as_a_subset(geneb, board_run: Run, tmp_path: Path):
    status, shown = geneb("export", board_run.path, "--format", "mteb", "--out", tmp_path, "--model", "weak")
    assert status == 0, shown
    (folder,) = (tmp_path / "weak").iterdir()
    files = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert files.pop("model_meta")["embed_dim"] == 3
    assert set(files) == set(board_run.records["task"].to_pylist())
    for name, one in files.items():
        assert one["task_name"] == name
        assert [part["hf_subset"] for part in one["scores"]["test"]] == list(REGIMES)
        assert all(part["main_score"] == part["mcc"] for part in one["scores"]["test"])
