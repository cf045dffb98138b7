"""The rules of the token families, one record each.

What ``reference`` does is read from the extractors of GENEB (the revision that the published tables name); facts
per model, such as token limits and known defects, are in the registry.
"""

from __future__ import annotations

import re

from geneb_jax.encoder.families.base import Preset, Rule


def spaced(sequence: str) -> str:
    """``ACGU`` as ``A C G T``: one word per base, for tokenizers that split at spaces."""
    return " ".join(sequence.replace("U", "T"))


def plain_bases(sequence: str) -> str:
    """Every letter but A, C, G and T becomes N."""
    return re.sub("[^ACGT]", "N", sequence)


_HEADS = ("AutoModel", "AutoModelForMaskedLM", "AutoModelForCausalLM")
# a model that cannot be told what is padding: alike lengths in one batch, where the official loop pads and goes on
_UNMASKED = "padding reaches the model, which is not told of it, so a vector depends on its batch"
_ALIKE = Preset(padding="equal")
_SEEN = Preset(special_tokens=True, padding="seen", side="tokenizer", defect=_UNMASKED)
_BF16 = Preset(special_tokens=True, cuda_dtype="bfloat16")

RULES: dict[str, tuple[str, Rule]] = {
    "nt-v1": ("ESM encoder over 6-mers, CLS in front", Rule(classes=("AutoModel", "AutoModelForMaskedLM"))),
    "nt-v2": ("ESM-like encoder with gated layers, the authors' code", Rule(classes=_HEADS)),
    "gpt2-gene": ("GPT-2 over BPE", Rule()),
}
