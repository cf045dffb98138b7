"""Families whose model is made by an author's own package: what has to be importable, and the adapter to it.

A package takes over as soon as Python finds it; none is imported before, and none is a dependency. The calls are
those of GENEB's extractors. To connect another one, add its `Package` to `PACKAGES` under the key of its family.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from geneb_jax.encoder.counting import Written
from geneb_jax.encoder.families.base import Family
from geneb_jax.encoder.families.loader import find_entry_source, resolved, working_dtype
from geneb_jax.encoder.families.loading import Network, OneByOne, Read, torch_dtype
from geneb_jax.encoder.families.rules import plain_bases, spaced
from geneb_jax.encoder.families.token_encoder import TokenEncoder
from geneb_jax.encoder.hf_code import refuse_own_code
from geneb_jax.encoder.hf_files import check_files
from geneb_jax.encoder.hf_source import Source, digest_folder
from geneb_jax.encoder.hf_tokens import Template, find_template
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import EncoderSpec
from geneb_jax.errors import EncoderError

_PICKLES = ("*.pth", "*.pt", "*.ckpt", "*.bin")
_DNAGPT_TOKENS = (*map(str, range(10)), *"+-*/=&|!", *"MBPRIKLOQSUVWYXZ")


@dataclass(frozen=True)
class Loaded:
    """What an adapter gives: see `Network`."""

    tokenizer: Any
    template: Template
    model: Any
    read: Read
    filler: int
    takes_mask: bool
    limit: int | None = None
    padding_side: str = "right"


@dataclass(frozen=True)
class Request:
    """What an adapter gets: the files, the model asked for, and what the user allowed."""

    folder: Path
    model: str
    where: str
    trust: bool
    allow_pickle: bool
    dtype: Any


@dataclass(frozen=True)
class Package:
    """An author's package: the module that has to be importable, where it comes from, and the adapter to it.

    ``on_hub``: the weights are in the hub's layout; else they are one file in a folder of the user's.
    """

    module: str
    repository: str
    adapt: Callable[[Request], Loaded]
    on_hub: bool = False


def load(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> TokenEncoder:
    """The encoder of a model that its authors' package makes. Raises UsageError and EncoderError."""
    where = f"encoder {spec.text!r}"
    package = PACKAGES[family.key]
    if not _importable(package.module):
        raise EncoderError(
            f"{entry.display} runs in its authors' own code, and Python finds no module {package.module!r}",
            where=where,
            cure=f"install {package.repository}, or clone it and put the folder that holds "
            f"{package.module.split('.')[0]} on PYTHONPATH; also needed: {entry.install}",
        )
    values = resolved(family, spec, options)
    pickle, dtype = bool(values["allow_pickle"]), working_dtype(family, values)
    if package.on_hub:
        source = find_entry_source(entry, values, where=where)
    else:
        source = _folder_source(entry, str(values["folder"] or ""), where=where, allow_pickle=pickle)
    request = Request(source.folder, entry.model, where, bool(values["trust_remote_code"]), pickle, torch_dtype(dtype))
    try:
        made = package.adapt(request)
    except EncoderError:
        raise
    except Exception as error:  # other people's code can fail in any way
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(
            f"the package {package.module!r} cannot load {entry.display}: {first}",
            where=f"{where}: {source.folder}",
            cure=f"check the files, and that the package is the one of {package.repository}",
        ) from error
    network = Network(
        tokenizer=made.tokenizer,
        template=made.template,
        model=made.model.eval(),
        read=made.read,
        takes_mask=made.takes_mask,
        limit=made.limit,
        filler=made.filler,
        padding_side=made.padding_side,
        kind=package.module,
        vocabulary=None,
        dtype=dtype,
        shows_layers=False,
    )
    encoder = TokenEncoder(entry, family, network, source, values)
    encoder.reload = lambda: load(family, entry, spec, {**options, "dtype": "float32"})
    return encoder


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that holds it
        return False


