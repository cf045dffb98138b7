"""Real pretrained encoders: a Mixtral with its BPE tokenizer, RNABERT and OpenSpliceAI as classes of one's own."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
import torch

from geneb_jax.encoder import check_encoder, load_encoder
from geneb_jax.errors import EncoderError

RNG = np.random.default_rng(3)
MIXED = ["".join(RNG.choice(list("ACGT"), int(n))) for n in (6, 40, 41, 101, 101, 250, 512, 900, 1800)]


def read(path, limit):
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        rows = [row for row, _ in zip(csv.DictReader(stream), range(limit), strict=False)]
    return [row["text"].upper() for row in rows], np.array([int(row["label"]) for row in rows])


def relative(a, b):
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mistral-dna-1m-tf0", ""),
        ("mistral-dna-1m-tf1", ""),
        ("mistral-dna-1m-tf0", ",layer=mid,pooling=last"),
        ("mistral-dna-1m-tf0", ",overflow=windows"),
    ],
)
def test_mixtral_batches_equal_single_sequences(shared_models, shared_data, name, options):
    real, _ = read(shared_data / "geneb" / "tasks" / "leannmlindsey_GUE_human_tf_0" / "test.csv", 24)
    sequences = [*real, *MIXED]
    encoder = load_encoder(f"hf:{shared_models / name}{options}")
    assert (encoder.info.width, encoder.info.family, encoder.info.name.split(",")[0]) == (64, "mixtral", name)
    together = encoder.encode(sequences)
    alone = np.concatenate([encoder.encode([s]) for s in sequences])
    assert relative(together, alone) < 1e-5
    check_encoder(encoder, sequences).raise_if_failed()


def test_mixtral_is_transformers_own_output(shared_models):
    """One sequence through AutoModel by hand: [CLS] and [SEP] are fed, and left out of the mean."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    folder = shared_models / "mistral-dna-1m-tf0"
    logging.set_verbosity_error()  # the report of the unused head is this test's own noise
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    logging.set_verbosity_warning()
    expected, counted = [], []
    for sequence in MIXED:
        ids = tokenizer(sequence)["input_ids"]
        ids = ids if len(ids) <= 256 else [*ids[:255], ids[-1]]
        assert (ids[0], ids[-1]) == (1, 2)
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        expected.append(hidden[1:-1].mean(0))
        counted.append(hidden.mean(0))
    assert relative(load_encoder(f"hf:{folder}").encode(MIXED), np.array(expected)) < 1e-5
    both = load_encoder(f"hf:{folder},special_tokens=true")
    assert relative(both.encode(MIXED), np.array(counted)) < 1e-5


def test_mixtral_variants_are_different_encoders(shared_models):
    infos = [load_encoder(f"hf:{shared_models / name}").info for name in ("mistral-dna-1m-tf0", "mistral-dna-1m-tf1")]
    assert infos[0].digest != infos[1].digest


def test_rnabert_as_a_class_of_ones_own(shared_models):
    encoder = load_encoder(f"tests.encoder.rnabert_encoder:RNABert,folder={shared_models / 'rnabert'}")
    short = [s[:440] for s in MIXED]
    assert encoder.info.width == 120
    check_encoder(encoder, short).raise_if_failed()
    dna, rna = encoder.encode(short), encoder.encode([s.replace("T", "U") for s in short])
    np.testing.assert_array_equal(dna, rna)


@pytest.mark.parametrize("context", [80, 400])  # 10,000 takes 90 s; test_flax.py compares it with ours
def test_openspliceai_as_a_class_of_ones_own(shared_models, context):
    file = shared_models / "openspliceai-mane" / f"model_{context}nt_rs10.pt"
    encoder = load_encoder(f"tests.encoder.openspliceai_encoder:OpenSpliceAI,file={file}")
    assert encoder.info.width == 32
    assert encoder._inner.network.context == context
    check_encoder(encoder, MIXED[:7]).raise_if_failed()
    backwards = encoder.encode([s[::-1] for s in MIXED[3:7]])
    assert relative(backwards, encoder.encode(MIXED[3:7])) > 1e-2  # it reads in one direction


def test_openspliceai_finds_real_splice_sites(shared_models, shared_data):
    """The middle of real sequences: acceptors (0) at position 200, donors (1) at 199, others (2) nothing."""
    path = shared_data / "more" / "tasks" / "GUE_splice_reconstructed_devtest" / "test.csv.gz"
    sequences, labels = read(path, 200)
    file = shared_models / "openspliceai-mane" / "model_400nt_rs10.pt"
    encoder = load_encoder(f"tests.encoder.openspliceai_encoder:OpenSpliceAI,file={file}")
    found = encoder._inner.probabilities(sequences)
    acceptor, donor = found[:, 1].mean, found[:, 2].mean
    assert acceptor(axis=0, where=(labels == 0)[:, None]).argmax() == 200
    assert donor(axis=0, where=(labels == 1)[:, None]).argmax() == 199
    called = np.where(found[:, 1, 200] > 0.5, 0, np.where(found[:, 2, 199] > 0.5, 1, 2))
    assert (called == labels).mean() > 0.85


def test_a_folder_of_raw_weights_says_what_to_do(shared_models):
    with pytest.raises(EncoderError, match="MODULE:CLASS"):
        load_encoder(f"hf:{shared_models / 'rnabert'}")
