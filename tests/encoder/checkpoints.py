"""Small random checkpoints of every token family in the hub's folder layout, with matching tokenizers.

``build(key, folder)`` writes one. Models are transformers' own classes where it has them; for families that run the
authors' code, a folder with ``auto_map`` and a small model of the same kind (`TOY`) stands in for it.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.encoder.toy_tokenizers import TOY_TOKENIZERS

WIDTH = 16
SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "<s>", "</s>"]
LETTERS = list("ACGTN")
MERGES = [("A", "A"), ("C", "G"), ("T", "AA"), ("G", "A"), ("CG", "T"), ("AA", "C")]
BPE_VOCAB = SPECIALS + LETTERS + ["".join(pair) for pair in MERGES]
ESM_SPECIALS = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
SIXMERS = ["".join(word) for word in itertools.product("ACGT", repeat=6)]
ESM_VOCAB = ESM_SPECIALS + SIXMERS + LETTERS
LIMIT = 40

# the stand-in for authors' code: a convolution that cannot be told of padding, and attention that can
TOY = '''
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput, MaskedLMOutput


class ToyConfig(PretrainedConfig):
    model_type = "toy"

    def __init__(self, vocab_size=18, hidden_size=16, num_hidden_layers=2, max_position_embeddings=None, **kwargs):
        self.task_level, self.task_type = kwargs.pop("task_level", "seq_level"), kwargs.pop("task_type", "none")
        super().__init__(**kwargs)
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.max_position_embeddings = max_position_embeddings


class ToyBase(PreTrainedModel):
    config_class = ToyConfig
    base_model_prefix = "toy"

    def _init_weights(self, module):
        for weight in module.parameters(recurse=False):
            weight.data.normal_(0, 0.5)


class ToyConv(ToyBase):
    def __init__(self, config):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.mix = nn.ModuleList(
            nn.Conv1d(config.hidden_size, config.hidden_size, 7, padding=3) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def forward(self, input_ids, output_hidden_states=None, return_dict=None):
        hidden = self.words(input_ids)
        states = [hidden]
        for mix in self.mix:
            hidden = hidden + torch.tanh(mix(hidden.transpose(1, 2)).transpose(1, 2))
            states.append(hidden)
        states[-1] = hidden = self.norm(hidden)
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(states) if output_hidden_states else None)


class ToyAttention(ToyBase):
    def __init__(self, config):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.mix = nn.ModuleList(nn.Linear(config.hidden_size, config.hidden_size) for _ in range(2))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, output_hidden_states=None, return_dict=None, **kwargs):
        hidden = self.words(input_ids)
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states = [hidden]
        for mix in self.mix:
            scores = (mix(hidden) @ hidden.transpose(1, 2) / 4).masked_fill(seen[:, None] == 0, -1e30)
            hidden = hidden + scores.softmax(-1) @ hidden
            states.append(hidden)
        states[-1] = hidden = self.norm(hidden)
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(states) if output_hidden_states else None)


class ToyTuple(ToyAttention):
    """Returns a tuple and shows no layers, as DNABERT-2's code."""

    def forward(self, input_ids, attention_mask=None, **kwargs):
        hidden = super().forward(input_ids, attention_mask).last_hidden_state
        return hidden, hidden[:, 0]


class ToyTask(ToyAttention):
    """Refuses to be loaded without the arguments of LucaOne."""

    def __init__(self, config):
        if (config.task_level, config.task_type) != ("token_level", "embedding"):
            raise ValueError("task_level")
        super().__init__(config)


class ToyForMaskedLM(ToyBase):
    def __init__(self, config):
        super().__init__(config)
        self.toy = (ToyConv if getattr(config, "conv", False) else ToyAttention)(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, output_hidden_states=None, **kwargs):
        out = self.toy(input_ids, output_hidden_states=output_hidden_states, **kwargs)
        return MaskedLMOutput(logits=self.lm_head(out.last_hidden_state), hidden_states=out.hidden_states)


class ToyUnembed(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(config.vocab_size, config.hidden_size))

    def unembed(self, hidden):
        return hidden @ self.weight.T


