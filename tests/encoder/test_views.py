"""Layers and poolings from one pass, and batches that shrink when memory runs out."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.batching import Budget, is_out_of_memory, run_batches
from geneb_jax.encoder.hf_model import replicate
from geneb_jax.encoder.views import SelectsViews, StagedEncoder, ViewEncoder, load_views, staged
from geneb_jax.errors import EncoderError, UsageError

RNG = np.random.default_rng(3)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), n)) for n in (5, 30, 12, 12, 3, 21, 29, 61)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT of three layers with [CLS] and [SEP] and 32 positions."""
    folder = tmp_path_factory.mktemp("views") / "tiny-bert"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    vocab = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "A", "C", "G", "T"])}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(folder)
    return folder


def test_views_are_the_encoders_loaded_alone(bert, monkeypatch):
    encoder = load_views(f"hf:{bert},overflow=windows", ["last", "mid", "all"], ["mean", "cls", "max", "last"])
    assert isinstance(encoder, ViewEncoder)
    assert [view.settings["layer"] for view in encoder.views[::4]] == [3, 1, 0, 2]  # all adds what is not there yet
    passes = []
    forward = encoder._torch_side.layer_states
    monkeypatch.setattr(encoder._torch_side, "layer_states", lambda *a: passes.append(1) or forward(*a))
    found = encoder.encode_views(SEQUENCES)
    assert len(passes) == 1
    for view, vectors in zip(encoder.views, found, strict=True):
        pooling, layer = view.settings["pooling"], view.settings["layer"]
        alone = load_encoder(f"hf:{bert},overflow=windows,pooling={pooling},layer={layer}")
        assert alone.info.digest == view.digest
        np.testing.assert_allclose(vectors, alone.encode(SEQUENCES), rtol=1e-5, atol=1e-6)
    assert len({view.digest for view in encoder.views}) == 16
    assert {view.name for view in encoder.views} > {
        "tiny-bert,overflow=windows", "tiny-bert,pooling=cls,layer=mid,overflow=windows",
    }  # fmt: skip


def test_a_list_left_out_keeps_the_encoders_own_choice(bert):
    assert [v.settings["pooling"] for v in load_views(f"hf:{bert},pooling=max", ["0", "-1"]).views] == ["max", "max"]
    assert [v.settings["layer"] for v in load_views(f"hf:{bert},layer=1", (), ["cls", "max"]).views] == [1, 1]
    (view,) = load_views("kmer:2").views
    assert view == load_encoder("kmer:2").info


def test_wrong_views_are_told(bert):
    with pytest.raises(UsageError, match="layers are listed, and the encoder string gives one too"):
        load_views(f"hf:{bert},layer=1", ["last"])
    with pytest.raises(UsageError, match="no layers and poolings"):
        load_views("kmer:2", ["last"])
    with pytest.raises(UsageError, match="no layer '4'"):
        load_views(f"hf:{bert}", ["4"])
    with pytest.raises(UsageError, match="'pooling' cannot be 'median'"):
        load_views(f"hf:{bert}", (), ["median"])


def test_two_replicas_share_the_batches(bert, monkeypatch):
    one, two = (load_encoder(f"hf:{bert},batch_tokens=33,device={device}") for device in ("cpu", "cpu+cpu"))
    assert one.info == two.info
    assert two._replicas[0] is not two._replicas[1]
    meet, used = threading.Barrier(2, timeout=30), {}
    forward = two._torch_side.layer_states

    def noted(model, *rest):
        if model not in used:
            used[model] = threading.current_thread().name
            meet.wait()  # each copy waits for the other's first batch, so one alone would fail
        return forward(model, *rest)

    monkeypatch.setattr(two._torch_side, "layer_states", noted)
    found = two.encode(SEQUENCES)
    assert len(set(used.values())) == 2
    monkeypatch.undo()
    np.testing.assert_allclose(found, one.encode(SEQUENCES), rtol=1e-5, atol=1e-6)
    with pytest.raises(EncoderError, match="torch knows no device"):
        load_encoder(f"hf:{bert},device=cpu+cqu")


def test_a_processor_gets_copies_that_share_their_weights(bert, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        encoder = load_encoder(f"hf:{bert},batch_tokens=33,device=cpu")
        first, *others = encoder._replicas
        assert len(others) == 2
        for other in others:
            assert other is not first
            assert [p.data_ptr() for p in other.parameters()] == [p.data_ptr() for p in first.parameters()]
        threads = set()
        forward = encoder._torch_side.layer_states
        monkeypatch.setattr(
            encoder._torch_side, "layer_states", lambda *a: threads.add(torch.get_num_threads()) or forward(*a)
        )
        found = encoder.encode(SEQUENCES)
        assert threads == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found, load_encoder(f"hf:{bert}").encode(SEQUENCES), rtol=1e-5, atol=1e-6)


