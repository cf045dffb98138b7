"""`hf:` on small random checkpoints in the hub's folder layout, against literal unbatched transcriptions."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2Model,
    MambaConfig,
    MambaModel,
    PreTrainedTokenizerFast,
)

from geneb_jax.encoder import check_encoder, load_encoder
from geneb_jax.encoder.hf_tokens import Window, batches
from geneb_jax.errors import EncoderError, GenebError, UsageError

LETTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "A", "C", "G", "T"]
RNG = np.random.default_rng(7)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), n)) for n in (5, 30, 12, 12, 3, 21, 1, 29)]
LONG = [*SEQUENCES, *("".join(RNG.choice(list("ACGT"), n)) for n in (31, 61, 100))]
LIMIT = 32


def save_tokenizer(folder, *, special=True, **names):
    vocab = {token: i for i, token in enumerate(LETTERS)}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if special:
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", **names).save_pretrained(folder)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT with its masked-language head, [CLS] and [SEP], 32 positions."""
    folder = tmp_path_factory.mktemp("bert") / "tiny-bert"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=LIMIT, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    save_tokenizer(folder, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    return folder


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A GPT-2: no special tokens around a sequence, no padding token, a tokenizer that pads on the left."""
    folder = tmp_path_factory.mktemp("gpt2") / "tiny-gpt2"
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=8, n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.5,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    GPT2Model(config).save_pretrained(folder)
    save_tokenizer(folder, special=False, padding_side="left")
    return folder


def reference(folder, sequences, *, pooling="mean", layer=-1, counted="inner", room=LIMIT - 2, special=True):
    """One sequence at a time, no padding, no mask: the rule as it is stated, without any batching."""
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # the report of the unused head is this test's own noise
    model = AutoModel.from_pretrained(folder).eval()
    logging.set_verbosity_warning()
    rows = []
    for sequence in sequences:
        inner = [LETTERS.index(base) for base in sequence[:room]]
        ids = [2, *inner, 3] if special else inner
        with torch.no_grad():
            hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0].numpy()
        body = hidden[1 : 1 + len(inner)] if special and counted == "inner" else hidden
        rows.append({"mean": body.mean(0), "max": body.max(0), "last": body[-1], "cls": hidden[0]}[pooling])
    return np.array(rows)


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "cls"])
@pytest.mark.parametrize("counted", ["inner", "all"])
def test_poolings_are_the_unbatched_rule(bert, pooling, counted):
    encoder = load_encoder(f"hf:{bert},pooling={pooling},special_tokens={counted == 'all'}")
    expected = reference(bert, LONG, pooling=pooling, counted=counted)
    found = encoder.encode(LONG)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_twin_with_random_weights_is_the_same_model_untrained(bert):
    real, twin, again, other = (
        load_encoder(f"hf:{bert}{options}")
        for options in ("", ",random_weights=0", ",random_weights=0", ",random_weights=1")
    )
    vectors = twin.encode(SEQUENCES)
    assert np.array_equal(vectors, again.encode(SEQUENCES))
    assert not np.allclose(vectors, other.encode(SEQUENCES))
    assert not np.allclose(vectors, real.encode(SEQUENCES))
    assert len({e.info.digest for e in (real, twin, other)}) == 3
    assert twin.info.name == "tiny-bert,random_weights=0"
    # stores from before the option keep their identity
    assert "random_weights" not in real.info.settings
    shapes = [[(name, w.shape) for name, w in e._model.named_parameters()] for e in (real, twin)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("layer", "index"), [("last", 3), ("mid", 1), ("0", 0), ("-2", 2), ("-4", 0), ("3", 3)])
def test_layers(bert, layer, index):
    encoder = load_encoder(f"hf:{bert},layer={layer}")
    assert encoder.info.settings["layer"] == index
    np.testing.assert_allclose(encoder.encode(SEQUENCES), reference(bert, SEQUENCES, layer=index), rtol=1e-5, atol=1e-5)


def test_a_small_batch_budget_changes_nothing_and_is_no_part_of_the_identity(bert):
    whole, small = load_encoder(f"hf:{bert}"), load_encoder(f"hf:{bert},batch_tokens=33,padding=false")
    assert whole.info == small.info
    np.testing.assert_allclose(small.encode(LONG), whole.encode(LONG), rtol=1e-5, atol=1e-5)


def test_a_tokenizer_of_another_alphabet_is_refused(bert, tmp_path):
    shutil.copytree(bert, tmp_path / "m")
    text = (bert / "tokenizer.json").read_text()
    for base in "ACGT":
        text = text.replace(f'"{base}":', f'"{base.lower()}":')
    (tmp_path / "m" / "tokenizer.json").write_text(text)
    with pytest.raises(EncoderError, match="none of the letters"):
        load_encoder(f"hf:{tmp_path / 'm'}")


def test_left_padding_tokenizer_without_padding_token(gpt2):
    encoder = load_encoder(f"hf:{gpt2}")
    expected = reference(gpt2, SEQUENCES, room=64, special=False)
    np.testing.assert_allclose(encoder.encode(SEQUENCES), expected, rtol=1e-5, atol=1e-5)
    check_encoder(encoder, SEQUENCES).raise_if_failed()


def test_a_model_that_takes_no_mask_gets_equal_lengths(tmp_path, monkeypatch):
    torch.manual_seed(2)
    MambaModel(MambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=2, state_size=4)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, special=False, pad_token="[PAD]")
    monkeypatch.setattr("geneb_jax.encoder.hf_model.takes_mask", lambda model: False)
    encoder = load_encoder(f"hf:{tmp_path}")
    expected = reference(tmp_path, SEQUENCES, room=None, special=False)
    np.testing.assert_allclose(encoder.encode(SEQUENCES), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "cls"])
def test_windows_are_weighted_by_their_tokens(bert, pooling):
    room = LIMIT - 2
    expected = []
    for sequence in LONG:
        parts = [sequence[i : i + room] for i in range(0, len(sequence), room)]
        vectors = reference(bert, parts, pooling=pooling)
        weights = [len(part) for part in parts]
        averaged = np.average(vectors, axis=0, weights=weights)
        expected.append({"max": vectors.max(0), "last": vectors[-1]}.get(pooling, averaged))
    encoder = load_encoder(f"hf:{bert},overflow=windows,pooling={pooling}")
    np.testing.assert_allclose(encoder.encode(LONG), expected, rtol=1e-5, atol=1e-5)


def test_limits(bert):
    encoder = load_encoder(f"hf:{bert},max_tokens=12")
    np.testing.assert_allclose(encoder.encode(LONG), reference(bert, LONG, room=10), rtol=1e-5, atol=1e-5)
    with pytest.raises(EncoderError, match=r"31 tokens.*at most 30(.|\n)*sequence 9 of 11"):
        load_encoder(f"hf:{bert},overflow=error").encode(LONG)
    with pytest.raises(UsageError, match="no room"):
        load_encoder(f"hf:{bert},max_tokens=2")


def test_no_tokens_is_an_error_that_names_the_sequence(bert):
    with pytest.raises(EncoderError, match="sequence 2 of 3"):
        load_encoder(f"hf:{bert}").encode(["ACG", "", "TT"])


def test_without_special_tokens(bert):
    encoder = load_encoder(f"hf:{bert},add_special_tokens=false")
    expected = reference(bert, SEQUENCES, special=False)
    np.testing.assert_allclose(encoder.encode(SEQUENCES), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(EncoderError, match="special token in front"):
        load_encoder(f"hf:{bert},add_special_tokens=false,pooling=cls")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_passes_its_checks_and_is_another_encoder(bert, dtype):
    encoder, exact = load_encoder(f"hf:{bert},dtype={dtype}"), load_encoder(f"hf:{bert}")
    check_encoder(encoder, SEQUENCES).raise_if_failed()
    assert encoder.info.digest != exact.info.digest
    gap = np.abs(encoder.encode(SEQUENCES) - exact.encode(SEQUENCES)).max()
    assert 1e-6 < gap < 0.2


def test_the_revision_is_the_content(bert, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(bert, copy)
    info, moved = load_encoder(f"hf:{bert}").info, load_encoder(f"hf:{copy}").info
    assert (info.digest, info.name, moved.name) == (moved.digest, "tiny-bert", "elsewhere")
    assert str(tmp_path) not in str(moved)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    assert load_encoder(f"hf:{copy}").info.revision != info.revision


def test_every_setting_that_changes_a_vector_is_in_the_digest(bert):
    options = ["", "pooling=max", "layer=1", "special_tokens=true", "overflow=windows", "max_tokens=9"]
    options += ["dtype=bfloat16", "attention=eager", "add_special_tokens=false", "pooling=cls"]
    digests = {load_encoder(f"hf:{bert}" + f",{o}" * bool(o)).info.digest for o in options}
    assert len(digests) == len(options)
    same = ["layer=-1", "device=cpu", "batch_tokens=64", "layer=3", "padding=false", "max_tokens=32"]
    assert {load_encoder(f"hf:{bert},{o}").info.digest for o in same} == {load_encoder(f"hf:{bert}").info.digest}


def test_missing_weights_are_refused(bert, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(bert, tmp_path / "m")
    weights = load_file(bert / "model.safetensors")
    weights.pop("bert.encoder.layer.1.output.dense.weight")
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"1 weights of BertModel.*encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(f"hf:{tmp_path / 'm'}")


def test_pickled_weights_need_an_opt_in(bert, tmp_path):
    from safetensors.torch import load_file

    shutil.copytree(bert, tmp_path / "m")
    torch.save(load_file(bert / "model.safetensors"), tmp_path / "m" / "pytorch_model.bin")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="allow_pickle=true"):
        load_encoder(f"hf:{tmp_path / 'm'}")
    found = load_encoder(f"hf:{tmp_path / 'm'},allow_pickle=true").encode(SEQUENCES)
    np.testing.assert_allclose(found, load_encoder(f"hf:{bert}").encode(SEQUENCES), rtol=1e-6)


def test_remote_code_needs_an_opt_in(bert, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(bert, folder)
    config = json.loads((bert / "config.json").read_text())
    config |= {"model_type": "own-bert", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(EncoderError, match="trust_remote_code=true"):
        load_encoder(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights of the model"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 40), "no sound file of weights"),
        (lambda folder: (folder / "config.json").write_text("{"), "no JSON object"),
        (lambda folder: [p.unlink() for p in folder.glob("token*")], "no tokenizer"),
    ],
)
def test_broken_folders(bert, tmp_path, break_it, words):
    shutil.copytree(bert, tmp_path / "m")
    break_it(tmp_path / "m")
    with pytest.raises(EncoderError, match=words):
        load_encoder(f"hf:{tmp_path / 'm'}")


def test_bad_options(bert):
    for option, words in [
        ("layer=9", "number from 0"),
        ("layer=first", "there is no layer"),
        ("device=tpu9000", "no device"),
        ("pooling=sum", "one of mean"),
    ]:
        with pytest.raises(GenebError, match=words):
            load_encoder(f"hf:{bert},{option}")


def test_without_torch_the_message_says_what_to_install(bert, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EncoderError, match=r"pip install 'geneb_jax\[hf\]'"):
        load_encoder(f"hf:{bert}")


def test_loading_prints_nothing(bert, capfd, caplog):
    load_encoder(f"hf:{bert}").encode(LONG)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert [record for record in caplog.records if "LOAD REPORT" in record.getMessage()] == []


def test_batches_hold_every_window_once_within_the_budget():
    made = [Window(0, (5,) * int(n)) for n in RNG.integers(1, 200, 300)]
    for equal in (False, True):
        cut = list(batches(made, 2, 512, equal_lengths=equal))
        assert sorted(i for batch in cut for i in batch) == list(range(300))
        lengths = [[len(made[i].content) + 2 for i in batch] for batch in cut]
        assert all(len(batch) == 1 or len(batch) * max(batch) <= 512 for batch in lengths)
        assert all(len(set(batch)) == 1 for batch in lengths) or not equal
        assert lengths[0][0] == max(map(max, lengths))
