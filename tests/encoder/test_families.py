"""Every token family against a literal transcription of its rule: one sequence at a time, no padding, no mask.

Where the official extractor's vector depends on its batch, the transcription is that extractor's loop.
"""

from __future__ import annotations

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.registry import registry
from geneb_jax.encoder.views import load_views
from geneb_jax.errors import EncoderError, GenebError
from tests.encoder.checkpoints import (
    BPE_VOCAB,
    BUILDERS,
    ESM_SPECIALS,
    ESM_VOCAB,
    LIMIT,
    SIXMERS,
    SPECIALS,
    bpe_ids,
    build,
    toy_module,
)

RNG = np.random.default_rng(11)
LENGTHS = (12, 40, 7, 25, 100, 31, 18, 9, 64)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), n)) for n in LENGTHS]
SEQUENCES[3] = SEQUENCES[3][:10] + "N" + SEQUENCES[3][11:]
LONG = "".join(RNG.choice(list("ACGT"), 1_700))
MODEL = {entry.family: entry for entry in reversed(registry().values())}
OWN_CODE = ["nt-v2", "dnabert-2", "dnabert-s", "gena-lm", "hyenadna", "caduceus", "evo", "lucaone", "generator"]
PAD = 0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models of this size lose far more to threads that wait for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The checkpoint of a family, written once."""
    root, made = tmp_path_factory.mktemp("families"), {}

    def find(key):
        if key not in made:
            transformers.utils.logging.disable_progress_bar()
            made[key] = build(key, root / key)
        return made[key]

    return find


def encoder_of(key, path, **options):
    trust = {"trust_remote_code": True} if key in OWN_CODE else {}
    return load_encoder(MODEL[key].model, folder=str(path), device="cpu", **trust, **options)


# --- how each family spells a sequence: (special tokens in front, content, special tokens behind)


def letters(sequence):
    return [["A", "C", "G", "T", "N"].index(letter) + 4 for letter in sequence]


def spell(key, sequence):
    cls, sep, bos, eos = (SPECIALS.index(token) for token in ("[CLS]", "[SEP]", "<s>", "</s>"))
    if key == "nt-v1":
        content, at = [], 0
        while at < len(sequence):
            word = sequence[at : at + 6]
            word = word if word in SIXMERS else sequence[at]
            content.append(ESM_VOCAB.index(word))
            at += len(word)
        return [ESM_SPECIALS.index("<cls>")], content, []
    if key == "generator":
        words = [sequence[at : at + 6] for at in range(0, len(sequence) - 5, 6)]
        ids = [0 if "N" in w else 4 + ["".join(x) for x in all_words("ATCG")].index(w) for w in words]
        return [1, 1], ids, [2]  # BOS of the tokenizer, BOS as text, EOS of the tokenizer
    if key in ("hyenadna", "caduceus", "evo"):
        return [], letters(sequence), []
    if key == "lucaone":
        return [1], letters(sequence), [2]
    if key == "splicebert":
        return [1], [5 + "ACGTN".index(letter) for letter in sequence], [2]
    if key == "deepgene":
        return [1, 2], bpe_ids(sequence), []
    if key == "gpt2-gene":
        return [], bpe_ids(sequence), []
    if key == "omni-dna":
        return [], bpe_ids(sequence), [eos]
    if key in ("metagene", "omnina"):
        return [bos], bpe_ids(sequence), []
    return [cls], bpe_ids(sequence), [] if key == "nt-v2" else [sep]


def all_words(alphabet):
    return itertools.product(alphabet, repeat=6)


# --- what each family's model makes of ids: (1, tokens, width), the last state after its norm


class _Toy:
    def __init__(self, path, name, prefix=""):
        module = toy_module(path)
        weights = load_file(path / "model.safetensors")
        config = module.ToyConfig.from_pretrained(path, task_level="token_level", task_type="embedding")
        self.model = getattr(module, name)(config).eval()
        self.model.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})

    def __call__(self, ids, **inputs):
        with torch.no_grad():
            return self.model(torch.as_tensor(ids), **inputs).last_hidden_state


class _Native:
    def __init__(self, path, name):
        self.model = getattr(transformers, name).from_pretrained(path, dtype=torch.float32).eval()

    def __call__(self, ids, **inputs):
        with torch.no_grad():
            return self.model(torch.as_tensor(ids), output_hidden_states=True, **inputs).hidden_states[-1]


def model_of(key, path):
    toys = {
        "nt-v2": ("ToyAttention", "toy."), "gena-lm": ("ToyAttention", "toy."), "dnabert-2": ("ToyAttention",),
        "dnabert-s": ("ToyAttention",), "hyenadna": ("ToyConv",), "caduceus": ("ToyConv", "toy."),
        "evo": ("ToyConv", "backbone.inner."), "lucaone": ("ToyAttention",),
    }  # fmt: skip
    if key in toys:
        return _Toy(path, *toys[key])
    native = {"nt-v1": "Esm", "deepgene": "RoFormer", "grover": "Bert", "splicebert": "Bert"}
    causal = {"genomeocean": "MistralForCausalLM", "omni-dna": "OlmoForCausalLM", "gpt2-gene": "GPT2LMHeadModel"}
    return _Native(path, f"{native[key]}ForMaskedLM" if key in native else causal.get(key, "LlamaForCausalLM"))


# --- the rules


def limit_of(key, preset):
    if key == "omnina" and preset == "reference":
        return 10**9
    return {"omni-dna": 250, "dnabert-2": 512, "dnabert-s": 512, "gena-lm": 512}.get(key, LIMIT)


def one_vector(key, model, sequence, preset):
    """The mean over one sequence's tokens: all of them in the reference preset, its own in the normalized one."""
    front, content, behind = spell(key, sequence)
    content = content[: limit_of(key, preset) - len(front) - len(behind)]
    hidden = model([[*front, *content, *behind]])[0].numpy()
    return hidden.mean(0) if preset == "reference" else hidden[len(front) : len(front) + len(content)].mean(0)


