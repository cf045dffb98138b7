"""A token model as the rules need it: loaded from the hub's layout, or made by an author's package."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.encoder.families.base import Preset, Rule
from geneb_jax.encoder.hf_source import Source
from geneb_jax.encoder.hf_tokens import Template, find_template
from geneb_jax.errors import EncoderError

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Network:
    """A loaded model and its tokenizer.

    ``tokenizer`` is called as those of transformers are. ``forward(inputs, layer)`` gives ``(rows, tokens, width)``
    on the device; layer None is the last one after its norm. ``random_weights`` counts those not in the files.
    """

    tokenizer: Any
    template: Template
    forward: Callable[[dict[str, Any], int | None], Any]
    num_layers: int | None
    takes_mask: bool
    limit: int | None
    filler: int | None
    padding_side: str
    device: str
    kind: str
    vocabulary: int | None
    random_weights: int = 0


class _Calls:
    """A tokenizer that is called with fixed further arguments, one sequence at a time where it needs that."""

    def __init__(self, tokenizer: Any, arguments: Sequence[tuple[str, str]]) -> None:
        self._tokenizer = tokenizer
        self._arguments = dict(arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, texts: Sequence[str], **options: Any) -> dict[str, list[list[int]]]:
        # only what decides the ids is passed on: remote tokenizers know few of transformers' arguments
        special = bool(options.get("add_special_tokens", True))
        made = [self._tokenizer(text, add_special_tokens=special, **self._arguments) for text in texts]
        return {"input_ids": [[int(i) for i in one["input_ids"]] for one in made]}


def load_network(
    source: Source, rule: Rule, preset: Preset, *, where: str, trust: bool, dtype: str, device: str
) -> Network:
    """The model of a folder under a family's rule. Raises EncoderError."""
    from geneb_jax.encoder import hf_model

    device = hf_model.pick_device(device, where=where)
    trusted = trust and not preset.stock_code
    config = _json(source.folder / "config.json")
    needed = [name for name in ("config.json", "tokenizer_config.json") if _own_code(source.folder / name)]
    if needed and not trust:
        raise EncoderError(
            f"the model runs its authors' own Python code ({_code_files(source.folder)})",
            where=f"{where}: auto_map in {' and '.join(needed)}",
            cure="read it, then add trust_remote_code=true if you trust it",
        )
    tokenizer = _load_tokenizer(source, rule, where=where, trust=trust)
    model, num_random = _load_model(
        source, rule, config, where=where, trust=trusted, dtype=dtype, stock=preset.stock_code
    )
    model = model.eval().to(device)
    model.config.use_cache = False
    template = find_template(tokenizer, where=where) if rule.own_specials else Template((), ())
    front = tuple(_token_id(tokenizer, token, where=where) for token in rule.front)
    template = Template((*template.prefix, *front), template.suffix)
    body, forward = _forward(model, rule)
    return Network(
        tokenizer=tokenizer,
        template=template,
        forward=forward,
        num_layers=_count_layers(model),
        takes_mask=hf_model.takes_mask(body),
        limit=hf_model.token_limit(model, tokenizer),
        filler=_filler(tokenizer),
        padding_side=str(getattr(tokenizer, "padding_side", "right")),
        device=device,
        kind=str(model.config.model_type),
        vocabulary=_embedding_rows(model),
        random_weights=num_random,
    )


def _load_tokenizer(source: Source, rule: Rule, *, where: str, trust: bool) -> Any:
    from geneb_jax.encoder import hf_model

    if rule.tokenizer_file and (source.folder / "tokenizer.json").is_file():
        from transformers import PreTrainedTokenizerFast

        made: Any = PreTrainedTokenizerFast
        settings = _json(source.folder / "tokenizer_config.json")
        named = {k: v for k, v in settings.items() if k.endswith("_token") and isinstance(v, str)}
        return made(tokenizer_file=str(source.folder / "tokenizer.json"), **named)
    tokenizer = hf_model.load_tokenizer(source, where=where, trust_remote_code=trust)
    return _Calls(tokenizer, rule.tokenizer_arguments) if rule.tokenizer_arguments else tokenizer


