"""What a family of models is: its rule as a record, the presets, the options. Imports no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from geneb_jax.encoder.info import Encoder
from geneb_jax.encoder.kinds import COMPILE, RANDOM_WEIGHTS
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import EncoderSpec, Option

PRESETS = ("normalized", "reference")


@dataclass(frozen=True)
class Preset:
    """How token vectors become one vector, and what a batch looks like.

    ``padding`` is one of:

    - ``masked``: batches by length; the model is told what is padding, and it never counts
    - ``equal``: batches of equal lengths, for models that cannot be told
    - ``seen``: batches of ``batch_rows`` in the order given; the model sees the padding, the pooling does not
    - ``counted``: the same, and the padding is pooled too
    - ``alone``: one sequence at a time

    ``pooling`` is one of `hf_model.pool`'s, or ``counted-row``. ``side`` is where padding goes: right, left, or where
    the tokenizer puts it; ``to_limit`` pads up to the token limit. ``limited=False``: nothing is cut. ``cuda_dtype``
    is the arithmetic on a GPU and ``dtype`` elsewhere; ``stored`` is what the files hold, ``autocast-`` leaves the
    weights as they are. ``stock_code``: the authors' code is not run, and weights that transformers' own class does
    not find stay random. ``mask=False``: the model is not told of the padding although it could be. ``defect`` names
    what is wrong, beyond the registry's text.
    """

    pooling: str = "mean"
    special_tokens: bool = False
    padding: str = "masked"
    side: str = "right"
    to_limit: bool = False
    limited: bool = True
    dtype: str = "float32"
    cuda_dtype: str = "float32"
    stock_code: bool = False
    mask: bool = True
    defect: str | None = None


@dataclass(frozen=True)
class Rule:
    """How one family reads a sequence.

    ``classes``: transformers' auto classes to try, in this order. ``front``: special tokens by id, or by the name of
    the tokenizer's attribute, put in front beside the tokenizer's own; ``own_specials=False``: instead of them.
    ``multiple``: sequences are cut to a whole number of so many bases. ``window``, ``stride``: longer sequences are
    read in windows of so many tokens, whose vectors are averaged. ``output`` names a head to be taken off.
    """

    normalized: Preset = Preset()
    reference: Preset = Preset(special_tokens=True)
    classes: tuple[str, ...] = ("AutoModel",)
    load_arguments: tuple[tuple[str, str], ...] = ()
    tokenizer_arguments: tuple[tuple[str, str], ...] = ()
    tokenizer_file: bool = False
    text: Callable[[str], str] = str
    front: tuple[int | str, ...] = ()
    own_specials: bool = True
    multiple: int = 1
    window: int | None = None
    stride: int | None = None
    head: str | None = None
    note: str = ""

    def preset(self, name: str) -> Preset:
        """The preset of that name."""
        return self.reference if name == "reference" else self.normalized


@dataclass(frozen=True)
class Family:
    """A loading rule under its key.

    ``load`` is called as ``load(family, entry, spec, options)``, options still unresolved.
    ``options`` are those it takes.
    """

    key: str
    summary: str
    load: Callable[[Family, ModelEntry, EncoderSpec, Mapping[str, object]], Encoder]
    options: tuple[Option, ...]
    rule: Rule | None = None


PRESET_OPTION = Option("preset", str, "normalized", "normalized, or reference: what GENEB's extractor does", PRESETS)
SOURCE_OPTIONS = (
    Option("folder", str, None, "a local checkpoint in the hub's layout, instead of the hub", (), False),
    Option("revision", str, None, "commit on the hub (default: the registry's)", (), False),
    Option("trust_remote_code", bool, False, "run Python code that comes with the model", (), False),
    Option("allow_pickle", bool, False, "read .bin weights, a format that can hide code", (), False),
)
TOKEN_OPTIONS = (
    PRESET_OPTION,
    Option("pooling", str, None, "mean, cls, last or max (default: the preset's)", ("mean", "cls", "last", "max")),
    Option("layer", str, "last", "last, mid, or a number: 0 = input embeddings, -1 = last"),
    Option("max_tokens", int, None, "token limit, special tokens included (default: the model's own)"),
    Option("dtype", str, None, "arithmetic (default: the preset's)", ("float32", "bfloat16", "float16")),
    *SOURCE_OPTIONS,
    Option("device", str, "auto", "auto, cpu, cuda or cuda:N", changes_vectors=False),
    Option("batch_tokens", int, None, "most tokens in one batch, padding included", changes_vectors=False),
    Option(
        "batch_rows", int, None, "sequences in one batch, where a reference vector depends on its batch (default 4)"
    ),
)
# of models that transformers builds, whoever wrote their code
BUILT_OPTIONS = (*TOKEN_OPTIONS, RANDOM_WEIGHTS, COMPILE)

# what these may not be in a preset that is somebody else's definition
FIXED_BY_REFERENCE: tuple[str, ...] = ("pooling", "layer", "max_tokens")
