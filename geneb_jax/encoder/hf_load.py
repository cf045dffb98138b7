"""Loading a model and its tokenizer with transformers, without noise or surprise: what runs is what the files say."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import transformers

from geneb_jax.encoder.hf_advice import explain, told
from geneb_jax.encoder.hf_code import check_origin, code_named_by
from geneb_jax.encoder.hf_files import read_json
from geneb_jax.encoder.hf_source import Source
from geneb_jax.encoder.hf_state import direct, faithful
from geneb_jax.encoder.hf_weights import judge_names, read_files
from geneb_jax.errors import EncoderError

# parts of AutoModel classes that stand behind the hidden states and are never read here
UNREAD = ("pooler.", "contact_head.")
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "merges.txt")


class _NoLoadReport(logging.Filter):
    """Drops transformers' table of unused and missing weights: `pretrained` and its callers judge both."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    log: Any = transformers.utils.logging
    report = _NoLoadReport()
    had_bar = log.is_progress_bar_enabled()
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(report)
    log.disable_progress_bar()
    try:
        yield
    finally:
        logger.removeFilter(report)
        if had_bar:
            log.enable_progress_bar()


def load_tokenizer(source: Source, *, where: str, trust_remote_code: bool) -> Any:
    """The tokenizer of a model folder. Raises EncoderError, also where there is none."""
    if not any(next(source.folder.glob(pattern), None) for pattern in _TOKENIZER_FILES):
        # transformers would make up a tokenizer without a vocabulary
        raise EncoderError(
            "the folder holds no tokenizer",
            where=where,
            cure=source.fetch_again
            or "add the files that `tokenizer.save_pretrained(folder)` writes, such as tokenizer.json",
        )
    try:
        made = transformers.AutoTokenizer.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (Exception, SystemExit) as error:  # the files, and code that comes with them, can fail in any way
        raise explain("tokenizer", error, where=where, trusted=trust_remote_code, folder=source.folder) from error
    check_origin([made], source.folder, where=where)
    return made


def load_model(source: Source, *, where: str, dtype: str, attention: str, device: str, trust_remote_code: bool) -> Any:
    """The model without its task head, in evaluation mode, on its device.

    Raises EncoderError, also where weights of the model are missing from the files: transformers would
    fill them with random numbers.
    """
    chosen = {} if attention == "auto" else {"attn_implementation": attention}
    model, missing = pretrained(
        source, "AutoModel", chosen, where=where, dtype=getattr(torch, dtype), trust=trust_remote_code, unread=UNREAD
    )
    if missing:
        raise too_few(model, missing, source, where=where, trust=trust_remote_code)
    return ready(model, device)


def pretrained(
    source: Source,
    auto: str,
    arguments: Mapping[str, str],
    *,
    where: str,
    dtype: Any,
    trust: bool,
    unread: tuple[str, ...],
    lenient: bool = False,
) -> tuple[Any, list[str]]:
    """The model of a folder, and the names of weights that its files lack.

    ``auto`` names transformers' auto class, ``arguments`` are its further ones; ``unread`` are beginnings of names
    that nothing reads. Without ``lenient`` the files' other weights have to have a place too, and every number that
    is in no file is what the class computes. Raises EncoderError.
    """
    own_code = trust and bool(code_named_by(source.folder))
    settings = read_json(source.folder / "config.json")

    def build(chosen: Any) -> Any:
        return initialised(source, auto, None, arguments, where=where, trust=trust, dtype=chosen)

    first = None
    if own_code and not lenient:
        stated = settings.get("dtype") or settings.get("torch_dtype") or "float32"
        with contextlib.suppress(EncoderError):  # what it fails on, the library's way below fails on with more words
            # before the library's way, whose tensors without memory code may keep
            first = direct(build, dtype if dtype != "auto" else getattr(torch, str(stated)))
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, loading = getattr(transformers, auto).from_pretrained(
                source.folder,
                local_files_only=True,
                trust_remote_code=trust,
                use_safetensors=source.has_safetensors,
                dtype=dtype,
                output_loading_info=True,
                **arguments,
            )
    except (Exception, SystemExit) as error:  # the files, and code that comes with them, can fail in any way
        raise explain("model", error, where=where, trusted=trust, folder=source.folder) from error
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith(unread))
    check_origin([model, *model.modules()], source.folder, where=where)
    if lenient or missing:
        return model, missing
    judge_names(model, sorted(loading["unexpected_keys"]), where=where, own_code=own_code)
    if getattr(model, "hf_quantizer", None) is not None:
        return model, missing
    files = read_files(source.folder, safetensors=source.has_safetensors)
    skipped = [*loading["missing_keys"], *(name for name in model.state_dict() if name.startswith(unread))]
    with told("the model's weights cannot be compared with its files", where=where, cure="get the files again"):
        return faithful(model, files, skipped, build, first, where=where, own_code=own_code), missing


def too_few(model: Any, missing: list[str], source: Source, *, where: str, trust: bool) -> EncoderError:
    """The error for weights that are in no file."""
    named = code_named_by(source.folder) and any(source.folder.glob("*.py"))
    cure = "save the whole model again, or correct model_type in config.json"
    if named and not trust and 2 * len(missing) > len(model.state_dict()):
        cure = (
            "this library class is not the model: the files come with their own Python code; read it, then add "
            "trust_remote_code=true if you trust it"
        )
    return EncoderError(
        f"{len(missing)} weights of {type(model).__name__} are not in the files and would be random, "
        f"such as {missing[0]}",
        where=where,
        cure=source.fetch_again or cure,
    )


def load_random_model(
    source: Source, seed: int, *, where: str, dtype: str, attention: str, device: str, trust_remote_code: bool
) -> Any:
    """`load_model`'s model as training finds it. Raises EncoderError."""
    chosen = {} if attention == "auto" else {"attn_implementation": attention}
    model = initialised(source, "AutoModel", seed, chosen, where=where, trust=trust_remote_code)
    check_origin([model, *model.modules()], source.folder, where=where)
    return ready(model.to(getattr(torch, dtype)), device)


def initialised(
    source: Source,
    auto: str,
    seed: int | None,
    arguments: Mapping[str, str],
    *,
    where: str,
    trust: bool,
    dtype: Any = torch.float32,
) -> Any:
    """The model of the files' configuration with the weights that its own initialisation draws from `seed`.

    ``auto`` names transformers' auto class, ``arguments`` are what `from_pretrained` would be given; without a seed
    the generators of the process are drawn from. Raises EncoderError.
    """
    try:
        with _quiet(), torch.random.fork_rng(devices=[]) if seed is not None else contextlib.nullcontext():
            if seed is not None:
                torch.manual_seed(seed)
            config, others = transformers.AutoConfig.from_pretrained(
                source.folder,
                local_files_only=True,
                trust_remote_code=trust,
                return_unused_kwargs=True,
                **arguments,
            )
            chosen = getattr(transformers, auto)
            return chosen.from_config(config, trust_remote_code=trust, dtype=dtype, **others)
    except (Exception, SystemExit) as error:  # as in `pretrained`
        raise explain("model", error, where=where, trusted=trust, folder=source.folder) from error


def ready(model: Any, device: str) -> Any:
    """The part that is read, in evaluation mode, on its device."""
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    model.config.use_cache = False  # a decoder would keep keys and values that nobody reads
    model.eval()
    for module in model.modules():  # some classes of others keep themselves in training
        module.training = False
    return model.to(device)
