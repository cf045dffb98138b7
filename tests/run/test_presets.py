"""Records of both presets never share a run, a directory or a table; with a tiny random GROVER."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from geneb_jax.cli.encoders import command as encoders_command
from geneb_jax.cli.probe import command as probe_command
from geneb_jax.errors import RunError, UsageError
from geneb_jax.run import Run, probe
from geneb_jax.run.runs import Runs
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.stats.aggregate import task_scores
from geneb_jax.task import load_suite
from tests.run.helpers import write_task

pytest.importorskip("transformers")

DEFECT = "one entry more than the embedding table"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a tiny GROVER, a suite of one task, a store of both presets, and a run of each."""
    place = tmp_path_factory.mktemp("presets")
    write_tiny_bert(place / "grover")
    write_task(place / "suite", "words", n=24)
    for preset, others in (("reference", ["kmer:2"]), ("normalized", [])):
        encoders = [name(place, preset), *others]
        out, store = place / preset, place / "store"
        embed_and_probe(encoders, suite(place), out, store=store, regimes=("full",), progress=False)
    return place


def write_tiny_bert(folder: Path) -> None:
    """A random BERT over single letters, in the hub's layout."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = {t: i for i, t in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "A", "C", "G", "T", "N"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)


def name(place: Path, preset: str) -> str:
    return f"GROVER,preset={preset},folder={place / 'grover'}"


def suite(place: Path):
    return load_suite(str(place / "suite"))


def test_every_record_names_its_preset_and_its_defect(place):
    rows = Run.open(place / "reference").records.to_pylist()
    found = {row["encoder"][:6]: (row["preset"], row["defect"]) for row in rows}
    assert found["kmer:2"] == (None, None)
    assert found["GROVER"][0] == "reference"
    assert DEFECT in found["GROVER"][1]


def test_a_run_of_both_presets_is_refused_before_anything_is_embedded(place):
    both = [name(place, "reference"), name(place, "normalized")]
    with pytest.raises(UsageError, match="never put into one table") as caught:
        embed_and_probe(both, suite(place), place / "both", progress=False)
    assert "reference: GROVER" in str(caught.value)
    assert "normalized: GROVER" in str(caught.value)
    assert not (place / "both").exists()


def test_a_directory_of_one_preset_never_takes_in_the_other(place):
    before = (place / "reference" / "records.parquet").read_bytes()
    encoders = [name(place, "normalized")]
    with pytest.raises(RunError, match="holds a run of the other one"):
        embed_and_probe(
            encoders, suite(place), place / "reference", store=place / "second", regimes=("full",), progress=False
        )
    assert (place / "reference" / "records.parquet").read_bytes() == before


def test_a_store_of_both_is_probed_one_preset_at_a_time(place):
    store = place / "store"
    with pytest.raises(UsageError, match="never put into one table"):
        probe([store], None, place / "mixed", regimes=("full",), progress=False)
    arguments = [str(store), "--suite", str(place / "suite"), "--regimes", "full", "--preset", "reference"]
    done = CliRunner().invoke(probe_command, [*arguments, "--out", str(place / "again")], standalone_mode=False)
    assert done.exception is None
    presets = set(Run.open(place / "again").records["preset"].to_pylist())
    assert presets == {"reference", None}  # k-mer counts have no preset and go with either
    assert "preset reference" in " ".join(done.output.split())
    assert DEFECT in " ".join(done.output.split())


def test_records_of_both_presets_never_become_one_table(place):
    records = Run.open(place / "reference").records
    other = records.set_column(
        records.schema.get_field_index("preset"),
        "preset",
        pa.array(["normalized" if p else None for p in records["preset"].to_pylist()], pa.string()),
    )
    with pytest.raises(UsageError, match="never put into one table"):
        task_scores(pa.concat_tables([records, other]))


def test_runs_of_both_presets_are_never_looked_at_together(place):
    runs = [Run.open(place / "reference"), Run.open(place / "normalized")]
    with pytest.raises(UsageError, match="never put into one table"):
        Runs.of(runs)
    Runs.of([runs[0], runs[0]])


def test_the_card_names_the_defect_that_the_records_name():
    out = CliRunner().invoke(encoders_command, ["GROVER"], standalone_mode=False).output
    assert DEFECT in " ".join(out.split())
