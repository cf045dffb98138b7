"""The kinds of encoder that a string can name: their grammar, options and homes. Imports no encoder."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.encoder.spec import Option


@dataclass(frozen=True)
class Kind:
    """One kind; ``home`` is ``module:function`` of its loader, called as ``f(spec, options) -> Encoder``."""

    name: str
    form: str
    summary: str
    example: str
    home: str
    options: tuple[Option, ...]
    needs: str | None = None


KMER = Kind(
    name="kmer",
    form="kmer:K",
    summary="How often each word of K letters occurs; K from 1 to 8, width 4^K.",
    example="kmer:6,canonical=true",
    home="geneb_jax.encoder.kmer:load",
    options=(
        Option("counts", bool, False, "counts instead of frequencies (which sum to 1)"),
        Option("canonical", bool, False, "strand-symmetric: a word and its reverse complement share a column"),
    ),
)

COMPOSITION = Kind(
    name="composition",
    form="composition",
    summary="Length, GC share, shares of letters and of neighbouring pairs: the baseline of 22 numbers.",
    example="composition",
    home="geneb_jax.encoder.composition:load",
    options=(),
)

ONEHOT = Kind(
    name="onehot",
    form="onehot[:LENGTH]",
    summary="The letters themselves at LENGTH positions (200 if left out), width 4 x LENGTH.",
    example="onehot:101,align=left",
    home="geneb_jax.encoder.onehot:load",
    options=(
        Option(
            "align",
            str,
            "center",
            "which part is kept of a longer sequence, and where a shorter one lies",
            ("center", "left", "right"),
        ),
        Option(
            "ambiguous",
            str,
            "fraction",
            "N and other ambiguity letters: equal shares of their bases, or all zero",
            ("fraction", "zero"),
        ),
    ),
)

RANDOM_CONV = Kind(
    name="random-conv",
    form="random-conv:WIDTH",
    summary="A convolutional network with random weights: the control for what training adds.",
    example="random-conv:256,seed=1",
    home="geneb_jax.encoder.random_conv:load",
    options=(Option("seed", int, 0, "which random weights"),),
)

RANDOM_WEIGHTS = Option("random_weights", int, None, "the model untrained: random weights, this seed; a control")
COMPILE = Option("compile", bool, False, "torch.compile the model: half a minute or more first, then faster", (), False)

HF = Kind(
    name="hf",
    form="hf:FOLDER or hf:ORG/NAME[@REVISION]",
    summary="A pretrained model in the Hugging Face layout: a local folder, or a hub name.",
    example="hf:./my-model,pooling=cls,dtype=bfloat16",
    home="geneb_jax.encoder.hf:load",
    needs="pip install 'geneb_jax[hf]'",
    options=(
        Option("pooling", str, "mean", "how token vectors become one vector", ("mean", "cls", "last", "max")),
        Option("layer", str, "last", "last, mid, or a number: 0 = input embeddings, -1 = last"),
        Option("special_tokens", bool, False, "count special tokens such as [CLS] in the pooling"),
        Option("add_special_tokens", bool, True, "feed the model its special tokens"),
        Option("overflow", str, "truncate", "sequences past the limit", ("truncate", "windows", "error")),
        Option("max_tokens", int, None, "token limit, special tokens included (default: the model's own)"),
        Option("dtype", str, "float32", "arithmetic of the model", ("float32", "bfloat16", "float16")),
        Option("attention", str, "auto", "attention code of transformers", ("auto", "eager", "sdpa")),
        Option("device", str, "auto", "auto, cpu, cuda:N, several joined by +, or all (CUDA)", changes_vectors=False),
        Option("batch_tokens", int, None, "most tokens in one batch, padding included", changes_vectors=False),
        RANDOM_WEIGHTS,
        COMPILE,
        Option("padding", bool, True, "pad to batch unequal lengths; false: equal ones only", (), False),
        Option("trust_remote_code", bool, False, "run Python code that comes with the model", (), False),
        Option("allow_pickle", bool, False, "read .bin weights, a format that can hide code", (), False),
    ),
)

_POOLING = Option("pooling", str, "mean", "how the vectors of the bases become one", ("mean", "max"))

OPENSPLICEAI = Kind(
    name="openspliceai",
    form="openspliceai:FOLDER_OR_FILE",
    summary="OpenSpliceAI's splice-site network, in JAX: 32 numbers per base, pooled.",
    example="openspliceai:./models,context=400",
    home="geneb_jax.encoder.flax.splice_load:load_openspliceai",
    needs="its weights (GPL-3.0), and torch to read them: pip install 'geneb_jax[hf]'",
    options=(
        _POOLING,
        Option("context", int, None, "which file of a folder: 80, 400, 2000 or 10000", changes_vectors=False),
    ),
)

SPLICEAI = Kind(
    name="spliceai",
    form="spliceai[:1..5|all|FILE]",
    summary="SpliceAI's networks (context 10,000), in JAX: the first, another, or all five side by side.",
    example="spliceai:all",
    home="geneb_jax.encoder.flax.splice_load:load_spliceai",
    needs="pip install --no-deps spliceai && pip install 'geneb_jax[keras]'; the authors restrict the use of "
    "its weights, so read their licence first",
    options=(_POOLING,),
)

DEEPAC = Kind(
    name="deepac",
    form="deepac[:FILE]",
    summary="DeePaC-vir's strand-symmetric network for reads of 250 bases, in JAX; width 256.",
    example="deepac,overflow=windows",
    home="geneb_jax.encoder.flax.deepac:load",
    needs="pip install --no-deps deepacvir && pip install 'geneb_jax[keras]'",
    options=(
        Option(
            "overflow",
            str,
            "truncate",
            "longer sequences: the first 250 bases, the mean of reads that cover them, or an error",
            ("truncate", "windows", "error"),
        ),
    ),
)

CUSTOM = Kind(
    name="module:Class",
    form="MODULE:CLASS",
    summary="Your own class with `width` and `encode(sequences)`, imported from the current folder.",
    example="my_encoder:MyModel,folder=./weights",
    home="geneb_jax.encoder.custom:load",
    options=(),
)

MODEL = Kind(
    name="MODEL",
    form="MODEL",
    summary="A model of the GENEB leaderboard, by its name or the beginning of it.",
    example="DNABERT-2,preset=reference",
    home="geneb_jax.encoder.registry.loaded:load",
    needs="what `geneb encoders NAME` says for it",
    options=(),  # each model's family has its own: `geneb_jax.encoder.families`
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (KMER, COMPOSITION, ONEHOT, RANDOM_CONV, HF, MODEL, OPENSPLICEAI, SPLICEAI, DEEPAC, CUSTOM)
}
