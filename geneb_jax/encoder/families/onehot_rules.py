"""The rules of models that read one-hot letters: Enformer, SPACE and MutBERT. Imports no model.

MutBERT is a token model whose ids are made one-hot. Enformer and SPACE read a window of fixed length with the
sequence in its middle and N, all zero, around it, and give a vector for each bin of 128 bases in the middle part of
the window. GENEB's extractors average all 896 bins, most of which hold nothing but N for any of its tasks; the
normalized preset averages the bins that hold a base of the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.encoder.families.base import PRESET_OPTION, SOURCE_OPTIONS, Preset, Rule
from geneb_jax.encoder.spec import Option


@dataclass(frozen=True)
class Bins:
    """A model over bins: the module that has its code, and where that comes from.

    ``tf_gamma``: the weights were trained with TensorFlow's gamma features of positions, which the code has for
    windows of 1,536 bins. GENEB's extractor does without them.
    """

    summary: str
    module: str
    install: str
    tf_gamma: bool = False
    defect: str | None = None


BIN_OPTIONS = (
    PRESET_OPTION,
    *SOURCE_OPTIONS,
    Option("device", str, "auto", "auto, cpu, cuda or cuda:N", changes_vectors=False),
    Option("batch_rows", int, 1, "windows in one batch", changes_vectors=False),
)

BINS: dict[str, Bins] = {
    "enformer": Bins(
        "convolutions and attention over a window of 196,608 bases; the trunk, averaged over bins",
        "enformer_pytorch",
        # its wheel asks for one old version of transformers, and runs with new ones
        "pip install --no-deps enformer-pytorch && pip install 'geneb_jax[hf]' einops polars pyfaidx",
        tf_gamma=True,
        defect="the window is taken to be 196,608 bases, as in the extractor's other versions",
    ),
    "space": Bins(
        "Enformer with experts over a window of 131,072 bases; the trunk, averaged over bins",
        "model.modeling_space",
        "clone https://github.com/ZhuJiwei111/SPACE and put its folder on PYTHONPATH; "
        "pip install 'geneb_jax[hf]' einops pandas wandb",
    ),
}

ONE_HOT_TOKENS: dict[str, tuple[str, Rule]] = {
    "mutbert": (
        "BERT with rotary positions over one-hot bases, the authors' code; the official loop cuts nothing",
        Rule(reference=Preset(special_tokens=True, limited=False)),
    ),
}
