"""What runs is what the files and the folder's own code say: each way of being something else is mended or named."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from geneb_jax.encoder import load_encoder
from geneb_jax.encoder.spec import parse_spec
from geneb_jax.errors import EncoderError, UsageError
from tests.encoder.checkpoints import bpe_ids, bpe_tokenizer, build, llama, toy

SEQUENCES = ["ACGTTGCAAC", "GGGTTTACACCAGT", "TTTTACG"]
CODE = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class C(PretrainedConfig):
    model_type = "kept"


class Table:
    def __init__(self):
        self.parts = [torch.linspace(0, 1, 16)]


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(16))
        self.register_buffer("one", torch.ones(16), persistent=False)


class M(PreTrainedModel):
    config_class = C

    def __init__(self, config):
        super().__init__(config)
        self.words = nn.Embedding(18, 16)
        self.scale = Scaled()
        INIT
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, Scaled):
            module.weight.data.normal_()

    def forward(self, input_ids, attention_mask=None, **kw):
        x = self.words(input_ids) * self.scale.weight * self.scale.one
        PASS
        return BaseModelOutput(last_hidden_state=x)
"""
TABLE = np.linspace(0, 1, 16, dtype=np.float32)


def own_code(folder, init="pass", use="pass", *, words=None):
    """A folder with code of its own; returns its word vectors times its scale."""
    folder.mkdir(parents=True)
    bpe_tokenizer(folder)
    (folder / "modeling.py").write_text(CODE.replace("INIT", init).replace("PASS", use))
    settings = {"model_type": "kept", "auto_map": {"AutoConfig": "modeling.C", "AutoModel": "modeling.M"}}
    (folder / "config.json").write_text(json.dumps(settings))
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(18, 16, generator=generator) if words is None else words
    scale = torch.linspace(1, 2, 16)
    save_file({"words.weight": table, "scale.weight": scale}, folder / "model.safetensors", metadata={"format": "pt"})
    return (table * scale).numpy()


def by_hand(table, then=lambda x: x):
    return np.stack([then(table[bpe_ids(sequence)]).mean(axis=0) for sequence in SEQUENCES])


def opened(folder, **options):
    return load_encoder(f"hf:{folder}", trust_remote_code=True, device="cpu", **options)


@pytest.mark.parametrize(
    ("init", "use"),
    [
        ("self.register_buffer('t', torch.linspace(0, 1, 16), persistent=False)", "x = x + self.t"),
        ("self.t = torch.linspace(0, 1, 16)", "x = x + self.t"),
        ("self.t = Table()", "x = x + self.t.parts[0]"),
        ("self.t = (lambda y: (lambda: y))(torch.linspace(0, 1, 16))", "x = x + self.t()"),
        ("import numpy; self.t = numpy.linspace(0, 1, 16, dtype='float32')", "x = x + torch.from_numpy(self.t)"),
    ],
    ids=["buffer", "tensor", "object", "closure", "array"],
)
def test_what_a_constructor_computes_is_there(tmp_path, init, use):
    """The weight of `Scaled`, which the code's own `_init_weights` overwrites after loading, is the file's as well."""
    table = own_code(tmp_path / "m", init, use)
    found = opened(tmp_path / "m").encode(SEQUENCES)
    np.testing.assert_allclose(found, by_hand(table, lambda x: x + TABLE), rtol=1e-5, atol=1e-6)


def test_a_random_buffer_is_refused_by_name(tmp_path):
    own_code(tmp_path / "m", "self.register_buffer('noise', torch.randn(16), persistent=False)", "x = x + self.noise")
    with pytest.raises(EncoderError, match="noise of M is not in the files and random"):
        opened(tmp_path / "m")