def windowed(key, model, sequence, preset):
    """SpliceBERT: the first 1,024 bases, then a window every 512 until the end is reached; a plain mean of them."""
    windows = [sequence[:1024]]
    while len(sequence) > 512 * (len(windows) - 1) + 1024:
        windows.append(sequence[512 * len(windows) : 512 * len(windows) + 1024])
    vectors = []
    for window in windows:
        front, content, behind = spell(key, window)
        hidden = model([[*front, *content, *behind]])[0].numpy()
        vectors.append(hidden.mean(0) if preset == "reference" else hidden[1:-1].mean(0))
    return np.mean(vectors, axis=0)


def in_fours(key, model, sequences):
    """The official loop where padding matters: four at a time in the order given, padded to the longest."""
    rows = []
    for start in range(0, len(sequences), 4):
        ids = []
        for sequence in sequences[start : start + 4]:
            front, content, behind = spell(key, sequence)
            ids.append([*front, *content, *behind][:LIMIT])
        longest = max(map(len, ids))
        if key == "metagene":
            mask = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i in ids])
            hidden = model([i + [PAD] * (longest - len(i)) for i in ids], attention_mask=mask).numpy()
            rows += list(hidden.mean(1))
        else:
            hidden = model([[PAD] * (longest - len(i)) + i for i in ids]).numpy()
            rows += [h[longest - len(i) :].mean(0) for h, i in zip(hidden, ids, strict=True)]
    return rows


def transcription(key, path, sequences, preset):
    if key == "dnabert-s" and preset == "reference":
        torch.manual_seed(0)  # the weights that a stock BERT does not find are random
        transformers.utils.logging.set_verbosity_error()
        model = transformers.AutoModel.from_pretrained(path).eval()
        transformers.utils.logging.set_verbosity_warning()
        ids = [[1, *bpe_ids(sequence)[:510], 2] for sequence in sequences]
        with torch.no_grad():
            return np.array([model(torch.tensor([i])).last_hidden_state[0, 0].numpy() for i in ids])
    model = model_of(key, path)
    if preset == "reference" and key in ("hyenadna", "caduceus", "metagene"):
        return np.array(in_fours(key, model, sequences))
    one = windowed if key == "splicebert" else one_vector
    return np.array([one(key, model, sequence, preset) for sequence in sequences])


def sequences_for(key):
    return [*SEQUENCES, LONG[:1_025], LONG] if key == "splicebert" else [*SEQUENCES, LONG[:300]]


