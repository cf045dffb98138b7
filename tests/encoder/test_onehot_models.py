"""Enformer, SPACE and MutBERT: small random checkpoints against literal, unbatched transcriptions of the rules.

enformer-pytorch's own classes are used where it is installed; stand-ins with its calls run everywhere.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geneb_jax.encoder import check_encoder, load_encoder
from geneb_jax.encoder.families import load_model
from geneb_jax.encoder.registry import find_model
from geneb_jax.encoder.spec import parse_spec
from geneb_jax.errors import EncoderError
from tests.encoder import checkpoints

WINDOW, BIN, TARGET = 64, 8, 4
RNG = np.random.default_rng(2)
SEQUENCES = ["".join(RNG.choice(list("ACGTN"), n)) for n in (1, 5, 8, 13, 31, 33, 64, 101)]

STAND_IN = """
import torch
from torch import nn
from transformers import PretrainedConfig


class {name}Config(PretrainedConfig):
    def __init__(self, dim=6, num_downsamples=3, target_length=4, **kwargs):
        self.dim, self.num_downsamples, self.target_length = dim, num_downsamples, target_length
        super().__init__(**kwargs)


class Positions(nn.Module):
    use_tf_gamma = True

    def forward(self, x):
        assert not self.use_tf_gamma or x.shape[-1] == 1536
        return x + torch.linspace(-1, 1, x.shape[-1])


