"""Runs, studies and submissions of every format version stay readable: those in ``tests/data`` are never rewritten.

``run-v1`` was made by ``geneb run kmer:1 kmer:2 composition --suite suite --regimes 1shot,full`` from the suite in
``run-v1-data``; ``study-v1`` from the same vectors by ``geneb sensitivity run-v1/store --probe logistic,centroid
--shots 1,full …``; ``submission-v1`` by ``geneb export`` of a run over the board's hundred tasks with ten training rows
a class each.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.encoder import load_encoder
from geneb_jax.metric.reference import reference_scores
from geneb_jax.report.submission.schema import problems, read_submission
from geneb_jax.run import Run
from geneb_jax.run.embedding import embed
from geneb_jax.run.probing import probe
from geneb_jax.stats.sensitivity.document import KEYS
from geneb_jax.task import load_suite

DATA = Path(__file__).parents[1] / "data"
H3 = "InstaDeepAI_nucleotide_transformer_downstream_tasks_H3"
MEANS = {  # what `geneb run` printed when the run was made: task, regime -> encoder -> mean over draws
    ("all", "1shot"): {"kmer:2": 0.220, "kmer:1": 0.170, "composition": 0.182},
    ("all", "full"): {"kmer:2": 0.367, "kmer:1": 0.214, "composition": 0.262},
    ("donors", "1shot"): {"kmer:2": 0.041, "kmer:1": 0.022, "composition": -0.063},
    ("donors", "full"): {"kmer:2": 0.314, "kmer:1": 0.204, "composition": 0.101},
}


def rows(run: Run) -> list[dict]:
    return run.records.to_pylist()


def test_the_run_of_version_1_is_read():
    run = Run.open(DATA / "run-v1")
    assert len(run.records) == 60
    assert not run.has_faults
    assert not run.missing
    for (task, regime), expected in MEANS.items():
        for encoder, value in expected.items():
            found = [r["mcc"] for r in rows(run) if (r["task"], r["regime"], r["encoder"]) == (task, regime, encoder)]
            assert len(found) == 5
            assert np.mean(found) == pytest.approx(value, abs=5e-4)
    for row in rows(run):
        found = run.predictions(row["record_id"])
        assert reference_scores(found.true, found.predicted, found.labels).mcc == pytest.approx(row["mcc"], abs=1e-12)


def test_the_run_is_of_the_data_beside_it_and_its_ids_have_not_drifted(tmp_path):
    suite = load_suite(str(DATA / "run-v1-data" / "suite"))
    before = Run.open(DATA / "run-v1")
    for task, known in before.meta.tasks.items():
        splits = suite.load(task).splits
        assert (known.train_digest, known.test_digest) == (splits["train"].digest, splits["test"].digest)
    shutil.copytree(DATA / "run-v1", tmp_path / "run")
    embed(load_encoder("kmer:1"), suite, tmp_path / "store", progress=False)
    after = probe([tmp_path / "store"], suite, tmp_path / "run", regimes=["1shot", "full"], progress=False)
    assert after.records.equals(before.records)  # with other ids or digests, records would have been added


def test_the_study_of_version_1_is_read():
    document = json.loads((DATA / "study-v1" / "sensitivity.json").read_text())
    assert (document["geneb_type"], document["geneb_version"]) == ("sensitivity", 1)
    assert set(document) <= {key.split(".")[0] for key in KEYS}
    records = rows(Run.open(DATA / "study-v1"))
    assert len(document["settings"]) == 4
    for setting in document["settings"]:
        for encoder, score in setting["scores"].items():
            own = [
                [
                    r["mcc"]
                    for r in records
                    if (r["probe"], r["regime"], r["encoder"], r["task"])
                    == (setting["probe"], setting["shots"], encoder, task)
                ]
                for task in document["tasks"]
            ]
            assert np.mean([np.mean(one) for one in own]) == pytest.approx(score, abs=1e-12)


def test_the_submission_of_version_1_is_read_and_keeps_the_rules():
    path = DATA / "submission-v1" / "kmer_1.json"
    held = read_submission(path)
    assert problems(held, path.name) == []
    assert held["results"]["full"][H3] == pytest.approx({"MCC": 1 / np.sqrt(15), "Acc": 5 / 8, "F1": 13 / 21})
