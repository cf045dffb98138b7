"""From an error of a library or of a model's own code to a sentence with a cure that can help."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geneb_jax.encoder.batching import is_out_of_memory
from geneb_jax.encoder.hf_files import read_json
from geneb_jax.errors import EncoderError, GenebError

OLDER_CODE = (
    "take a revision of the model whose code is for transformers 5; or run its code in an environment of its own, "
    "without geneb_jax[hf] and with 'transformers<5', as a class of your own: MODULE:CLASS"
)
# what every configuration had in transformers 4, and its value there
_DEFAULTS = {
    "is_decoder": "false", "add_cross_attention": "false", "cross_attention_hidden_size": "null",
    "tie_encoder_decoder": "false", "pruned_heads": "{}", "chunk_size_feed_forward": "0", "torchscript": "false",
    "use_bfloat16": "false", "tie_word_embeddings": "true", "use_return_dict": "true", "output_attentions": "false",
    "pad_token_id": "null", "bos_token_id": "null", "eos_token_id": "null", "decoder_start_token_id": "null",
    "sep_token_id": "null", "task_specific_params": "null", "problem_type": "null", "finetuning_task": "null",
    "use_cache": "true", "max_length": "20",
}  # fmt: skip
_NO_NAME = re.compile(
    r"cannot import name '(\w+)' from '(transformers[\w.]*)'|No module named '(transformers\.[\w.]+)'"
)
_NO_ATTRIBUTE = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
_META = re.compile(r"meta tensor|on meta|from meta|device meta|'meta'", re.IGNORECASE)
# what transformers 4 gave every model and tokenizer class, or asked of none
_METHODS = frozenset({
    "get_head_mask",
    "_convert_head_mask_to_5d", "invert_attention_mask", "get_extended_attention_mask", "_init_weights",
    "all_tied_weights_keys", "_tied_weights_keys", "prune_heads", "_prune_heads",
    "warn_if_padding_and_no_attention_mask",
    "_use_sdpa", "_use_flash_attention_2", "added_tokens_encoder", "unique_no_split_tokens", "_batch_encode_plus",
})  # fmt: skip


def explain(part: str, error: BaseException, *, where: str, trusted: bool, folder: Path) -> EncoderError:
    """Why transformers, or code that came with the model, could not make a part of it."""
    from transformers import __version__ as version

    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    what = f"transformers {version} cannot load the {part}: {first}"
    if not trusted and "trust_remote_code" in text:
        present = sorted(path.name for path in folder.glob("*.py"))
        return EncoderError(
            what if present else f"{what}; and the folder holds no Python code",
            where=where,
            cure="the files come with their own Python code: read it, then add trust_remote_code=true if you trust it"
            if present
            else "get the files of the model again, with its .py files",
        )
    old = _older(error, trusted=trusted, folder=folder)
    if old is not None:
        return EncoderError(f"the model's own code does not run with transformers {version}: {old[0]}", where=where,
                            cure=old[1])  # fmt: skip
    packages = re.search(r"packages that were not found in your environment: ([^.]+)\.", text)
    if packages:
        return EncoderError(
            f"the model's own code needs {packages[1]}, not installed here", where=where,
            cure="install what its authors name for it; a package may have another name than its module",
        )  # fmt: skip
    line = _line_of(error, folder) if trusted else None
    if line:
        return EncoderError(
            f"the model's own code fails with transformers {version}: {type(error).__name__}: {first}",
            where=f"{where}: {line}",
            cure="read that line; check that code, configuration and weights are of one revision",
        )
    return EncoderError(what, where=where, cure="check the folder with transformers' AutoModel and AutoTokenizer")


def _older(error: BaseException, *, trusted: bool, folder: Path) -> tuple[str, str] | None:
    """What code of the transformers 4 time asked for and did not get, and the cure; None for other errors."""
    text = str(error)
    if not trusted:
        return None
    if found := _NO_NAME.search(text):
        name = f"{found[1]} of {found[2]}" if found[1] else found[3]
        return f"it imports {name}, which is not there any more", OLDER_CODE
    if found := _NO_ATTRIBUTE.search(text):
        owner, name = found[1], found[2]
        if name == "all_tied_weights_keys":
            return (
                f"{owner} does not call self.post_init() at the end of its constructor, which transformers 5 needs",
                f"add that line to a copy of the code; or {OLDER_CODE}",
            )
        is_config = hasattr(getattr(error, "obj", None), "to_diff_dict") or owner.endswith("Config")
        if is_config and name in _DEFAULTS:
            return (
                f"it reads config.{name}, which has no default any more",
                f'add "{name}": {_DEFAULTS[name]} to config.json, the value it had in transformers 4; or {OLDER_CODE}',
            )
        if name in _METHODS:
            return f"it uses {name} of {owner}, which is not there any more", OLDER_CODE
    if _META.search(text):
        return "it reads numbers while the model is being made, which transformers 5 does without memory", OLDER_CODE
    stated = str(read_json(folder / "config.json").get("transformers_version", ""))
    if _line_of(error, folder) and re.match(r"[0-4]\.", stated):
        return (
            f"{str(error).splitlines()[0] if text else type(error).__name__} (it was saved with {stated})",
            OLDER_CODE,
        )
    return None


def _line_of(error: BaseException, folder: Path) -> str | None:
    """The deepest line of the folder's own code that an error went through."""
    names = {path.name for path in folder.glob("*.py")}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.name in names and "site-packages" not in file.parts:
            return f"line {frame.lineno} of {file.name}"
    return None


@contextmanager
def told(doing: str, *, where: str, cure: str) -> Iterator[None]:
    """Let an error of other people's code out as EncoderError, with itself as the cause.

    Ours pass, and so does every sign that memory does not suffice, for whoever tries with less.
    """
    try:
        yield
    except GenebError:
        raise
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise
        first = (str(error).strip() or "no reason given").splitlines()[0]
        raise EncoderError(f"{doing}: {type(error).__name__}: {first}", where=where, cure=cure) from error
