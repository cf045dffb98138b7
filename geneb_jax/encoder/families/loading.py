"""A token model as the rules need it, loaded from files in the hub's layout."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from geneb_jax.encoder.counting import Written
from geneb_jax.encoder.families.base import Preset, Rule
from geneb_jax.encoder.hf_code import opened, refuse_own_code
from geneb_jax.encoder.hf_files import read_json
from geneb_jax.encoder.hf_source import Source
from geneb_jax.encoder.hf_tokens import Template, find_template
from geneb_jax.encoder.info import Setting
from geneb_jax.errors import EncoderError

_HEADS = ("lm_head.", "cls.", "classifier.", "score.", "pooler.", "contact_head.")

Read = Callable[[Any, dict[str, Any], Sequence[int | None]], dict[int | None, Any]]


@dataclass(frozen=True)
class Network:
    """A loaded model with its tokenizer, wherever it came from.

    ``tokenizer(texts, add_special_tokens=False, ...)`` gives ``input_ids``, and has ``unk_token_id``. ``read(model,
    inputs, layers)`` gives a state ``(rows, tokens, width)`` for every layer asked for; layer None is the last one
    after its norm. ``random_weights`` counts those that the files lack.
    """

    tokenizer: Any
    template: Template
    model: Any
    read: Read
    takes_mask: bool
    limit: int | None
    filler: int | None
    padding_side: str
    kind: str
    vocabulary: int | None
    dtype: str
    shows_layers: bool = True
    random_weights: int = 0


class OneByOne:
    """A tokenizer that is called with fixed further arguments, one sequence at a time."""

    def __init__(self, tokenizer: Any, arguments: Sequence[tuple[str, str]] = ()) -> None:
        self._tokenizer = tokenizer
        self._arguments = dict(arguments)

    def __len__(self) -> int:
        return len(self._tokenizer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, texts: Sequence[str], **options: Any) -> dict[str, list[list[int]]]:
        """The ids of every text, under the name that transformers gives them."""
        # only what decides the ids is passed on: remote tokenizers know few of transformers' arguments
        special = bool(options.get("add_special_tokens", True))
        made = [self._tokenizer(text, add_special_tokens=special, **self._arguments) for text in texts]
        return {"input_ids": [[int(i) for i in one["input_ids"]] for one in made]}


def load_network(
    source: Source,
    rule: Rule,
    preset: Preset,
    *,
    where: str,
    trust: bool,
    dtype: str,
    seed: Setting,
    library_code: bool = False,
) -> Network:
    """The model of a folder under a family's rule, on the CPU; untrained where a seed is given. Raises EncoderError.

    ``library_code``: the model is one of transformers' own, whatever code lies beside it.
    """
    from geneb_jax.encoder import hf_load, hf_model

    trust = trust and not preset.stock_code and not library_code
    if not trust and not preset.stock_code and not library_code:
        refuse_own_code(source.folder, where=where)
    with opened(source.folder, trust=trust, where=where) as folder:
        local = replace(source, folder=folder)
        tokenizer = _load_tokenizer(local, rule, where=where, trust=trust)
        model, num_random = _load_model(local, rule, preset, where=where, trust=trust, dtype=dtype, seed=seed)
    limit = hf_model.token_limit(model, tokenizer)
    kind, vocabulary = str(model.config.model_type), hf_model.embedding_rows(model)
    template = find_template(tokenizer, where=where) if rule.own_specials else Template((), ())
    front = tuple(_token_id(tokenizer, token, where=where) for token in rule.front)
    model, read = _reading(hf_load.ready(model, "cpu"), rule)
    return Network(
        tokenizer=tokenizer,
        template=Template((*template.prefix, *front), template.suffix),
        model=model,
        read=read,
        takes_mask=hf_model.takes_mask(model),
        limit=limit,
        filler=hf_model.padding_id(tokenizer, model, vocabulary),
        padding_side=str(getattr(tokenizer, "padding_side", "right")),
        kind=kind,
        vocabulary=vocabulary,
        dtype=str(model.dtype).removeprefix("torch.") if dtype == "stored" else dtype,
        random_weights=num_random,
    )


def _load_tokenizer(source: Source, rule: Rule, *, where: str, trust: bool) -> Any:
    from geneb_jax.encoder import hf_load

    file = source.folder / "tokenizer.json"
    if rule.tokenizer_file and file.is_file():
        # the class that transformers would pick for the architecture reads other files
        from transformers import PreTrainedTokenizerFast

        made: Any = PreTrainedTokenizerFast
        settings = read_json(source.folder / "tokenizer_config.json")
        named = {key: value for key, value in settings.items() if key.endswith("_token") and isinstance(value, str)}
        return made(tokenizer_file=str(file), **named)
    tokenizer = hf_load.load_tokenizer(source, where=where, trust_remote_code=trust)
    if rule.tokenizer_arguments:
        tokenizer = OneByOne(tokenizer, rule.tokenizer_arguments)
    return tokenizer if rule.text is str else Written(tokenizer, rule.text)


def _load_model(
    source: Source, rule: Rule, preset: Preset, *, where: str, trust: bool, dtype: str, seed: Setting
) -> tuple[Any, int]:
    """The model, and how many of its weights are random because the files lack them (seed 0)."""
    from geneb_jax.encoder import hf_load

    settings = read_json(source.folder / "config.json")
    offered: Mapping[str, Any] = settings.get("auto_map") or {}
    name = next((c for c in rule.classes if c in offered), rule.classes[0]) if trust else rule.classes[0]
    if seed is not None:
        model = hf_load.initialised(source, name, int(seed), dict(rule.load_arguments), where=where, trust=trust)
        stored = str(settings.get("dtype") or settings.get("torch_dtype") or "float32")  # by its new name or its old
        return model.to(torch_dtype(stored if dtype == "stored" else dtype)), 0
    model, missing = hf_load.pretrained(
        source,
        name,
        dict(rule.load_arguments),
        where=where,
        dtype=torch_dtype(dtype),
        trust=trust,
        unread=_HEADS,
        lenient=preset.stock_code,
    )
    if missing and not preset.stock_code:
        raise hf_load.too_few(model, missing, source, where=where, trust=trust)
    return model, len(missing)


def torch_dtype(name: str) -> Any:
    """Torch's dtype of that name; with autocast weights stay float32."""
    import torch

    if name == "stored":
        return "auto"
    return torch.float32 if name.startswith("autocast-") else getattr(torch, name)