class ToyStriped(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.inner = ToyConv(config)
        self.unembed = ToyUnembed(config)

    def forward(self, input_ids):
        return self.unembed.unembed(self.inner(input_ids).last_hidden_state), None


class ToyForCausalLM(ToyBase):
    """As Evo: the logits of a backbone, and no hidden states."""

    def __init__(self, config):
        super().__init__(config)
        self.backbone = ToyStriped(config)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, return_dict=None):
        return CausalLMOutput(logits=self.backbone(input_ids)[0])
'''


def toy_module(folder: Path):
    """The folder's model code, imported by its path and not through transformers."""
    spec = importlib.util.spec_from_file_location(f"toy_{abs(hash(str(folder)))}", folder / "modeling_toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bpe_ids(sequence: str) -> list[int]:
    """Byte-pair encoding as its definition has it: merge by merge, from left to right."""
    words = list(sequence)
    for pair in MERGES:
        at = 0
        while at + 1 < len(words):
            if (words[at], words[at + 1]) == pair:
                words[at : at + 2] = ["".join(pair)]
            at += 1
    return [BPE_VOCAB.index(word) for word in words]


def bpe_tokenizer(folder: Path, *, around: str | None = "[CLS] $A [SEP]", **names) -> None:
    """A byte-pair tokenizer over `MERGES`; ``around`` is its template of special tokens."""
    vocab = {token: i for i, token in enumerate(BPE_VOCAB)}
    inner = Tokenizer(models.BPE(vocab, MERGES, unk_token="[UNK]"))
    if around:
        used = [token for token in SPECIALS if token in around.split()]
        inner.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=[(token, vocab[token]) for token in used]
        )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", **names}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **{k: v for k, v in named.items() if v is not None})
    tokenizer.save_pretrained(folder)


def word_tokenizer(folder: Path) -> None:
    """Words between spaces, CLS and SEP around, as a BERT tokenizer over single bases."""
    vocab = {token: i for i, token in enumerate([*SPECIALS[:5], *LETTERS])}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)


def python_tokenizer(folder: Path, name: str, **settings) -> None:
    """A tokenizer of the folder's own code."""
    (folder / "tokenization_toy.py").write_text(TOY_TOKENIZERS)
    settings |= {"auto_map": {"AutoTokenizer": [f"tokenization_toy.{name}", None]}, "tokenizer_class": name}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def toy(folder: Path, auto: str, name: str, *, weights_of: str | None = None, **config) -> None:
    """A checkpoint of `TOY` whose ``auto_map`` offers the class ``name`` as ``auto``."""
    (folder / "modeling_toy.py").write_text(TOY)
    module = toy_module(folder)
    settings = module.ToyConfig(vocab_size=len(BPE_VOCAB), **config)
    getattr(module, weights_of or name)(settings).save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    written["auto_map"] = {"AutoConfig": "modeling_toy.ToyConfig", auto: f"modeling_toy.{name}"}
    del written["task_level"], written["task_type"]
    (folder / "config.json").write_text(json.dumps(written))


def native(folder: Path, name: str, **config) -> None:
    """A checkpoint of one of transformers' own classes."""
    cls = getattr(transformers, name)
    sizes = {
        "vocab_size": len(BPE_VOCAB), "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": LIMIT, "pad_token_id": 0, "initializer_range": 0.5,
    }  # fmt: skip
    cls(cls.config_class(**{**sizes, **config})).save_pretrained(folder)


def esm(folder: Path) -> None:
    native(
        folder, "EsmForMaskedLM", vocab_size=len(ESM_VOCAB), pad_token_id=1, mask_token_id=2, token_dropout=True,
        max_position_embeddings=LIMIT + 2, position_embedding_type="absolute", emb_layer_norm_before=False,
    )  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(ESM_VOCAB))
    named = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<cls>", "mask_token": "<mask>"}
    settings = {"tokenizer_class": "EsmTokenizer", "model_max_length": LIMIT, "eos_token": None, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def gpt2(folder: Path) -> None:
    config = transformers.GPT2Config(
        vocab_size=len(BPE_VOCAB), n_embd=WIDTH, n_layer=2, n_head=2, n_positions=LIMIT, initializer_range=0.5,
        bos_token_id=5, eos_token_id=6,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    bpe_tokenizer(folder, around=None)


def llama(folder: Path, *, around: str | None = "<s> $A", **names) -> None:
    native(folder, "LlamaForCausalLM", num_key_value_heads=1)
    bpe_tokenizer(folder, around=around, bos_token="<s>", eos_token="</s>", **names)


def generator(folder: Path) -> None:
    native(folder, "LlamaForCausalLM", num_key_value_heads=1, vocab_size=4 + len(SIXMERS), pad_token_id=3)
    python_tokenizer(folder, "Kmers")


def mistral(folder: Path) -> None:
    native(folder, "MistralForCausalLM", num_key_value_heads=1)
    bpe_tokenizer(folder)


def olmo(folder: Path) -> None:
    native(folder, "OlmoForCausalLM", max_position_embeddings=300, eos_token_id=6)
    bpe_tokenizer(folder, around="$A </s>", eos_token="</s>")


def bert(folder: Path) -> None:
    native(folder, "BertForMaskedLM")
    bpe_tokenizer(folder, model_max_length=LIMIT)


def splicebert(folder: Path) -> None:
    native(folder, "BertForMaskedLM", vocab_size=10, max_position_embeddings=1026)
    word_tokenizer(folder)


def roformer(folder: Path) -> None:
    native(folder, "RoFormerForMaskedLM", type_vocab_size=1)
    bpe_tokenizer(folder, around=None)


def nt_v2(folder: Path) -> None:
    toy(folder, "AutoModelForMaskedLM", "ToyForMaskedLM")
    bpe_tokenizer(folder, around="[CLS] $A", model_max_length=LIMIT)


def dnabert2(folder: Path) -> None:
    toy(folder, "AutoModel", "ToyTuple")
    bpe_tokenizer(folder)


def dnabert_s(folder: Path) -> None:
    """A checkpoint that a stock BERT reads in part: the authors' code names its attention otherwise."""
    toy(folder, "AutoModel", "ToyTuple")
    bpe_tokenizer(folder)
    written = json.loads((folder / "config.json").read_text())
    written |= {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(written))


def gena_lm(folder: Path) -> None:
    toy(folder, "AutoModel", "ToyForMaskedLM")
    bpe_tokenizer(folder)


def hyenadna(folder: Path) -> None:
    toy(folder, "AutoModel", "ToyConv")
    python_tokenizer(folder, "Letters", padding_side="left", model_max_length=LIMIT)


def caduceus(folder: Path) -> None:
    toy(folder, "AutoModelForMaskedLM", "ToyForMaskedLM", conv=True)
    python_tokenizer(folder, "Letters", padding_side="left", model_max_length=LIMIT)


def evo(folder: Path) -> None:
    toy(folder, "AutoModelForCausalLM", "ToyForCausalLM")
    python_tokenizer(folder, "Letters", model_max_length=LIMIT)


def lucaone(folder: Path) -> None:
    toy(folder, "AutoModel", "ToyTask", weights_of="ToyAttention", max_position_embeddings=LIMIT)
    python_tokenizer(folder, "Gene")


BUILDERS = {
    "nt-v1": esm, "nt-v2": nt_v2, "dnabert-2": dnabert2, "dnabert-s": dnabert_s, "gena-lm": gena_lm,
    "hyenadna": hyenadna, "caduceus": caduceus, "evo": evo, "lucaone": lucaone, "grover": bert,
    "generator": generator, "metagene": llama, "omnina": lambda folder: llama(folder, pad_token=None),
    "genomeocean": mistral, "omni-dna": olmo, "gpt2-gene": gpt2, "deepgene": roformer, "splicebert": splicebert,
}  # fmt: skip


def build(key: str, folder: Path) -> Path:
    """Write the checkpoint of a family. Its weights follow from the key alone."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sorted(BUILDERS).index(key))
        BUILDERS[key](folder)
    return folder
