"""The rules of the token families, one record each.

What ``reference`` does is read from the extractors of GENEB; facts per model, such as token limits and published
defects, are in the registry. ``normalized`` feeds a model the same input and differs in pooling and padding alone.
"""

from __future__ import annotations

import re
from dataclasses import replace

from geneb_jax.encoder.families.base import Preset, Rule


def spaced(sequence: str) -> str:
    """``ACGU`` as ``A C G T``: one word per base, for tokenizers that split at spaces."""
    return " ".join(sequence.replace("U", "T"))


def plain_bases(sequence: str) -> str:
    """Every letter but A, C, G and T becomes N."""
    return re.sub("[^ACGT]", "N", sequence)


# a model whose auto_map may lack the headless class: the first one that is there is taken
_HEADS = ("AutoModel", "AutoModelForMaskedLM", "AutoModelForCausalLM")
_MASKED = Preset(special_tokens=True)
# models that cannot be told what is padding: alike lengths share a batch, where the official loop pads and goes on
_EQUAL = Preset(padding="equal")
_SEEN = Preset(
    padding="seen",
    side="tokenizer",
    defect="the model cannot be told what is padding, so a vector depends on its batch",
)

RULES: dict[str, tuple[str, Rule]] = {
    "nt-v1": ("ESM over 6-mers, CLS in front; the official loop's padding to the limit is masked", Rule()),
    "nt-v2": ("ESM-like with gated layers, the authors' code; as nt-v1", Rule(classes=_HEADS)),
    "dnabert-2": ("BERT with ALiBi over BPE, the authors' code", Rule(classes=_HEADS)),
    "dnabert-s": (
        "as DNABERT-2; the official loop builds a stock BERT and reads CLS",
        Rule(classes=_HEADS, reference=Preset(pooling="cls", stock_code=True)),
    ),
    "gena-lm": ("BERT over BPE with the norm in front of each layer, the authors' code", Rule(classes=_HEADS)),
    "hyenadna": (
        "long convolutions over single bases, the authors' code; no special tokens are fed",
        Rule(
            classes=("AutoModel", "AutoModelForSequenceClassification"),
            own_specials=False,
            normalized=_EQUAL,
            # the defect is in the registry
            reference=replace(_SEEN, cuda_dtype="bfloat16", defect=None),
        ),
    ),
    "caduceus": (
        "two-way Mamba over single bases, the authors' code; no special tokens are fed",
        Rule(classes=("AutoModel", "AutoModelForMaskedLM"), own_specials=False, normalized=_EQUAL, reference=_SEEN),
    ),
    "evo": (
        "StripedHyena over bytes, the authors' code; the state in front of the output layer",
        Rule(
            classes=("AutoModelForCausalLM",),
            head="backbone.unembed",
            own_specials=False,
            normalized=Preset(padding="equal", dtype="stored", cuda_dtype="stored"),
            reference=Preset(padding="alone", dtype="stored", cuda_dtype="stored"),
        ),
    ),
    "lucaone": (
        "transformer encoder over single bases, CLS and SEP, the authors' code",
        Rule(
            load_arguments=(("task_level", "token_level"), ("task_type", "embedding")),
            tokenizer_arguments=(("seq_type", "gene"),),
        ),
    ),
    "grover": ("BERT over BPE", Rule()),
    "generator": (
        "LLaMA over 6-mers: sequences are cut to a multiple of 6, and BOS is written in front",
        Rule(classes=("AutoModel", "AutoModelForCausalLM"), front=("bos",), multiple=6),
    ),
    "metagene": (
        "LLaMA over BPE; the official loop counts padding in the mean",
        Rule(
            reference=Preset(
                special_tokens=True, padding="counted", side="tokenizer", dtype="stored", cuda_dtype="stored"
            )
        ),
    ),
    "omnina": (
        "LLaMA over BPE; the official loop cuts nothing",
        Rule(reference=Preset(special_tokens=True, limited=False)),
    ),
    "genomeocean": (
        "Mistral over BPE; the official loop pads on the left",
        Rule(reference=Preset(special_tokens=True, side="left", cuda_dtype="bfloat16")),
    ),
    "omni-dna": ("OLMo over BPE, cut at 250 tokens", Rule(classes=_HEADS)),
    "gpt2-gene": ("GPT-2 over BPE; no special tokens are fed", Rule(own_specials=False, reference=Preset())),
    "deepgene": (
        "RoFormer over BPE, with CLS and SEP both in front",
        Rule(front=(1, 2), own_specials=False, tokenizer_file=True),
    ),
    "splicebert": (
        "BERT over single bases; longer inputs in windows of 1,024 bases, 512 apart, averaged",
        Rule(
            text=spaced,
            window=1024,
            stride=512,
            reference=Preset(special_tokens=True, cuda_dtype="autocast-bfloat16"),
        ),
    ),
}

# families whose model is made by an author's package (`geneb_jax.encoder.families.packages`)
PACKAGE_RULES: dict[str, tuple[str, Rule]] = {
    "dnagpt": (
        "GPT over 6-mers, <R> in front; read after the final norm",
        Rule(reference=Preset(special_tokens=True, cuda_dtype="float16")),
    ),
    "janusdna": (
        "two-way Mamba with experts over single bases; the official loop pads every input to 1,024",
        Rule(normalized=_EQUAL, reference=replace(_SEEN, side="right", to_limit=True, cuda_dtype="bfloat16")),
    ),
    "eccdnamamba": (
        "two-way Mamba over BPE",
        Rule(normalized=_EQUAL, reference=replace(_SEEN, special_tokens=True)),
    ),
    "genomics-fm": (
        "BERT over BPE; the official loop reads CLS",
        Rule(text=plain_bases, reference=Preset(pooling="cls")),
    ),
    "biofm": (
        "Mistral over BioTokens, CLS and SEP around; the official loop reads one row, counted from the wrong end",
        Rule(
            text=spaced,
            reference=Preset(
                pooling="counted-row",
                mask=False,
                padding="seen",
                side="left",
                special_tokens=True,
                dtype="bfloat16",
                cuda_dtype="bfloat16",
            ),
        ),
    ),
}