def _folder_source(entry: ModelEntry, folder: str, *, where: str, allow_pickle: bool) -> Source:
    path = Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise EncoderError(
            f"there is no folder {folder!r}" if folder else f"{entry.display} is not on the hub",
            where=where,
            cure=f"download the weights from {entry.weights_source} and add folder=FOLDER",
        )
    path = path.resolve()
    check_files(path, where=where)
    weights = weight_file(path, where=where, allow_pickle=allow_pickle)
    safe = weights.suffix == ".safetensors"
    return Source(path, path.name, digest_folder(path, pickle=not safe), safe)


def weight_file(folder: Path, *, where: str, allow_pickle: bool) -> Path:
    """The one file of weights in a folder. Raises EncoderError where there is none, or several, or a pickle."""
    found = sorted(folder.glob("*.safetensors")) or sorted(p for pattern in _PICKLES for p in folder.glob(pattern))
    if len(found) != 1:
        raise EncoderError(
            f"the folder holds {len(found)} files of weights, where one is read",
            where=f"{where}: {folder}",
            cure="keep the file of this model alone in its folder",
        )
    if found[0].suffix != ".safetensors" and not allow_pickle:
        raise EncoderError(
            "the model has no weights in safetensors format",
            where=f"{where}: {found[0]}",
            cure="pickled weights can run hidden code when they are read: add allow_pickle=true if you trust them",
        )
    return found[0]


def _load_weights(model: Any, request: Request, strip: Sequence[str] = ()) -> None:
    """Fill a model from its file of weights. Raises EncoderError where some are missing."""
    import torch
    from safetensors.torch import load_file

    file = weight_file(request.folder, where=request.where, allow_pickle=request.allow_pickle)
    # weights_only: the restricted unpickler, which builds tensors and plain containers alone
    state = (
        load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu", weights_only=True)
    )
    tensors: Any = state.get("model", state.get("state_dict", state))
    named = {}
    for name, value in tensors.items():
        short = name
        for prefix in strip:
            short = short.removeprefix(prefix)
        named[short] = value
    missing = model.load_state_dict(named, strict=False).missing_keys
    if missing:
        raise EncoderError(
            f"{len(missing)} weights of {type(model).__name__} are not in the file and would be random, "
            f"such as {missing[0]}",
            where=f"{request.where}: {file}",
            cure="check that the file is of this model",
        )


def _plain(call: Callable[[Any, dict[str, Any]], Any]) -> Read:
    """A reader of the last layer, the only one that these models show."""

    def read(model: Any, inputs: dict[str, Any], layers: Sequence[int | None]) -> dict[int | None, Any]:
        import torch

        with torch.inference_mode():
            return {None: call(model, inputs)}

    return read


