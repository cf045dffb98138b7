"""One task's files: what is read, and what every kind of bad file says."""

from __future__ import annotations

import gzip
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.errors import DataError, MissingDataError
from geneb_jax.task import IUPAC, Split, Task, TaskInfo, load_suite, normalise_sequence, reverse_complement

GOOD = "text,label\nACGT,0\nGGTT,1\nTTTT,1\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") and not raw.startswith(b"RAW") else raw)
    return path


def load(root: Path, train: str | bytes = GOOD, test: str | bytes = GOOD, suffix: str = "csv") -> Task:
    write(root / "tasks" / "t", f"train.{suffix}", train)
    write(root / "tasks" / "t", f"test.{suffix}", test)
    return load_suite(str(root)).load("t")


def test_reads_csv_gz_and_parquet_alike(tmp_path: Path) -> None:
    plain = load(tmp_path / "a")
    packed = load(tmp_path / "b", suffix="csv.gz")
    folder = tmp_path / "c" / "tasks" / "t"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        columns = {"text": ["ACGT", "GGTT", "TTTT"], "label": pa.array([0, 1, 1], type=pa.int8())}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    columnar = load_suite(str(tmp_path / "c")).load("t")
    assert plain.train.sequences == ("ACGT", "GGTT", "TTTT")
    assert plain.train.labels.dtype == np.int64
    assert plain.train.labels.tolist() == [0, 1, 1]
    assert plain.train.digest == packed.train.digest == columnar.train.digest


@pytest.mark.parametrize("layout", ["tasks/t", "t"])
def test_the_root_may_be_the_tasks_folder_itself(tmp_path: Path, layout: str) -> None:
    for name in ("train.csv", "test.csv", "dev.csv"):
        write(tmp_path / layout, name, GOOD)
    assert list(load_suite(str(tmp_path)).load("t").splits) == ["train", "test", "dev"]


def test_extra_columns_sequence_synonym_bom_crlf_blanks_and_case(tmp_path: Path) -> None:
    text = "\ufeffid,sequence,label\r\n1, acgt ,0\r\n\r\n2,ggNu, -3\r\n"
    split = load(tmp_path, train=text).train
    assert split.sequences == ("ACGT", "GGNU")
    assert split.labels.tolist() == [0, -3]


@pytest.mark.parametrize("word", ["NA", "na", "NaN", "null", "None", "N/A", "<NA>", '""', '" "'])
def test_what_programs_write_for_a_missing_sequence_is_missing(tmp_path: Path, word: str) -> None:
    text = f"text,label\nACGT,0\n{word},1\nAANA,1\n{word},0\n"
    with pytest.raises(DataError, match=r"(?s)2 sequences are missing.*rows 4 of.*tasks/t/train.csv, row 2 \(line 3\)"):
        load(tmp_path, train=text)


def test_a_sequence_that_reads_as_missing_is_kept_where_the_suite_says_so(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path, f"{name}.csv", "text,label\nNA,0\nNAN,1\n")
    suite = tmp_path / "suite.toml"
    suite.write_text('name = "s"\n[[task]]\nid = "short"\ntrain = "train.csv"\ntest = "test.csv"\n')
    with pytest.raises(DataError, match=r"(?s)missing: 'NA'.*task short: .*train.csv, row 1.*missing_words = \[\]"):
        load_suite(str(suite)).load("short")
    suite.write_text(suite.read_text() + "missing_words = []\n")
    assert load_suite(str(suite)).load("short").train.sequences == ("NA", "NAN")


def test_nulls_and_not_a_number_in_parquet_are_missing_and_bytes_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "tasks" / "t"
    folder.mkdir(parents=True)
    write(folder, "test.csv", GOOD)
    columns = [["ACGT", None], pa.array([float("nan"), None]), pa.array([b"\xff", b"ACGT"])]
    for column, says in zip(columns, ("sequence is empty", "missing: 'nan'", "cannot be read as text"), strict=True):
        pq.write_table(pa.table({"text": column, "label": [0, 1]}), folder / "train.parquet")
        with pytest.raises(DataError, match=says):
            load_suite(str(tmp_path)).load("t")


