"""Stand-ins for authors' packages: their module names, classes and calls, over a small random model.

``write(key, root)`` makes ``root/code``, to be put on the import path, and ``root/weights``, the folder to load.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.encoder.checkpoints import bpe_tokenizer
from tests.encoder.toy_tokenizers import TOY_TOKENIZERS

NET = '''
import torch
from torch import nn


class Net(nn.Module):
    """A convolution over everything, padding included; with ``seen`` padding is zero."""

    def __init__(self, vocab, width=8, causal=False):
        super().__init__()
        self.words = nn.Embedding(vocab, width)
        self.mix = nn.Conv1d(width, width, 5, padding=4 if causal else 2)
        self.causal = causal
        for weight in self.parameters():
            nn.init.normal_(weight, 0, 0.5)

    def forward(self, ids, seen=None):
        hidden = self.words(ids)
        if seen is not None:
            hidden = hidden * seen[..., None]
        mixed = self.mix(hidden.transpose(1, 2)).transpose(1, 2)[:, : ids.shape[1]]
        return hidden + torch.tanh(mixed)
'''
LETTERS = f'''{TOY_TOKENIZERS}

class Words(Letters):
    """Letters with blanks between them or without, and special tokens on both sides."""

    def _tokenize(self, text, **kwargs):
        return text.split() if " " in text else list(text)

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [1, *token_ids_0, 2]
'''
CODE = {
    "dnagpt": {
        "dna_gpt/__init__.py": "",
        "dna_gpt/tokenizer.py": '''
import itertools
import re


class KmerTokenizer:
    def __init__(self, k, reserved, dynamic):
        self.tokens = [f"<{t}>" for t in reserved]
        for size in range(1 if dynamic else k, k + 1):
            self.tokens += ["".join(word) for word in itertools.product("NAGCT", repeat=size)]
        self.number = {token: i for i, token in enumerate(self.tokens)}
        self.k, self.pad_id = k, self.number["<P>"]

    def __len__(self):
        return len(self.tokens)

    def encode(self, text, max_len=-1, device=None, to_tensor=True):
        pieces = []
        for part in re.split("(<.>)", text):
            if part.startswith("<"):
                pieces.append(part)
            else:
                pieces += [part[i : i + self.k] for i in range(0, len(part), self.k)]
        return [self.number.get(piece, 0) for piece in pieces]
''',
        "dna_gpt/model/__init__.py": '''
from torch import nn
from net import Net


class DNAGPT(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.net, self.max_len = Net(vocab, causal=True), 12

    @classmethod
    def from_name(cls, name, vocab_size):
        assert name in ("dna_gpt0.1b_h", "dna_gpt3b_m")
        return cls(vocab_size)

    def _embedding_impl(self, tokens):
        return tokens

    def _transformer_impl(self, tokens):
        return self.net(tokens)

    def forward(self, tokens):
        raise RuntimeError("the heads are not wanted")
''',
    },
    "janusdna": {
        "caduceus/__init__.py": "",
        "caduceus/tokenization_caduceus.py": "from letters import Words as CaduceusTokenizer\n",
        "janusdna/__init__.py": "",
        "janusdna/configuration_janusdna.py": """
class JanusDNAConfig:
    def __init__(self, bidirectional, vocab):
        assert bidirectional is True
        self.vocab = vocab
""",
        "janusdna/modeling_janusdna.py": '''
from types import SimpleNamespace
from torch import nn
from net import Net


class JanusDNAModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.net, self.final_mlp = Net(config.vocab), nn.Linear(8, 8)

    def forward(self, input_ids, attention_mask, return_dict):
        return SimpleNamespace(last_hidden_state=self.final_mlp(self.net(input_ids)))
''',
    },
    "eccdnamamba": {
        "BiMambaForMaskedLM.py": '''
from types import SimpleNamespace
from safetensors.torch import load_file
from torch import nn
from net import Net


class BiMambaForMaskedLM(nn.Module):
    @classmethod
    def from_pretrained(cls, folder, local_files_only, trust_remote_code):
        model = cls()
        model.net = Net(18)
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model

    def forward(self, input_ids, attention_mask, return_dict):
        return SimpleNamespace(hidden_states=self.net(input_ids))
''',
    },
    "genomics-fm": {
        "genomics_fm/__init__.py": "",
        "genomics_fm/configuration_bert.py": """
class BertConfig:
    @classmethod
    def from_pretrained(cls, folder):
        return cls()
""",
        "genomics_fm/bert_layers.py": '''
from torch import nn
from net import Net


class BertForMaskedLM(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.net = Net(18)

    def bert(self, input_ids, attention_mask, token_type_ids):
        assert token_type_ids.shape == input_ids.shape
        return self.net(input_ids, attention_mask), None
''',
    },
    "biofm": {
        "biofm_eval.py": '''
from types import SimpleNamespace
from pathlib import Path
from safetensors.torch import load_file
from torch import nn
from letters import Words
from net import Net


class AnnotationTokenizer(Words):
    @classmethod
    def from_pretrained(cls, folder):
        return cls(model_max_length=40, padding_side="left")


class AnnotatedModel(nn.Module):
    @classmethod
    def from_pretrained(cls, folder, torch_dtype):
        model = cls()
        model.net = Net(9)
        model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
        return model.to(torch_dtype)

    def forward(self, input_ids, attention_mask=None, output_hidden_states=False):
        return SimpleNamespace(hidden_states=(None, self.net(input_ids, attention_mask)))
''',
    },
}  # fmt: skip
VOCAB = {"dnagpt": 15_659, "janusdna": 9, "eccdnamamba": 18, "genomics-fm": 18, "biofm": 9}


def net(key: str) -> torch.nn.Module:
    """The small model of a package, with the weights that `write` stores."""
    space: dict = {}
    exec(NET, space)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sorted(VOCAB).index(key))
        return space["Net"](VOCAB[key], causal=key == "dnagpt").eval()


def write(key: str, root: Path) -> tuple[Path, Path]:
    """The code and the weights of a package: two folders."""
    code, weights = root / "code", root / "weights"
    weights.mkdir(parents=True)
    for name, text in {**CODE[key], "net.py": NET, "letters.py": LETTERS}.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    prefix = "module." if key == "janusdna" else ""
    state = {f"{prefix}net.{name}": value for name, value in net(key).state_dict().items()}
    if key == "janusdna":
        state |= {"module.final_mlp.weight": torch.randn(8, 8), "module.final_mlp.bias": torch.randn(8)}
        (weights / "model.json").write_text(json.dumps({"config": {"bidirectional": "True,", "vocab": 9}}))
    if key in ("eccdnamamba", "genomics-fm"):
        bpe_tokenizer(weights, padding_side="left")
    if key in ("eccdnamamba", "biofm"):
        (weights / "config.json").write_text("{}")
    save_file(state, weights / "model.safetensors")
    return code, weights
