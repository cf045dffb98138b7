"""Suites: the 100 GENEB tasks, the bundled set, folders and suite files."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from geneb_jax.errors import DataError, MissingDataError, UnknownNameError, UsageError
from geneb_jax.task import load_suite
from geneb_jax.task.geneb import DATA_VARIABLE, REVISION

ROWS = "text,label\nACGT,0\nGGTT,1\n"


@pytest.fixture(autouse=True)
def _no_data_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


def put(folder: Path, train: str = ROWS, test: str = ROWS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.csv").write_text(train)
    (folder / "test.csv").write_text(test)
    return folder


def test_geneb_has_its_100_tasks_in_13_categories() -> None:
    suite = load_suite("geneb")
    assert suite.version == REVISION == "4edd705be573e48c585c2cf79dc320f9f43c7b04"
    assert suite.source == f"darlednik/geneb-tasks@{REVISION}"
    assert len(set(suite.ids)) == len(suite.ids) == 100
    assert Counter(info.category for info in suite.tasks) == {
        "Histone Mod.": 30, "Promoters": 22, "Enhancers": 8, "DNA Methyl.": 8, "Splice Sites": 7, "lncRNA": 6,
        "Mouse Enh.": 5, "TF Binding": 5, "Species Clf.": 3, "Regulatory": 2, "Virus/Phage": 2,
        "Coding/NC": 1, "Chromatin Acc.": 1,
    }  # fmt: skip
    assert suite.ids[0] == "InstaDeepAI_nucleotide_transformer_downstream_tasks_H3"
    assert suite.ids[-1] == "iDHS-EL_DNase_I"


def test_geneb_keeps_upstream_figures_apart() -> None:
    suite = load_suite("geneb")
    assert [i.num_classes for i in suite.tasks if i.num_classes is not None] == [2, 2, 20, 40]
    covid = suite.info("leannmlindsey_GUE_virus_covid")
    assert covid.num_classes is None
    assert covid.upstream is not None
    assert (covid.upstream.num_classes, covid.upstream.n_train) == (9, 77669)
    assert covid.likely_num_classes == 9
    assert covid.hub_path == "tasks/leannmlindsey_GUE_virus_covid"
    assert all(info.likely_num_classes for info in suite.tasks)


def test_select_keeps_the_order_and_names_near_misses() -> None:
    suite = load_suite("geneb")
    chosen = suite.select(["*virus_covid", "*prom_core*", "leannmlindsey_GUE_prom_core_all"])
    assert [i.removeprefix("leannmlindsey_GUE_") for i in chosen.ids] == [
        "prom_core_all", "prom_core_notata", "prom_core_tata", "virus_covid",
    ]  # fmt: skip
    assert suite.select([]).ids == suite.ids
    with pytest.raises(UnknownNameError, match="did you mean leannmlindsey_GUE_virus_covid"):
        suite.select(["leannmlindsey_GUE_virus_covit"])
    with pytest.raises(UnknownNameError):
        chosen.load("iDHS-EL_DNase_I")


def test_geneb_from_a_folder_and_from_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "tasks" / "iDHS-EL_DNase_I")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    for suite in (
        load_suite("geneb", data=tmp_path),
        load_suite("geneb"),
        load_suite("geneb", data=tmp_path / "tasks"),
    ):
        assert suite.present()["iDHS-EL_DNase_I"] is True
        assert sum(p is True for p in suite.present().values()) == 1
        assert len(suite.load("iDHS-EL_DNase_I").train) == 2
        with pytest.raises(MissingDataError) as caught:
            suite.load("iDNA_ABF_5mC")
        assert "--data" in str(caught.value)
        assert f"darlednik/geneb-tasks@{REVISION}" in str(caught.value)


def test_a_folder_without_geneb_tasks_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDataError, match="holds none of the 100 GENEB tasks"):
        load_suite("geneb", data=tmp_path)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingDataError, match=r"given with GENEB_DATA does not exist(.|\n)*nowhere"):
        load_suite("geneb")


def test_quickstart_is_bundled_and_its_split_is_the_documented_one() -> None:
    import hashlib
    import math

    suite = load_suite("quickstart")
    assert suite.ids == ("splice_sites_all", "splice_sites_donors", "splice_sites_acceptors")
    assert {info.category for info in suite.tasks} == {"Splice Sites"}
    every, donors, acceptors = (suite.load(i) for i in suite.ids)
    assert all(not task.warnings for task in (every, donors, acceptors))
    assert every.train.class_counts == {0: 1324, 1: 614, 2: 613}
    assert every.test.class_counts == donors.test.class_counts | {1: 154, 2: 154}
    assert donors.train.class_counts == {0: 1324, 1: 613}
    assert acceptors.train.class_counts == {0: 1324, 1: 614}
    assert not set(every.train.sequences) & set(every.test.sequences)
    assert {len(s) for s in every.train.sequences} == {60}
    letters = Counter("".join(every.train.sequences + every.test.sequences))
    assert {c: n for c, n in letters.items() if c not in "ACGT"} == {"N": 56, "D": 2, "R": 1, "S": 1}
    # the rule of ATTRIBUTION.md, from the rows themselves
    names = {0: "N", 1: "IE", 2: "EI"}
    groups: dict[str, list[str]] = {}
    for split in (every.train, every.test):
        for sequence, label in zip(split.sequences, split.labels.tolist(), strict=True):
            groups.setdefault(sequence, []).append(names[label])
    total = Counter(label for group in groups.values() for label in group)
    assert total == {"EI": 767, "IE": 768, "N": 1655}
    test: set[str] = set()
    for label in ("EI", "IE", "N"):
        marked = 0
        for sequence in sorted(groups, key=lambda s: hashlib.sha256(s.encode()).hexdigest()):
            if marked >= math.ceil(total[label] / 5):
                break
            if min(groups[sequence]) == label:
                test.add(sequence)
                marked += len(groups[sequence])
    assert test == set(every.test.sequences)


def test_quickstart_digests_are_pinned() -> None:
    # a change here changes every stored result of `geneb quickstart`: raise the suite's version with it
    suite = load_suite("quickstart")
    found = {i: (suite.load(i).train.digest[:16], suite.load(i).test.digest[:16]) for i in suite.ids}
    assert found == PINNED


PINNED = {
    "splice_sites_all": ("44fc2804db5b6d50", "4831ac00138fd1ea"),
    "splice_sites_donors": ("10a0f94faf0885b3", "5775e5c6bdd74120"),
    "splice_sites_acceptors": ("f39baa1ff5cbb79d", "1f7d6fb78346d7ee"),
}


def test_folder_suite_with_and_without_a_suite_file(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for name in ("b", "a", "c"):
        put(root / "tasks" / name)
    (root / "tasks" / "notes").mkdir()
    suite = load_suite(str(root))
    assert (suite.name, suite.ids) == ("mine", ("a", "b", "c"))
    assert {info.category for info in suite.tasks} == {"uncategorised"}
    (root / "suite.toml").write_text(
        'name = "better"\nversion = "2"\n[[task]]\nid = "c"\ncategory = "Enhancers"\nlabel = "See"\n'
    )
    suite = load_suite(str(root))
    assert (suite.name, suite.version, suite.ids) == ("better", "2", ("c", "a", "b"))
    assert (suite.info("c").category, suite.info("c").label) == ("Enhancers", "See")
    assert len(suite.load("c").train) == 2
    assert str(tmp_path) not in suite.source + suite.load("c").source


def test_toml_suite_with_own_columns_labels_and_one_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.csv").write_text("seq,y\nacgt,pos\nGG,neg\nCC,dubious\n")
    (tmp_path / "d" / "all.csv").write_text("text,label,part\nAA,1,train\nCC,0,train\nGG,1,test\n")
    (tmp_path / "s.toml").write_text(
        """
        name = "s"
        category = "Promoters"
        [[task]]
        id = "named"
        train = "d/x.csv"
        test = "d/x.csv"
        text_column = "seq"
        label_column = "y"
        skip_labels = ["dubious"]
        labels = { neg = 0, pos = 1 }
        [[task]]
        id = "single"
        category = "Enhancers"
        file = "d/all.csv"
        split_column = "part"
        [[task]]
        id = "later"
        kind = "regression"
        train = "d/r.csv"
        test = "d/r.csv"
        """
    )
    suite = load_suite(str(tmp_path / "s.toml"))
    assert [info.category for info in suite.tasks] == ["Promoters", "Enhancers", "Promoters"]
    assert suite.info("named").num_classes == 2
    task = suite.load("named")
    assert (task.train.sequences, task.train.labels.tolist()) == (("ACGT", "GG"), [1, 0])
    assert suite.load("single").test.sequences == ("GG",)
    assert suite.present() == {"named": True, "single": True, "later": False}
    with pytest.raises(DataError, match=r"regression task(.|\n)*it is declared so"):
        suite.load("later")


def test_toml_label_that_is_not_in_the_table_names_its_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label,split\nAC,a,train\nGG,b,train\nTT,c,train\nTT,a,test\n")
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[[task]]\nid = "t"\nfile = "x.csv"\nskip_labels = ["b"]\nlabels = { a = 0 }\n'
    )
    with pytest.raises(DataError, match=r"label 'c' is not in the table(.|\n)*row 3 \(line 4\)"):
        load_suite(str(tmp_path / "s.toml")).load("t")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "s"\n', "key task: is required and missing"),
        ('version = "1"\n[[task]]\nid = "t"\ntrain = "a"\ntest = "b"\n', "key name: is required"),
        ('name = "s"\n[[task]]\nid = "t"\ntrain = "a"\n', r"task[1] (task 't'): names train without test"),
        ('name = "s"\n[[task]]\nid = "t"\ntrain = "a"\ntest = "b"\nfile = "c"\n', "both file and train"),
        ('name = "s"\n[[task]]\nid = "a/b"\n', "key task[1].id (task 'a/b')"),
        ('name = "s"\n[[task]]\nid = "t"\nlable = "x"\n', "task[1].lable (task 't'): is not a key"),
        ('name = "s"\n[[task]]\nid = "t"\nlabels = { a = "x" }\n', "task[1].labels.a"),
        ('name = "s"\n[[task]]\nid = "t"\nkind = "ranking"\n', "task[1].kind"),
        (
            'name = "s"\n[[task]]\nid = "t"\nfile = "a"\n[[task]]\nid = "t"\nfile = "a"\n',
            "two tasks have the id 't'",
        ),
        ('name = 3\n[[task]]\nid = "t"\nfile = "a"\n', "key name"),
        ('name = "s\n', "not TOML"),
        ("task = 3\n", "key name: is required and missing (and 1 more)"),
    ],
)
def test_toml_faults_name_the_key(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(DataError) as caught:
        load_suite(str(tmp_path / "s.toml"))
    assert says in str(caught.value)
    assert "s.toml" in (caught.value.where or "")
    assert "suitefile" in (caught.value.cure or "")


def test_suite_names_and_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean quickstart"):
        load_suite("quikstart")
    with pytest.raises(MissingDataError, match="does not exist"):
        load_suite(str(tmp_path / "nope"))
    with pytest.raises(MissingDataError, match="does not exist"):
        load_suite(str(tmp_path / "nope.toml"))
    with pytest.raises(MissingDataError, match="no task in the official layout"):
        load_suite(str(tmp_path))
    (tmp_path / "file.csv").write_text(ROWS)
    with pytest.raises(UsageError, match="neither"):
        load_suite(str(tmp_path / "file.csv"))
    with pytest.raises(UsageError, match="belongs to the suite 'geneb'"):
        load_suite("quickstart", data=tmp_path)
    put(tmp_path / "tasks" / "bad name")
    with pytest.raises(DataError, match="cannot be a task id"):
        load_suite(str(tmp_path))
    (tmp_path / "s.toml").write_text('name = "s"\n[[task]]\nid = "t"\n')
    with pytest.raises(MissingDataError, match="names no file"):
        load_suite(str(tmp_path / "s.toml"))
    (tmp_path / "s.toml").write_text('name = "s"\n[[task]]\nid = "t"\nfile = "gone.csv"\n')
    with pytest.raises(MissingDataError, match=r"the file does not exist(.|\n)*gone\.csv"):
        load_suite(str(tmp_path / "s.toml")).load("t")


def test_listing_a_suite_loads_nothing_heavy() -> None:
    code = (
        "import sys; from geneb_jax.task import load_suite; load_suite('geneb'); load_suite('quickstart');"
        "bad = {'jax', 'torch', 'pyarrow', 'huggingface_hub', 'rich'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