class {name}(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(4, 2 * config.dim, 15, padding=7)
        pool = nn.AvgPool1d(2 ** config.num_downsamples)
        self._trunk = nn.Sequential(self.stem, pool, Positions(), nn.Tanh())
        self.heads = nn.Linear(2 * config.dim, 3)

    def trunk(self, x):
        x = self._trunk(x.transpose(1, 2)).transpose(1, 2)
        cut = (x.shape[1] - self.config.target_length) // 2
        return x[:, cut : x.shape[1] - cut]

    def forward(self, x, return_only_embeddings=False, return_embeddings=False, target_length=896):
        if return_only_embeddings:
            return self.trunk(x)
        assert return_embeddings and target_length == self.config.target_length
        return self.heads(self.trunk(x)), self.trunk(x)
"""


def stand_in(root, key):
    name = {"enformer": "Enformer", "space": "Space"}[key]
    package = root / {"enformer": "enformer_pytorch", "space": "model"}[key]
    package.mkdir(parents=True)
    inner = {"enformer": "modeling_enformer", "space": "modeling_space"}[key]
    (package / f"{inner}.py").write_text(STAND_IN.format(name=name))
    (package / "__init__.py").write_text(f"from {package.name}.{inner} import {name}\n" if key == "enformer" else "")
    if key == "enformer":
        (package / "config_enformer.py").write_text(f"from enformer_pytorch.{inner} import EnformerConfig\n")
    return f"{package.name}.{inner}"


@pytest.fixture(params=["enformer", "space", "enformer-pytorch"])
def bins(request, tmp_path, monkeypatch):
    """Family, the original model, and the folder with its weights."""
    key = request.param
    before = set(sys.modules)
    if key == "enformer-pytorch":
        if find_spec("enformer_pytorch") is None:
            pytest.skip("needs enformer-pytorch: pip install --no-deps enformer-pytorch, and einops polars pyfaidx")
        key, module = "enformer", "enformer_pytorch.modeling_enformer"
        settings = {
            "dim": 48, "depth": 2, "heads": 2, "num_downsamples": 3, "dim_divisible_by": 2, "attn_dim_key": 8,
            "output_heads": {"human": 3}, "target_length": TARGET,
        }  # fmt: skip
        config = "EnformerConfig"
    else:
        module, settings = stand_in(tmp_path / "code", key), {"target_length": TARGET}
        monkeypatch.syspath_prepend(str(tmp_path / "code"))
        config = "EnformerConfig" if key == "enformer" else "SpaceConfig"
        for name in [n for n in sys.modules if n.split(".")[0] == module.split(".")[0]]:
            monkeypatch.delitem(sys.modules, name)
    code = importlib.import_module(module)
    settings = getattr(code, config)(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = getattr(code, config.removesuffix("Config"))(settings)
        for weight in model.parameters():  # some begin as zeros
            torch.nn.init.normal_(weight, 0, 0.3)
    for part in model.modules():
        part.use_tf_gamma = False
    folder = tmp_path / "weights"
    folder.mkdir()
    state, seen = {}, set()
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen and not name.startswith(("heads", "_heads")):
            state["model." * (key == "space") + name] = value.detach().contiguous()
        seen.add(id(value))
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings.to_dict(), default=str))
    yield key, model.eval(), folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def encoder_of(key, folder, **options):
    name = {"enformer": "Enformer", "space": "SPACE", "mutbert": "MutBERT"}[key]
    entry = find_model(name)
    if key != "mutbert":
        entry = replace(entry, max_tokens=WINDOW)  # the published windows take gigabytes
    return load_model(entry, parse_spec(name), {"folder": str(folder), **options})


def transcription(model, sequence, preset):
    """One window, and the mean over all bins, or over those that a base of the sequence lies in."""
    left = max(0, WINDOW - len(sequence)) // 2
    cut = max(0, len(sequence) - WINDOW) // 2
    kept = sequence[cut : cut + WINDOW]
    text = "N" * left + kept + "N" * (WINDOW - left - len(kept))
    x = torch.tensor([[float(letter == base) for base in "ACGT"] for letter in text])[None]
    with torch.no_grad():
        trunk = model(x, return_only_embeddings=True)[0]
    inside = np.zeros(WINDOW, bool)
    inside[left : left + len(kept)] = True
    outer = (WINDOW // BIN - TARGET) // 2
    holds = inside.reshape(-1, BIN).any(axis=1)[outer : outer + TARGET]
    return (trunk if preset == "reference" else trunk[torch.from_numpy(holds)]).mean(dim=0).numpy()


@pytest.mark.parametrize("preset", ["normalized", "reference"])
def test_bins_are_averaged_by_the_rule(bins, preset):
    key, model, folder = bins
    encoder = encoder_of(key, folder, preset=preset, batch_rows=3)
    expected = np.array([transcription(model, sequence, preset) for sequence in SEQUENCES])
    found = encoder.encode(SEQUENCES)
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-5
    check_encoder(encoder, SEQUENCES[1:]).raise_if_failed()
    settings = encoder.info.settings
    assert (settings["preset"], settings["tf_gamma"], settings["window"]) == (preset, False, WINDOW)
    defect = str(settings["defect"])
    assert ("undefined length" in defect) == (key == "enformer" and preset == "reference")


def test_bins_of_weights_that_lack_some_are_refused(bins):
    key, _, folder = bins
    state = load_file(folder / "model.safetensors")
    lacking = next(name for name in state if name.endswith(".bias"))
    save_file({name: value for name, value in state.items() if name != lacking}, folder / "model.safetensors")
    with pytest.raises(EncoderError, match="would be random"):
        encoder_of(key, folder)


@pytest.mark.parametrize("name", ["Enformer", "SPACE"])
def test_code_that_is_not_there_is_named(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "enformer_pytorch", None)
    with pytest.raises(EncoderError, match=r"enformer_pytorch|model"):
        load_encoder(name, folder=str(tmp_path))


ONE_HOT = '''

class ToyOneHot(ToyAttention):
    """Multiplies its input with the word embeddings, as MutBERT's code."""

    def forward(self, input_ids, attention_mask=None, output_hidden_states=None, return_dict=None):
        letters = input_ids
        assert letters.dtype == torch.float32 and letters.shape[2] == self.words.num_embeddings
        hidden = letters @ self.words.weight
        seen = torch.ones(letters.shape[:2]) if attention_mask is None else attention_mask
        for mix in self.mix:
            scores = (mix(hidden) @ hidden.transpose(1, 2) / 4).masked_fill(seen[:, None] == 0, -1e30)
            hidden = hidden + scores.softmax(-1) @ hidden
        return BaseModelOutput(last_hidden_state=self.norm(hidden))
'''


@pytest.fixture
def mutbert(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        checkpoints.toy(tmp_path, "AutoModel", "ToyAttention", max_position_embeddings=24)
    checkpoints.bpe_tokenizer(tmp_path)
    code = tmp_path / "modeling_toy.py"
    code.write_text(code.read_text() + ONE_HOT)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("modeling_toy.ToyAttention", "modeling_toy.ToyOneHot"))
    return tmp_path


@pytest.mark.parametrize("preset", ["normalized", "reference"])
def test_mutbert_reads_one_hot_ids(mutbert, preset):
    from tokenizers import Tokenizer

    encoder = encoder_of("mutbert", mutbert, preset=preset, trust_remote_code=True)
    module = checkpoints.toy_module(mutbert)
    model = module.ToyOneHot.from_pretrained(mutbert).eval()
    tokenizer = Tokenizer.from_file(str(mutbert / "tokenizer.json"))
    expected = []
    for sequence in SEQUENCES:
        ids = tokenizer.encode(sequence).ids
        if preset == "normalized" and len(ids) > 24:
            ids = [*ids[:23], ids[-1]]
        letters = torch.eye(len(checkpoints.BPE_VOCAB))[ids][None]
        with torch.no_grad():
            hidden = model(letters).last_hidden_state[0]
        # the official loop counts the special tokens and cuts nothing
        expected.append((hidden if preset == "reference" else hidden[1:-1]).mean(dim=0).numpy())
    expected = np.array(expected)
    assert np.abs(encoder.encode(SEQUENCES) - expected).max() / np.abs(expected).max() < 1e-5
    check_encoder(encoder, SEQUENCES[1:]).raise_if_failed()
    assert ("not cut" in str(encoder.info.settings["defect"])) == (preset == "reference")


def test_mutbert_runs_its_code_only_when_it_is_trusted(mutbert):
    with pytest.raises(EncoderError, match="trust_remote_code"):
        encoder_of("mutbert", mutbert)