@pytest.mark.parametrize("ends", ["\r", "\r\n"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_line_ends_of_other_systems(tmp_path: Path, ends: str, suffix: str) -> None:
    text = GOOD.replace("\n", ends)
    assert load(tmp_path / "a", train=text, suffix=suffix).train.digest == load(tmp_path / "b").train.digest
    with pytest.raises(DataError, match=r"row 4 \(line 5\)"):
        load(tmp_path / "a", train=text + f"AC-T,1{ends}", suffix=suffix)


def test_single_file_with_a_split_column(tmp_path: Path) -> None:
    write(tmp_path / "t", "data.csv", "text,label,split\nAC,0,train\nGT,1,test\nCC,1,train\nGG,0,validation\n")
    task = load_suite(str(tmp_path)).load("t")
    assert task.train.sequences == ("AC", "CC")
    assert task.test.sequences == ("GT",)
    assert task.splits["dev"].sequences == ("GG",)


def test_a_single_file_names_its_bad_row_and_split(tmp_path: Path) -> None:
    write(tmp_path / "t", "data.csv", "text,label,split\nAC,0,train\nGT,1,test\nC1,1,train\n")
    with pytest.raises(DataError, match=r"row 3 \(line 4\)"):
        load_suite(str(tmp_path)).load("t")
    write(tmp_path / "t", "data.csv", "text,label,split\nAC,0,train\nGT,1,held-out\n")
    with pytest.raises(DataError, match=r"'held-out'(.|\n)*row 2 \(line 3\)"):
        load_suite(str(tmp_path)).load("t")


BAD: dict[str, tuple[str | bytes, str, str]] = {
    # name: (train.csv, what the message must say, where)
    "no label column": ("text,y\nACGT,0\n", "no column 'label'; its columns are: text, y", "train.csv"),
    "no text column": ("seq,label\nACGT,0\n", "no column 'text' or 'sequence'; its", "train.csv"),
    "semicolons": ("text;label\nACGT;0\n", "separated by semicolons", "train.csv"),
    "tabs": ("text\tlabel\nACGT\t0\n", "separated by tabs", "train.csv"),
    "no header": ("ACGTACGTACGTACGTACGTACGTACGT,0\nACGT,1\n", "first line seems to be data", "train.csv"),
    "doubled column": ("text,text,label\nA,C,0\n", "appears more than once", "train.csv"),
    "zero bytes": ("", "the file is empty", "train.csv"),
    "blank lines only": ("\n\n", "the file is empty", "train.csv"),
    "header only": ("text,label\n", "header but no rows", "train.csv"),
    "header without newline": ("text,label", "header but no rows", "train.csv"),
    "regression": ("text,label\nACGT,1.5\nGGGG,-2e-3\n", "regression task", "row 1 (line 2)"),
    "decimal": ("text,label\nACGT,0\nGGGG,1.0\n", "1, not 1.0", "row 2 (line 3)"),
    "class names": ("text,label\nACGT,EI\nGGGG,N\n", "label 'EI' is not an integer", "row 1 (line 2)"),
    "nan label": ("text,label\nACGT,0\nACGA,1\nGGGG,NaN\n", "label is missing ('NaN')", "row 3 (line 4)"),
    "empty label": ("text,label\nACGT,0\n\nGGGG,\n", "label is missing", "row 2 (line 4)"),
    "huge label": ("text,label\nACGT,0\nGGGG,99999999999999999999\n", "too large a number", "row 2 (line 3)"),
    "token labels": ("text,label\nACGU,((.)\nGGGG,....\n", "token-level task", "row 1 (line 2)"),
    "token numbers": ("text,label\nACGT,0 1 1 0\nGGGG,0 0 0 0\n", "token-level task", "row 1 (line 2)"),
    "empty sequence": ("text,label\nACGT,0\n,1\n", "the sequence is empty", "row 2 (line 3)"),
    "blank sequence": ("text,label\nACGT,0\n  ,1\n", "the sequence is empty", "row 2 (line 3)"),
    "gap": ("text,label\nACGT,0\nAC-T,1\n", "'-' at position 3", "row 2 (line 3)"),
    "inner space": ("text,label\nACGT,0\nAC T,1\n", "without spaces", "row 2 (line 3)"),
    "protein": ("text,label\nACGT,0\nMKLEF,1\n", "looks like a protein", "row 2 (line 3)"),
    "control letter": ("text,label\nACGT,0\nAC\x00T,1\n", "at position 3", "row 2 (line 3)"),
    "foreign letter": ("text,label\nACGT,0\nACſ,1\n", "'ſ' at position 3", "row 2 (line 3)"),
    "too few cells": ("text,label\nACGT,0\n\nGG\n", "a row has 1 cell but the header", "row 2 (line 4)"),
    "too many cells": ("text,label\nACGT,0,9\n", "a row has 3 cells but the header has 2", "row 1 (line 2)"),
    "open quote": ('text,label\nACGT,0\n"GG,1\nAA,1\n', "quote is opened and not closed", "row 2 (line 3)"),
    "not UTF-8": (b"text,label\nACGT,0\nA\xffC,1\n", "not UTF-8", "row 2 (line 3)"),
    "UTF-16": ("text,label\nACGT,0\n".encode("utf-16"), "UTF-16", "train.csv"),
    "UTF-16 without its mark": ("text,label\nACGT,0\n".encode("utf-16-le"), "holds NUL bytes", "train.csv"),
    "zip": (b"PK\x03\x04\x14", "a zip archive", "train.csv"),
    "bzip2": (b"BZh91AY&SY", "packed with bzip2", "train.csv"),
    "FASTA": (">a|1\nACGT\n", "looks like FASTA", "train.csv"),
    "JSON": ('[{"text": "ACGT", "label": 0}]', "looks like JSON", "train.csv"),
    "web page": ("<!DOCTYPE html>\n", "looks like a web page", "train.csv"),
    "digits of another script": ("text,label\nACGT,\u0661\n", "is not an integer", "row 1 (line 2)"),
    "LFS pointer": ("version https://git-lfs.github.com/spec/v1\noid 0\n", "Git LFS pointer", "train.csv"),
    "one class": ("text,label\nACGT,1\nGGGG,1\n", "single class (1)", "train.csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_csv_names_file_row_and_cure(tmp_path: Path, name: str) -> None:
    content, says, where = BAD[name]
    with pytest.raises(DataError) as caught:
        load(tmp_path, train=content)
    error = caught.value
    assert says in str(error)
    assert error.where is not None
    assert "train.csv" in error.where
    assert where in error.where
    assert error.cure
    assert int(error.exit_code) == 3


@pytest.mark.parametrize("keep", [0.2, 0.99])
def test_truncated_gzip(tmp_path: Path, keep: float) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(f"{''.join(rng.choice(list('ACGT'), 50))},{i % 2}\n" for i in range(500))
    whole = gzip.compress(("text,label\n" + rows).encode())
    load(tmp_path, suffix="csv.gz")
    (tmp_path / "tasks/t/train.csv.gz").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match="gzip file is cut off or damaged"):
        load_suite(str(tmp_path)).load("t")


def test_gzip_that_is_none_and_gzip_under_another_name(tmp_path: Path) -> None:
    load(tmp_path / "a", suffix="csv.gz")
    (tmp_path / "a/tasks/t/train.csv.gz").write_bytes(GOOD.encode())
    with pytest.raises(DataError, match=r"ends in \.gz but the file is not gzip"):
        load_suite(str(tmp_path / "a")).load("t")
    assert load(tmp_path / "b", train=gzip.compress(GOOD.encode())).train.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (pa.array([0.0, 1.0]), "1, not 1.0"),
        (pa.array([0.25, 1.0]), "regression task"),
        (pa.array([0, None]), "label is missing"),
        (pa.array([[0, 1, 1, 0], [0, 0, 0, 0]]), "not one value per row"),
        (pa.array([True, False]), "not an integer"),
    ],
)
def test_bad_parquet_labels(tmp_path: Path, labels: pa.Array, says: str) -> None:
    folder = tmp_path / "t"
    write(folder, "test.csv", GOOD)
    pq.write_table(pa.table({"text": ["ACGT", "GGGG"], "label": labels}), folder / "train.parquet")
    with pytest.raises(DataError, match=says):
        load_suite(str(tmp_path)).load("t")


def test_parquet_that_is_none(tmp_path: Path) -> None:
    write(tmp_path / "t", "test.csv", GOOD)
    write(tmp_path / "t", "train.parquet", b"PAR1 nonsense")
    with pytest.raises(DataError, match="not Parquet that can be read"):
        load_suite(str(tmp_path)).load("t")


def test_missing_split_and_two_files_for_one(tmp_path: Path) -> None:
    write(tmp_path / "t", "train.csv", GOOD)
    with pytest.raises(MissingDataError, match=r"has no test split(.|\n)*add test\.csv"):
        load_suite(str(tmp_path)).load("t")
    write(tmp_path / "t", "train.csv.gz", GOOD)
    suite = load_suite(str(tmp_path))  # one bad task does not stop the others
    with pytest.raises(DataError, match=r"2 files: train\.csv, train\.csv\.gz"):
        suite.load("t")


def test_odd_but_usable_is_a_warning(tmp_path: Path) -> None:
    task = load(tmp_path, train=GOOD, test="text,label,split\nAC,7,test\nGT,7,train\n")
    assert len(task.warnings) == 3
    assert "class 7 occur only in the test split: 2 test rows" in " ".join(task.warnings)
    assert "single class (7)" in " ".join(task.warnings)
    assert "its column 'split' says 'train' (1 rows)" in " ".join(task.warnings)


def test_stated_sizes_are_checked() -> None:
    from geneb_jax.task.check import checked_task

    split = Split.make("train", ["A", "C"], [0, 1])
    info = TaskInfo("t", "t", n_train=2, n_test=5, num_classes=2)
    task = checked_task(info, {"train": split, "test": split}, "here", "file")
    assert task.warnings == ("2 test rows were read where the suite states 5: is this the right data?",)


letters = st.text(alphabet=IUPAC, min_size=1, max_size=20)


@given(rows=st.lists(st.tuples(letters, st.integers(-5, 5)), max_size=8), other=st.lists(letters, max_size=8))
def test_digest_tells_rows_apart(rows: list[tuple[str, int]], other: list[str]) -> None:
    sequences, labels = [s for s, _ in rows], [y for _, y in rows]
    split = Split.make("train", sequences, np.array(labels, dtype=np.int64))
    assert split.digest == Split.make("test", sequences, np.array(labels, dtype=np.int64)).digest
    changed = Split.make("train", other, np.array(labels[: len(other)] + [0] * (len(other) - len(labels))))
    same = other == sequences and changed.labels.tolist() == labels
    assert (changed.digest == split.digest) == same


def test_digest_framing_and_value() -> None:
    # letters moved across a row boundary, and a value pinned so that stored digests stay comparable
    assert Split.make("a", ["AC", "G"], [0, 1]).digest != Split.make("a", ["A", "CG"], [0, 1]).digest
    assert Split.make("a", ["ACGT", "N"], [0, -1]).digest == DIGEST


DIGEST = "d02717aa5979617d989b3bfd2a4d733a9309ebaa04069f47f43dfe2b4b71c10c"


def test_split_is_read_only_and_checks_its_lengths() -> None:
    split = Split.make("train", ["A"], [0])
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 1
    with pytest.raises(DataError, match="2 sequences but labels of shape"):
        Split.make("train", ["A", "C"], [0])


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=12))
def test_vectorised_normal_form_equals_the_function(text: str) -> None:
    import pyarrow.compute as pc

    array = pa.array([text], type=pa.string())
    assert pc.ascii_upper(pc.utf8_trim_whitespace(array))[0].as_py() == normalise_sequence(text)