def _reading(model: Any, rule: Rule) -> tuple[Any, Read]:
    """The part of the model that is called, and how. A head over the vocabulary is left out where it can be."""
    from geneb_jax.encoder.hf_model import layer_states

    if rule.head is not None:
        _open_head(model, rule.head)
        return model, lambda model, inputs, layers: {
            layer: state[0] if isinstance(state, tuple) else state
            for layer, state in layer_states(model, inputs, layers).items()
        }
    base = getattr(model, "base_model", model)
    if base is not model and hasattr(base, "config") and "input_ids" in _parameters(base):
        model = base
    elif type(model).__name__.endswith(("LM", "LMHeadModel", "Classification")):
        # the head cannot be left out: its logits are not what is asked for, the last hidden state is
        def read(model: Any, inputs: dict[str, Any], layers: Sequence[int | None]) -> dict[int | None, Any]:
            states = layer_states(model, inputs, [-1 if layer is None else layer for layer in layers])
            return {layer: states[-1 if layer is None else layer] for layer in layers}

        return model, read
    return model, layer_states


def layer_widths(network: Network, model: Any, inputs: dict[str, Any], *, where: str) -> list[int]:
    """Width of every layer from the input embeddings on; of the last alone where the model shows no other.

    Found by two short forward passes. Raises EncoderError where the model gives no vector per token.
    """
    import torch

    unreadable = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError)
    try:
        last = network.read(model, inputs, [None])[None]
    except (Exception, SystemExit) as error:  # code of others
        raise EncoderError(
            f"the model cannot read a short sequence: {type(error).__name__}: {error}",
            where=where,
            cure="check that the files are those of the model, and that its code suits the installed libraries",
        ) from error
    if last.ndim != 3 or last.shape[1] != inputs["input_ids"].shape[1]:
        raise EncoderError(
            f"the model gives an array of shape {tuple(last.shape)}, not one vector per token",
            where=where,
            cure="check that the files are those of the model",
        )
    states = None
    if network.shows_layers:
        with contextlib.suppress(*unreadable), torch.inference_mode():
            states = getattr(model(**inputs, output_hidden_states=True), "hidden_states", None)
    inner = states[:-1] if isinstance(states, (tuple, list)) else ()
    return [*(int(state.shape[-1]) for state in inner), int(last.shape[-1])]


def _parameters(model: Any) -> Mapping[str, object]:
    return inspect.signature(model.forward).parameters


def _open_head(model: Any, path: str) -> None:
    """Put a head in place that changes nothing, so that the output is what the head would have read."""
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