def _load_model(
    source: Source, rule: Rule, config: Mapping[str, Any], *, where: str, trust: bool, dtype: str, stock: bool
) -> tuple[Any, int]:
    """The model, and how many of its weights are random because the files lack them."""
    import torch
    import transformers

    from geneb_jax.encoder import hf_model

    offered = config.get("auto_map") or {}
    name = next((c for c in rule.classes if c in offered), rule.classes[0]) if trust else rule.classes[0]
    try:
        with hf_model._quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, loading = getattr(transformers, name).from_pretrained(
                source.folder,
                local_files_only=True,
                trust_remote_code=trust,
                use_safetensors=source.has_safetensors,
                dtype="auto" if dtype == "stored" else getattr(torch, dtype),
                output_loading_info=True,
                **dict(rule.load_arguments),
            )
    except Exception as error:  # the files, and code that comes with them, can fail in any way
        raise hf_model._cannot_load("model", error, where=where, trusted=trust) from error
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith(hf_model._UNREAD))
    missing = [key for key in missing if not key.startswith(("lm_head.", "cls.", "classifier.", "score."))]
    if missing and not stock:
        raise EncoderError(
            f"{len(missing)} weights of {type(model).__name__} are not in the files and would be random, "
            f"such as {missing[0]}",
            where=where,
            cure="the files need their own model code: add trust_remote_code=true if you trust it"
            if offered and not trust
            else "save the whole model again, or correct model_type in config.json",
        )
    return model, len(missing)


def _forward(model: Any, rule: Rule) -> tuple[Any, Callable[[dict[str, Any], int | None], Any]]:
    """The part of the model that is called, and how: heads over the vocabulary are left out where they can be."""
    from geneb_jax.encoder import hf_model

    base = getattr(model, "base_model", model)
    headed = type(model).__name__.endswith(("LM", "Classification"))
    if rule.head is not None:
        _remove_head(model, rule.head)
        return model, lambda inputs, layer: _tensor(hf_model.hidden_states(model, inputs, layer))
    if headed and base is not model and hasattr(base, "config"):
        model, headed = base, False
    if headed:
        return model, lambda inputs, layer: hf_model.hidden_states(model, inputs, -1 if layer is None else layer)
    return model, lambda inputs, layer: hf_model.hidden_states(model, inputs, layer)


def _tensor(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


def _remove_head(model: Any, path: str) -> None:
    """Replace a head by one that changes nothing, so that the output is what it would have read."""
    import torch

    class _Open(torch.nn.Module):
        def forward(self, hidden: Any) -> Any:
            return hidden

        unembed = forward

    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, _Open())


def _token_id(tokenizer: Any, token: int | str, *, where: str) -> int:
    if isinstance(token, int):
        return token
    found = getattr(tokenizer, f"{token}_token_id", None)
    if not isinstance(found, int):
        raise EncoderError(
            f"the tokenizer has no {token.upper()} token, which this family puts in front of a sequence",
            where=where,
            cure="check tokenizer_config.json against the published one",
        )
    return found


def _filler(tokenizer: Any) -> int | None:
    found = (getattr(tokenizer, name, None) for name in ("pad_token_id", "eos_token_id"))
    return next((token for token in found if isinstance(token, int)), None)


def _count_layers(model: Any) -> int | None:
    for name in ("num_hidden_layers", "n_layer", "n_layers"):
        found = getattr(model.config, name, None)
        if isinstance(found, int):
            return found
    return None


def _embedding_rows(model: Any) -> int | None:
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    rows = getattr(table, "num_embeddings", None)
    return rows if isinstance(rows, int) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _own_code(path: Path) -> bool:
    return bool(_json(path).get("auto_map"))


def _code_files(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.py"))
    return ", ".join(names) if names else "which is not in the folder"


def check_revision(revision: str | None, *, where: str, trust: bool) -> None:
    """Remote code is run at a commit only: a branch or a tag can be moved under the user's feet."""
    if trust and not _COMMIT.fullmatch(revision or ""):
        raise EncoderError(
            f"trust_remote_code=true with revision {revision!r}, which can be moved to other code",
            where=where,
            cure="give revision= as the 40 characters of a commit whose code you have read",
        )