def test_folders_of_one_name_run_their_own_code(tmp_path):
    """Also where the code registers itself with transformers, and where one folder is edited in between."""
    register = "\n\nfrom transformers import AutoConfig, AutoModel\nAutoConfig.register('kept', C, exist_ok=True)\n"
    register += "AutoModel.register(C, M, exist_ok=True)\n"
    table = own_code(tmp_path / "a" / "same", use="x = x + 1")
    own_code(tmp_path / "b" / "same", use="x = x + 2")
    for folder in ("a", "b"):
        with (tmp_path / folder / "same" / "modeling.py").open("a") as file:
            file.write(register)
    first, second = opened(tmp_path / "a" / "same"), opened(tmp_path / "b" / "same")
    code = tmp_path / "a" / "same" / "modeling.py"
    code.write_text(code.read_text().replace("x = x + 1", "x = x + 3"))
    third = opened(tmp_path / "a" / "same")
    for encoder, added in ((first, 1), (second, 2), (third, 3), (opened(tmp_path / "b" / "same"), 2)):
        np.testing.assert_allclose(encoder.encode(SEQUENCES), by_hand(table) + added, rtol=1e-5, atol=1e-5)
    assert len({encoder.info.revision for encoder in (first, second, third)}) == 3


@pytest.mark.parametrize(
    ("init", "use", "words"),
    [
        ("self.seen = None", "self.seen = x.mean() if self.seen is None else self.seen; x = x - self.seen", "before"),
        ("self.n = 0", "self.n += 1; x = x + self.n", "before"),
        ("self.seen = None", "self.seen = x if self.seen is None else self.seen; x = x + self.seen", "longer"),
    ],
)
def test_a_state_between_inputs_is_refused(tmp_path, init, use, words):
    own_code(tmp_path / "m", init, use)
    with pytest.raises(EncoderError, match=words):
        opened(tmp_path / "m")


def test_a_cache_that_grows_is_no_fault(tmp_path):
    use = "n = x.shape[1]; self.t = torch.arange(n) if self.t is None or len(self.t) < n else self.t; "
    table = own_code(tmp_path / "m", "self.t = None", use + "x = x + 0 * self.t[:n, None]")
    np.testing.assert_allclose(opened(tmp_path / "m").encode(SEQUENCES), by_hand(table), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return build("grover", tmp_path_factory.mktemp("sound") / "bert")


@pytest.fixture
def folder(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / "m")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def fewer_layers(folder):
    edit(folder / "config.json", num_hidden_layers=1)


def stray_part(folder):
    shutil.copy(folder / "model.safetensors", folder / "model-00002-of-00002.safetensors")


def adapter(folder):
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "lab/x"}))


def adapter_inside(folder):
    held = load_file(folder / "model.safetensors")
    held["bert.encoder.layer.0.attention.self.query.lora_A.weight"] = torch.zeros(2, 16)
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})


def pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def bare(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "training_args.bin")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (fewer_layers, "no place in BertModel"),
        (stray_part, "no index that is read names it"),
        (adapter, "merge the adapter"),
        (adapter_inside, "merge the adapter"),
        (pointer, "git-lfs"),
        (bare, "copy is incomplete"),
    ],
)
@pytest.mark.parametrize("spec", ["hf:{}", "GROVER,folder={}"])
def test_weights_that_would_be_left_out(folder, spec, change, words):
    change(folder)
    with pytest.raises(EncoderError, match=words) as caught:
        load_encoder(spec.format(folder))
    assert "allow_pickle" not in str(caught.value)
    assert "trust_remote_code" not in str(caught.value)


def test_another_copy_of_the_weights_is_named(folder):
    torch.save({}, folder / "pytorch_model.bin")
    assert load_encoder(f"hf:{folder}").notes == ("weight files that were not read: pytorch_model.bin",)


def test_a_damaged_save_with_stray_code_does_not_ask_for_trust(folder):
    held = load_file(folder / "model.safetensors")
    del held["bert.encoder.layer.1.output.dense.weight"]
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "stray.py").write_text("raise SystemExit('ran')\n")
    edit(folder / "config.json", auto_map={"AutoModel": "stray.M"})
    for spec in ("hf:{}", "GROVER,folder={}"):
        with pytest.raises(EncoderError, match="save the whole model again"):
            load_encoder(spec.format(folder))