def test_a_model_that_cannot_be_copied_is_used_in_turn():
    class Single(torch.nn.Linear):
        busy = False

        def __deepcopy__(self, memo):
            raise RuntimeError("no copies")

        def forward(self, x):
            assert not self.busy
            self.busy = True
            time.sleep(0.01)
            self.busy = False
            return super().forward(x)

    model = Single(2, 2)
    one, two = replicate(model, ["cpu", "cpu"], compiled=False)
    assert one is two
    assert one.in_features == 2
    with ThreadPoolExecutor(2) as pool:
        rows = [row.detach() for row in pool.map(one, [torch.ones(1, 2)] * 4)]
    assert all(torch.equal(row, rows[0]) for row in rows)


class Small:
    """Letter counts, in a device that holds a given number of letters."""

    def __init__(self, room, error):
        self.info = load_encoder("kmer:1,counts=true").info
        self.inner, self.room, self.error, self.calls = load_encoder("kmer:1,counts=true"), room, error, []

    def encode(self, sequences):
        size = len(sequences) * max(map(len, sequences))
        self.calls.append(size)
        if size > self.room:
            raise self.error("CUDA out of memory: 3 TiB")
        return self.inner.encode(sequences)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, MemoryError, RuntimeError])
def test_batches_are_halved_until_memory_suffices(error):
    encoder = Small(100, error)
    view = staged(encoder)
    told = []
    (found,) = view.compute(view.prepare(sorted(SEQUENCES, key=len, reverse=True)), told.append)
    np.testing.assert_array_equal(found, encoder.inner.encode(sorted(SEQUENCES, key=len, reverse=True)))
    assert sum(told) == len(SEQUENCES)
    assert encoder.calls[:3] == [8 * 61, 4 * 61, 2 * 61]
    assert view.budget.halvings == 3
    assert all(size <= 100 for size in encoder.calls[3:])
    assert len(encoder.calls) < 9  # shorter ones share a batch again
    before = len(encoder.calls)
    view.encode_views(SEQUENCES[:1] * 30)
    assert max(encoder.calls[before:]) <= 100  # and what was learned stays
    with pytest.raises(EncoderError, match="one sequence of 61 tokens or letters"):
        staged(Small(60, error)).encode_views(SEQUENCES)


def test_an_hf_model_goes_on_after_running_out_of_memory(bert, monkeypatch):
    encoder = load_encoder(f"hf:{bert}")
    expected = encoder.encode(SEQUENCES)
    forward = encoder._torch_side.layer_states

    def small(model, inputs, layers):
        if inputs["input_ids"].numel() > 70:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return forward(model, inputs, layers)

    monkeypatch.setattr(encoder._torch_side, "layer_states", small)
    np.testing.assert_allclose(encoder.encode(SEQUENCES), expected, rtol=1e-5, atol=1e-6)
    assert encoder.budget.halvings == 2
    assert encoder.budget.most == 64


def test_what_is_no_lack_of_memory_is_raised_and_stops_the_other_workers():
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    wrapped = EncoderError("`encode` failed")
    wrapped.__cause__ = MemoryError()
    assert is_out_of_memory(wrapped)
    ran = []

    def fails(batch):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_batches([[i] for i in range(1000)], [1] * 1000, [fails, ran.append], Budget(), where="here")
    assert len(ran) < 1000


def test_half_precision_has_a_float32_twin(bert):
    half = load_encoder(f"hf:{bert},dtype=bfloat16").select_views(["last", "1"], ["mean", "max"])
    assert isinstance(half, StagedEncoder)
    assert isinstance(half, SelectsViews)
    twin = half.in_float32()
    plain = load_encoder(f"hf:{bert}").select_views(["last", "1"], ["mean", "max"])
    assert twin.views == plain.views
    found = [encoder.encode_views(SEQUENCES) for encoder in (half, twin, plain)]
    for a, b, c in zip(*found, strict=True):
        np.testing.assert_array_equal(b, c)
        assert 0 < np.abs(a - b).max() < 0.2 * np.abs(b).max()


def test_compiled_models_give_the_same_vectors_under_a_name_of_their_own(bert, monkeypatch):
    compiled = []
    # the program that torch would make takes a minute; that it is asked for, and used, shows without it
    monkeypatch.setattr(torch, "compile", lambda model, **options: compiled.append(options) or model)
    encoder = load_encoder(f"hf:{bert},compile=true")
    assert compiled == [{"dynamic": True}] * len(encoder._replicas)
    plain = load_encoder(f"hf:{bert}")
    assert json.loads(json.dumps(dict(encoder.info.settings))) == {**plain.info.settings, "compile": True}
    np.testing.assert_array_equal(encoder.encode(SEQUENCES), plain.encode(SEQUENCES))


def test_a_model_that_cannot_be_compiled_says_what_to_do(bert, monkeypatch):
    def compiled(model, **options):
        return torch._dynamo.optimize(backend)(model)

    def backend(graph, inputs):
        raise RuntimeError("no working compiler")

    monkeypatch.setattr(torch, "compile", compiled)
    encoder = load_encoder(f"hf:{bert},compile=true")
    with pytest.raises(EncoderError, match=r"no working compiler(.|\n)*needs a C\+\+ compiler"):
        encoder.encode(SEQUENCES)