@given(letters)
def test_reverse_complement_is_an_involution(sequence: str) -> None:
    dna = sequence.replace("U", "T")
    assert reverse_complement(reverse_complement(dna)) == dna
    rna = sequence.replace("T", "U") + "U"
    assert reverse_complement("A" + rna).endswith("U")


def test_reverse_complement_by_hand() -> None:
    assert reverse_complement("AACGTR") == "YACGTT"
    assert reverse_complement("AACGU") == "ACGUU"
    assert reverse_complement("BDKS") == "SMHV"


@pytest.mark.parametrize(
    ("labels", "says", "place"),
    [
        ([1.0, 2.9], "2.9 is none", "entry 1"),
        (np.array([0.5, 1.0], np.float32), "0.5 is none", "entry 0"),
        ([0, float("nan")], "nan is a missing value", "entry 1"),
        ([0, float("inf")], "inf is too large", "entry 1"),
        ([0, None], "None is a missing value", "entry 1"),
        ([0, 2**63], "too large", "entry 1"),
        ([0, 10**40], "too large", "entry 1"),
        (np.array([1, 2**64 - 1], np.uint64), "too large", "entry 1"),
        ([0, 1e300], "too large", "entry 1"),
        (["0", "1"], "'0' is text", "entry 0"),
        ([0, Fraction(1, 2)], "1/2 is none", "entry 1"),
        ([0j, 1], "is none", "entry 0"),
        ([[0], [1, 2]], "no array of numbers", "split 'train'"),
    ],
)
def test_labels_that_casting_would_change_are_refused(labels: object, says: str, place: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        Split.make("train", ["AC", "GT"], labels)  # type: ignore[arg-type]
    assert place in str(caught.value.where)


def test_labels_that_casting_keeps_are_taken() -> None:
    for labels in ([1.0, -2.0], [True, False], np.array([3, 4], np.uint64), np.array([0, 1], object)):
        split = Split.make("train", ["AC", "GT"], labels)  # type: ignore[arg-type]
        assert split.labels.dtype == np.int64
        assert split.labels.tolist() == [int(value) for value in labels]


@pytest.mark.parametrize("missing", [None, float("nan"), "", "ACſ", 7])
def test_sequences_that_are_none_are_refused(missing: object) -> None:
    with pytest.raises(DataError, match="a sequence"):
        Split.make("train", ["AC", missing], [0, 1])  # type: ignore[list-item]