def largest_difference(key, path, preset):
    """The largest relative difference of a vector from its transcription."""
    sequences = sequences_for(key)
    found, expected = (
        encoder_of(key, path, preset=preset).encode(sequences),
        transcription(key, path, sequences, preset),
    )
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.mark.parametrize("preset", ["normalized", "reference"])
@pytest.mark.parametrize("key", BUILDERS)
def test_vectors_are_those_of_the_rule(folder, key, preset):
    assert largest_difference(key, folder(key), preset) < 1e-5


@pytest.mark.parametrize("key", ["grover", "hyenadna", "generator"])
def test_a_normalized_vector_is_the_same_alone_and_in_any_batch(folder, key):
    encoder = encoder_of(key, folder(key), batch_tokens=130)
    found = encoder.encode(SEQUENCES)
    np.testing.assert_allclose(encoder.encode(SEQUENCES[::-1])[::-1], found, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.vstack([encoder.encode([s]) for s in SEQUENCES]), found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("key", ["hyenadna", "caduceus", "metagene"])
def test_a_reference_vector_that_depends_on_its_batch_says_so(folder, key):
    encoder = encoder_of(key, folder(key), preset="reference")
    assert not np.allclose(encoder.encode(SEQUENCES[::-1])[::-1], encoder.encode(SEQUENCES), atol=1e-3)
    assert "depends on its batch" in encoder.info.settings["defect"]
    assert encoder.info.settings["batch_rows"] == 4
    alone = encoder_of(key, folder(key), preset="reference", batch_rows=1)
    assert alone.info.digest != encoder.info.digest
    np.testing.assert_allclose(alone.encode(SEQUENCES[::-1])[::-1], alone.encode(SEQUENCES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("key", BUILDERS)
def test_presets_are_two_encoders_and_the_published_defect_is_named_in_one(folder, key):
    normalized, reference = (encoder_of(key, folder(key), preset=p).info for p in ("normalized", "reference"))
    assert normalized.digest != reference.digest
    # the folder's name is there because the width is not the model's
    assert (normalized.name, reference.name) == (f"{MODEL[key].display}@{key}", f"{normalized.name},preset=reference")
    assert [info.settings["preset"] for info in (normalized, reference)] == ["normalized", "reference"]
    assert normalized.settings["defect"] is None
    for defect in MODEL[key].defects:
        assert defect in reference.settings["defect"]


@pytest.mark.parametrize("key", OWN_CODE)
def test_own_code_needs_an_opt_in(folder, key):
    with pytest.raises(EncoderError, match="trust_remote_code=true"):
        load_encoder(MODEL[key].model, folder=str(folder(key)))


def test_a_stock_class_needs_no_opt_in_and_counts_what_is_random(folder):
    encoder = load_encoder("DNABERT-S", folder=str(folder("dnabert-s")), preset="reference")
    assert encoder.info.settings["random_weights"] > 30
    assert "much of the checkpoint is not loaded" in encoder.info.settings["defect"]


@pytest.mark.parametrize("key", BUILDERS)
def test_the_twin_with_random_weights_is_the_same_model_untrained(folder, key):
    real, twin, again, other = (
        encoder_of(key, folder(key), **options)
        for options in ({}, {"random_weights": 50}, {"random_weights": 50}, {"random_weights": 51})
    )
    found = twin.encode(SEQUENCES)
    assert np.array_equal(found, again.encode(SEQUENCES))
    for encoder in (real, other):
        assert not np.allclose(found, encoder.encode(SEQUENCES), atol=1e-3)
    assert twin.info.name == f"{real.info.name},random_weights=50"
    # the same in all but the weights; stores from before the option keep their identity
    assert {**real.info.settings, "untrained_seed": 50} == twin.info.settings
    assert len({encoder.info.digest for encoder in (real, twin, other)}) == 3
    shapes = [{name: w.shape for name, w in e._network.model.named_parameters()} for e in (real, twin)]
    assert shapes[0] == shapes[1]


def test_compiled_models_give_the_same_vectors_under_an_identity_of_their_own(folder, monkeypatch):
    compiled = []
    # as for `hf:`: the benchmarks compile for real
    monkeypatch.setattr(torch, "compile", lambda model, **options: compiled.append(options) or model)
    encoder, plain = (encoder_of("grover", folder("grover"), **options) for options in ({"compile": True}, {}))
    assert compiled == [{"dynamic": True}] * len(encoder._replicas)
    assert encoder.info.settings == {**plain.info.settings, "compile": True}
    np.testing.assert_array_equal(encoder.encode(SEQUENCES), plain.encode(SEQUENCES))


def test_code_beside_the_model_stands_in_for_another_repository(folder, tmp_path):
    path = shutil.copytree(folder("dnabert-2"), tmp_path / "m")
    settings = json.loads((path / "config.json").read_text())
    settings["auto_map"] = {key: f"other/repository--{name}" for key, name in settings["auto_map"].items()}
    (path / "config.json").write_text(json.dumps(settings))
    expected = encoder_of("dnabert-2", folder("dnabert-2")).encode(SEQUENCES)
    np.testing.assert_array_equal(encoder_of("dnabert-2", path).encode(SEQUENCES), expected)
    (path / "modeling_toy.py").unlink()
    with pytest.raises(
        EncoderError, match=r"code of another repository(.|\n)*put modeling_toy\.py of other/repository"
    ):
        encoder_of("dnabert-2", path)


def test_views_of_one_pass_are_the_encoders_loaded_alone(folder):
    encoder = load_views("GROVER", ["last", "mid", "all"], ["mean", "cls", "max"], folder=str(folder("grover")))
    assert len(encoder.views) == 9  # three layers, mid being one of them
    for view, vectors in zip(encoder.views, encoder.encode_views(SEQUENCES), strict=True):
        pooling, layer = view.settings["pooling"], view.settings["layer"]
        alone = encoder_of("grover", folder("grover"), pooling=pooling, layer=str(layer))
        assert alone.info.digest == view.digest
        np.testing.assert_allclose(vectors, alone.encode(SEQUENCES), rtol=1e-5, atol=1e-6)


def test_half_precision_is_another_encoder_that_can_be_measured(folder):
    half, exact = (encoder_of("grover", folder("grover"), dtype=d) for d in ("bfloat16", "float32"))
    assert half.in_float32().info == exact.info
    assert exact.info.name == "GROVER@grover"
    gap = np.abs(half.encode(SEQUENCES) - half.in_float32().encode(SEQUENCES)).max()
    assert 1e-6 < gap < 0.2


@pytest.mark.parametrize(
    ("key", "options", "sequences", "words"),
    [
        ("grover", {"preset": "reference", "pooling": "cls"}, None, "cannot be chosen"),
        ("grover", {"preset": "best"}, None, "one of normalized, reference"),
        ("grover", {"layer": "7"}, None, "from 0"),
        ("grover", {"batch_rows": "2"}, None, "does not depend on its batch"),
        ("grover", {"max_tokens": "2"}, None, "no room"),
        ("evo", {"preset": "reference", "batch_rows": "2"}, None, "only the first sequence of a batch"),
        ("evo", {"layer": "0"}, None, "its last layer only"),
        ("gpt2-gene", {"pooling": "cls"}, None, "special token in front"),
        ("generator", {}, ["ACGTACG", "ACGTA"], "shorter than one token of 6(.|\n)*sequence 2 of 2"),
        ("grover", {}, ["ACG", ""], "no token(.|\n)*sequence 2 of 2"),
    ],
)
def test_what_cannot_be_done_is_said(folder, key, options, sequences, words):
    with pytest.raises(GenebError, match=words):
        encoder_of(key, folder(key), **options).encode(sequences or [])


def test_a_token_the_model_does_not_know_is_an_error(folder, tmp_path):
    path = shutil.copytree(folder("grover"), tmp_path / "m")
    text = (path / "tokenizer.json").read_text()
    (path / "tokenizer.json").write_text(text.replace(f'"N": {BPE_VOCAB.index("N")}', '"N": 400'))
    with pytest.raises(EncoderError, match="token 400, and the model knows 18"):
        encoder_of("grover", path).encode(["ACGN"])


def test_weights_of_another_model_are_refused(folder, tmp_path):
    path = shutil.copytree(folder("grover"), tmp_path / "m")
    shutil.copy(folder("deepgene") / "model.safetensors", path / "model.safetensors")
    with pytest.raises(EncoderError, match="not in the files and would be random"):
        encoder_of("grover", path)
