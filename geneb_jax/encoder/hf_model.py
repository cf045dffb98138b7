"""The torch side of ``hf:``: devices, one forward pass, pooling."""

from __future__ import annotations

import contextlib
import copy
import inspect
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from geneb_jax.errors import EncoderError

_MOST_ON_CPU = 4  # copies of a model, and so batches in memory, on the processor at once
# position tables of these begin behind the padding index, so they read fewer tokens than they have rows
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "longformer", "esm"})


def pick_device(device: str, *, where: str) -> str:
    """``auto`` is the first CUDA device where there is one. Raises EncoderError."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise EncoderError(f"torch knows no device {device!r}", where=where, cure="use auto, cpu or cuda") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise EncoderError("torch sees no CUDA device here", where=where, cure="use device=cpu or device=auto")
    return device


def pick_devices(text: str, *, where: str) -> list[str]:
    """Where copies of the model go: ``cuda:0+cuda:1``, or ``all`` CUDA devices. Raises EncoderError.

    A processor is shared by a few copies: operations on small matrices do not fill several cores, batches do.
    """
    if text == "all" and torch.cuda.is_available():
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    devices = [pick_device("cpu" if part == "all" else part, where=where) for part in text.split("+")]
    return devices * min(_MOST_ON_CPU, torch.get_num_threads()) if devices == ["cpu"] else devices


def replicate(model: Any, devices: Sequence[str], *, compiled: bool) -> list[Any]:
    """The model, which is on the first device, and a copy of it on every further one.

    Copies on one device share its weights: a forward pass only keeps notes in the modules around them. Where a
    model cannot be copied so, its users take turns.
    """
    models = [model]
    for device in devices[1:]:
        if device != devices[0]:
            models.append(copy.deepcopy(model).to(device))
            continue
        try:
            shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
            models.append(copy.deepcopy(model, shared))
        except Exception:  # code of others, which may hold anything
            models[0] = models[0] if isinstance(models[0], _InTurn) else _InTurn(model)
            models.append(models[0])
    return [_Compiled(each) for each in models] if compiled else models


class _Around:
    """A model with something around its calls."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _InTurn(_Around):
    """A model for several threads of which one at a time may use it."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        with self._lock:
            return self._model(*args, **keywords)


class _Compiled(_Around):
    """A model that torch compiles when it is first called."""

    def __init__(self, model: Any) -> None:
        # dynamic: batches differ in both sizes, and one program per size would take longer than it saves
        super().__init__(torch.compile(model, dynamic=True))

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        try:
            return self._model(*args, **keywords)
        except torch._dynamo.exc.TorchDynamoException as error:
            first = str(getattr(error, "inner_exception", error)).strip().splitlines()[0]
            raise EncoderError(
                f"torch.compile cannot make a program of this model here: {first}",
                where="compile=true",
                cure="on a processor it needs a C++ compiler such as g++; or leave compile= out",
            ) from error


def token_limit(model: Any, tokenizer: Any) -> int | None:
    """The most tokens the model reads, special ones included, as its files state it; else None."""
    limits = []
    stated = getattr(tokenizer, "model_max_length", None)
    if isinstance(stated, int) and 0 < stated < 10**9:  # transformers writes 1e30 for "unknown"
        limits.append(stated)
    positions = getattr(model.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        absolute = getattr(model.config, "position_embedding_type", "absolute") == "absolute"
        if model.config.model_type in _OFFSET_POSITIONS and absolute:
            positions -= (getattr(model.config, "pad_token_id", None) or 0) + 1
        limits.append(positions)
    return min(limits) if limits else None


def embedding_rows(model: Any) -> int | None:
    """How many token ids the model knows; None where it does not say."""
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    rows = getattr(table, "num_embeddings", None)
    return rows if isinstance(rows, int) else None


def padding_id(tokenizer: Any, model: Any, rows: int | None) -> int | None:
    """The id that stands at padded positions: the tokenizer's or the model's own, of those that the model knows."""
    config = getattr(model, "config", None)
    found = [getattr(tokenizer, name, None) for name in ("pad_token_id", "eos_token_id")]
    found.insert(1, getattr(config, "pad_token_id", None))
    known = (i for i in found if isinstance(i, int) and i >= 0 and (rows is None or i < rows))
    return next(known, None)


def check_ids(ids: Sequence[int], rows: int | None, *, where: str) -> None:
    """Raise EncoderError for a token that the model does not know."""
    if rows is not None and len(ids) and not 0 <= min(ids) <= max(ids) < rows:
        raise EncoderError(
            f"the tokenizer makes token {max(ids) if min(ids) >= 0 else min(ids)}, and the model knows {rows}",
            where=where,
            cure="tokenizer and weights are not of one model: get both again from one place",
        )


def takes_mask(model: Any) -> bool:
    """Whether the model can be told what is padding."""
    return "attention_mask" in inspect.signature(model.forward).parameters


def hidden_states(model: Any, inputs: dict[str, Any], layer: int | None) -> Any:
    """``(rows, tokens, width)`` of one layer; ``None`` is the last, after its final norm."""
    return layer_states(model, inputs, [layer])[layer]


def layer_states(model: Any, inputs: dict[str, Any], layers: Sequence[int | None]) -> dict[int | None, Any]:
    """`hidden_states` of several layers from one forward pass."""
    inner = [layer for layer in layers if layer is not None]
    with torch.inference_mode(), _exact_float32(inputs["input_ids"].device.type):
        out = model(**inputs, output_hidden_states=True) if inner else model(**inputs)
        states: dict[int | None, Any] = {layer: out.hidden_states[layer] for layer in inner}
        if None in layers:
            last = getattr(out, "last_hidden_state", None)
            states[None] = out[0] if last is None else last
        return states


def count_layers(model: Any, inputs: dict[str, Any], *, where: str) -> tuple[list[int] | None, int]:
    """Width of every layer from the input embeddings on (None if the model does not show them) and of the last.

    Found by one short forward pass. Raises EncoderError where the model gives no token vectors.
    """
    try:
        with torch.inference_mode():
            out = model(**inputs, output_hidden_states=True)
            states = getattr(out, "hidden_states", None)
            last = hidden_states(model, inputs, None)
    except (Exception, SystemExit) as error:  # code of others
        raise EncoderError(
            f"the model cannot read a short sequence: {type(error).__name__}: {error}",
            where=where,
            cure="wrap it in a class of your own: MODULE:CLASS",
        ) from error
    if not isinstance(last, torch.Tensor) or last.ndim != 3 or last.shape[1] != inputs["input_ids"].shape[1]:
        raise EncoderError(
            "the model gives no vector per token",
            where=where,
            cure="wrap it in a class of your own: MODULE:CLASS",
        )
    return ([int(state.shape[-1]) for state in states] if states else None), int(last.shape[2])


_tf32 = threading.Lock()
_exact_users: list[tuple[str, str]] = []


@contextlib.contextmanager
def _exact_float32(device: str) -> Iterator[None]:
    """No tf32 on CUDA: by default torch's convolutions use it, and users switch it on for products.

    The switch is the process's, so of several threads the first to come sets it and the last to go restores it.
    """
    if device != "cuda":
        yield
        return
    backends: Any = torch.backends
    product, conv = backends.cuda.matmul, backends.cudnn.conv
    with _tf32:
        _exact_users.append(_exact_users[0] if _exact_users else (product.fp32_precision, conv.fp32_precision))
        product.fp32_precision = conv.fp32_precision = "ieee"
    try:
        yield
    finally:
        with _tf32:
            before = _exact_users.pop()
            if not _exact_users:
                product.fp32_precision, conv.fp32_precision = before


def pool(hidden: Any, counted: Any, pooling: str) -> Any:
    """float32 ``(rows, width)`` from ``(rows, tokens, width)``.

    ``counted`` ``(rows, tokens)`` marks the tokens that take part; ``cls`` is the first, whatever is counted.
    """
    hidden = hidden.to(torch.float32)
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        last = (counted * positions).amax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    # filled, not multiplied: whatever stands at the padding, even NaN, stays out
    if pooling == "max":
        return hidden.masked_fill(~counted[..., None], -torch.inf).amax(dim=1)
    return hidden.masked_fill(~counted[..., None], 0).sum(dim=1) / counted.sum(dim=1, keepdim=True)