@pytest.mark.parametrize("name", ["bs=32,lr=1e-4", "a b@c,d=1,e=2", "it's, so=called"])
def test_a_folder_may_be_called_anything(bert, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bert, tmp_path / name)
    for spec in (f"hf:./{name},dtype=float32", f"GROVER,folder=./{name},pooling=mean"):
        assert load_encoder(spec).encode(["ACGT"]).shape == (1, 16)


def test_two_folders_that_one_string_could_mean(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "a,pooling=cls"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="write a slash behind the one you mean"):
        parse_spec("hf:./a,pooling=cls")
    assert parse_spec("hf:./a/,pooling=cls").options == {"pooling": "cls"}
    assert parse_spec("hf:./a,pooling=cls/").options == {}


def test_a_decoder_has_no_cls(tmp_path):
    (tmp_path / "m").mkdir()
    llama(tmp_path / "m")
    with pytest.raises(EncoderError, match="use pooling=mean or pooling=last"):
        load_encoder(f"hf:{tmp_path / 'm'},pooling=cls")


def test_ids_outside_the_table_are_named_or_not_used(tmp_path):
    (tmp_path / "m").mkdir()
    llama(tmp_path / "m")
    settings = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    settings["added_tokens"].append({**settings["added_tokens"][0], "id": 99, "content": "[FILL]"})
    (tmp_path / "m" / "tokenizer.json").write_text(json.dumps(settings))
    edit(tmp_path / "m" / "tokenizer_config.json", pad_token="[FILL]")
    encoder = load_encoder(f"hf:{tmp_path / 'm'}")
    together = encoder.encode(SEQUENCES)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([s]) for s in SEQUENCES]), atol=1e-5)
    edit(tmp_path / "m" / "config.json", vocab_size=10)
    held = load_file(tmp_path / "m" / "model.safetensors")
    held = {name: value[:10] if "embed" in name or "lm_head" in name else value for name, value in held.items()}
    save_file(held, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="the model knows 10"):
        load_encoder(f"hf:{tmp_path / 'm'}").encode(SEQUENCES)


@pytest.mark.parametrize("what", ["raise ZeroDivisionError('no')", "raise SystemExit(0)", "assert x.shape[1] < 40"])
def test_an_error_in_a_pass_is_a_sentence(tmp_path, what):
    own_code(tmp_path / "m", use=f"if x.shape[0] > 1: {what}" if "raise" in what else what)
    with pytest.raises(EncoderError, match="encoder 'hf:") as caught:
        opened(tmp_path / "m", overflow="error").encode(["ACGT" * 30, "ACGA" * 30])
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("from transformers.pytorch_utils import gone_in_five\n", "gone_in_five of transformers.pytorch_utils"),
        ("import transformers.gone_in_five\n", "transformers.gone_in_five"),
        ("raise SystemExit(0)\n", "line 1 of modeling.py"),
    ],
)
def test_code_of_another_time_says_what_it_needs(tmp_path, code, words):
    own_code(tmp_path / "m")
    file = tmp_path / "m" / "modeling.py"
    file.write_text(code + file.read_text())
    with pytest.raises(EncoderError, match=re.escape(words)) as caught:
        opened(tmp_path / "m")
    assert "pip install" not in str(caught.value)


def test_a_default_of_transformers_4_is_named(tmp_path):
    own_code(tmp_path / "m", "self.crossed = config.add_cross_attention")
    if hasattr(transformers.PretrainedConfig(), "add_cross_attention"):
        pytest.skip("this transformers still has the default")
    with pytest.raises(EncoderError, match='add "add_cross_attention": false'):
        opened(tmp_path / "m")


def test_toy_models_of_the_registry_are_read_as_their_class_says(tmp_path):
    (tmp_path / "m").mkdir()
    toy(tmp_path / "m", "AutoModel", "ToyAttention")
    bpe_tokenizer(tmp_path / "m")
    assert np.isfinite(opened(tmp_path / "m").encode(SEQUENCES)).all()