def _dnagpt(request: Request) -> Loaded:
    tokenizers = importlib.import_module("dna_gpt.tokenizer")
    models = importlib.import_module("dna_gpt.model")
    kmers = tokenizers.KmerTokenizer(6, list(_DNAGPT_TOKENS), request.model != "dna_gpt0.1b_h")
    model = models.DNAGPT.from_name(request.model, vocab_size=len(kmers))
    _load_weights(model, request)

    def tokens(text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": kmers.encode(text, to_tensor=False)}

    return Loaded(
        OneByOne(tokens),
        Template((kmers.encode("<R>", to_tensor=False)[0],), ()),
        model.to(request.dtype),
        # up to the final norm: the published forward goes on to the heads and returns only those
        _plain(lambda model, inputs: model._transformer_impl(model._embedding_impl(inputs["input_ids"]))),
        filler=kmers.pad_id,
        takes_mask=True,  # causal and padded on the right: no token sees the padding behind it
        limit=getattr(model, "max_len", None),
    )


def _janusdna(request: Request) -> Loaded:
    import torch

    tokenizers = importlib.import_module("caduceus.tokenization_caduceus")
    configurations = importlib.import_module("janusdna.configuration_janusdna")
    models = importlib.import_module("janusdna.modeling_janusdna")
    tokenizer = tokenizers.CaduceusTokenizer(model_max_length=1024, padding_side="right")
    config = json.loads(next(request.folder.glob("*.json")).read_text(encoding="utf-8"))["config"]
    config["bidirectional"] = str(config["bidirectional"]).strip().lower().strip(",") == "true"
    model = models.JanusDNAModel(configurations.JanusDNAConfig(**config))
    _load_weights(model, request, strip=("model.model.", "model.", "module."))
    model.final_mlp = torch.nn.Identity()
    return Loaded(
        tokenizer,
        Template((), ()),
        model.to(request.dtype),
        _plain(lambda model, inputs: model(**inputs, return_dict=True).last_hidden_state),
        filler=tokenizer.pad_token_id,
        takes_mask=True,
        limit=1024,
    )


def _eccdnamamba(request: Request) -> Loaded:
    from transformers import AutoTokenizer

    if not request.trust:
        refuse_own_code(request.folder, where=request.where)
    module = importlib.import_module("BiMambaForMaskedLM")
    tokenizer = AutoTokenizer.from_pretrained(request.folder, local_files_only=True, trust_remote_code=request.trust)
    model = module.BiMambaForMaskedLM.from_pretrained(
        request.folder, local_files_only=True, trust_remote_code=request.trust
    )
    for direction in ("mamba_forward", "mamba_backward"):
        if hasattr(model, direction):
            getattr(model, direction).use_mem_eff_path = False
    return Loaded(
        tokenizer,
        find_template(tokenizer, where=request.where),
        model.to(request.dtype),
        _plain(lambda model, inputs: model(**inputs, return_dict=True).hidden_states),
        filler=tokenizer.pad_token_id or 0,
        takes_mask=True,
        padding_side=tokenizer.padding_side,
    )


def _genomics_fm(request: Request) -> Loaded:
    from transformers import AutoTokenizer

    configurations = importlib.import_module("genomics_fm.configuration_bert")
    layers = importlib.import_module("genomics_fm.bert_layers")
    vars(layers)["flash_attn_qkvpacked_func"] = None  # needs a GPU's kernels; the plain code is the same function
    tokenizer = Written(AutoTokenizer.from_pretrained(request.folder, local_files_only=True), plain_bases)
    config = configurations.BertConfig.from_pretrained(request.folder)
    model = layers.BertForMaskedLM(config)
    _load_weights(model, request)

    def call(model: Any, inputs: dict[str, Any]) -> Any:
        import torch

        kinds = torch.zeros_like(inputs["input_ids"])
        return model.bert(**inputs, token_type_ids=kinds)[0]

    return Loaded(
        tokenizer,
        find_template(tokenizer, where=request.where),
        model.to(request.dtype),
        _plain(call),
        filler=tokenizer.pad_token_id or 0,
        takes_mask=True,
        limit=512,
    )


def _biofm(request: Request) -> Loaded:
    package = importlib.import_module("biofm_eval")
    model = package.AnnotatedModel.from_pretrained(str(request.folder), torch_dtype=request.dtype)
    tokenizer = Written(package.AnnotationTokenizer.from_pretrained(str(request.folder)), spaced)
    return Loaded(
        tokenizer,
        find_template(tokenizer, where=request.where),
        model,
        _plain(lambda model, inputs: model(**inputs, output_hidden_states=True).hidden_states[-1]),
        filler=tokenizer.pad_token_id,
        takes_mask=True,
        limit=tokenizer.model_max_length,
        padding_side="left",
    )


PACKAGES: dict[str, Package] = {
    "dnagpt": Package("dna_gpt", "https://github.com/TencentAILabHealthcare/DNAGPT", _dnagpt),
    "janusdna": Package("janusdna.modeling_janusdna", "https://github.com/Qihao-Duan/JanusDNA", _janusdna),
    "eccdnamamba": Package("BiMambaForMaskedLM", "https://github.com/zzq1zh/eccDNAMamba", _eccdnamamba, on_hub=True),
    "genomics-fm": Package("genomics_fm", "https://github.com/terry-r123/Genomics-FM", _genomics_fm),
    "biofm": Package("biofm_eval", "https://github.com/m42-health/biofm-eval", _biofm, on_hub=True),
}
