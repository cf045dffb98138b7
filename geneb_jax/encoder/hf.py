"""``hf:FOLDER`` and ``hf:ORG/NAME[@REVISION]``: pretrained models through torch and transformers.

Token vectors of one layer become one vector: ``mean`` and ``max`` over the tokens that count, ``last`` of
them, or ``cls``, the special token in front. Special tokens are fed to the model but do not count unless
``special_tokens=true``. Batches are always padded on the right and masked, whatever side the tokenizer
prefers, so absolute positions start at 0 and a decoder never sees padding. A model that cannot be told
what is padding, or has no padding token, gets batches of equal lengths.

A sequence past the token limit is cut (``overflow=truncate``), refused (``error``), or read in windows of
the full limit, side by side (``windows``): their vectors are averaged with the number of counted tokens as
weight; for ``max`` the maximum is taken, for ``last`` the last window's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.hf_source import Source, find_source
from geneb_jax.encoder.hf_tokens import Template, Window, batches, find_template, windows
from geneb_jax.encoder.info import EncoderInfo, Setting, minor_version
from geneb_jax.encoder.kinds import HF
from geneb_jax.encoder.spec import EncoderSpec, display_name, resolve_options
from geneb_jax.errors import EncoderError, UsageError

_RULE = 1  # raise it when tokenising, windowing or pooling below changes a vector
_BUDGET = {"cpu": 8_192, "cuda": 65_536}


class HFEncoder:
    """A transformers model with its tokenizer, layer and pooling. Made by `load`."""

    def __init__(self, source: Source, values: Mapping[str, Setting], *, where: str) -> None:
        from geneb_jax.encoder import hf_model

        trust = bool(values["trust_remote_code"])
        self._torch_side = hf_model
        self._where = where
        self._pooling, self._overflow = str(values["pooling"]), str(values["overflow"])
        self._device = hf_model.pick_device(str(values["device"]), where=where)
        self._tokenizer = hf_model.load_tokenizer(source, where=where, trust_remote_code=trust)
        self._model = hf_model.load_model(
            source,
            where=where,
            dtype=str(values["dtype"]),
            attention=str(values["attention"]),
            device=self._device,
            trust_remote_code=trust,
        )
        self._template = (
            find_template(self._tokenizer, where=where) if values["add_special_tokens"] else Template((), ())
        )
        self._count_special = bool(values["special_tokens"])
        if self._pooling == "cls" and not self._template.prefix:
            raise EncoderError(
                "pooling=cls needs a special token in front, and this tokenizer puts none",
                where=where,
                cure="use pooling=mean or pooling=last",
            )
        self._has_mask = hf_model.takes_mask(self._model)
        self._filler = self._find_filler()
        self._equal_lengths = not values["padding"] or not self._has_mask or self._filler is None
        budget = values["batch_tokens"]
        self._budget = int(budget) if budget else _BUDGET.get(self._device.split(":")[0], _BUDGET["cpu"])
        self._limit = self._find_limit(values["max_tokens"])
        self._layer, layer_name, width = self._find_layer(str(values["layer"]))
        used = {
            **values,
            "layer": layer_name,
            "max_tokens": self._limit,
            # cls reads one special token whatever is counted
            "special_tokens": None if self._pooling == "cls" else self._count_special,
        }
        self.info = EncoderInfo(
            name=display_name(source.name, HF.options, values),
            family=str(self._model.config.model_type),
            revision=source.revision,
            width=width,
            settings={"rule": _RULE, **{o.name: used[o.name] for o in HF.options if o.changes_vectors}},
            libraries={name: minor_version(name) for name in ("torch", "transformers", "tokenizers")},
        )

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. Raises EncoderError, naming the sequence, for one that cannot be read."""
        room = None if self._limit is None else self._limit - self._template.num_tokens
        made = windows(self._tokenizer, sequences, room, self._overflow, where=self._where)
        vectors = np.empty((len(made), self.info.width), dtype=np.float32)
        for batch in batches(made, self._template.num_tokens, self._budget, equal_lengths=self._equal_lengths):
            vectors[batch] = self._forward([made[i] for i in batch])
        if len(made) == len(sequences):
            return vectors
        return self._merge(made, vectors, len(sequences))

    def _forward(self, batch: Sequence[Window]) -> NumpyFloat:
        inputs, counted = self._inputs(batch)
        hidden = self._torch_side.hidden_states(self._model, inputs, self._layer)
        pooled: NumpyFloat = self._torch_side.pool(hidden, counted, self._pooling).cpu().numpy()
        return pooled

    def _inputs(self, batch: Sequence[Window]) -> tuple[dict[str, Any], Any]:
        """Right-padded ids with their mask, and which tokens count, on the device."""
        import torch

        front, behind = self._template.prefix, self._template.suffix
        longest = max(len(w.content) for w in batch) + self._template.num_tokens
        ids = np.full((len(batch), longest), self._filler or 0, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        counted = np.zeros((len(batch), longest), dtype=bool)
        for i, window in enumerate(batch):
            tokens = (*front, *window.content, *behind)
            ids[i, : len(tokens)] = tokens
            mask[i, : len(tokens)] = 1
            start = 0 if self._count_special else len(front)
            counted[i, start : len(tokens) if self._count_special else start + len(window.content)] = True
        inputs = {"input_ids": torch.from_numpy(ids).to(self._device)}
        if self._has_mask:
            inputs["attention_mask"] = torch.from_numpy(mask).to(self._device)
        return inputs, torch.from_numpy(counted).to(self._device)

    def _merge(self, made: Sequence[Window], vectors: NumpyFloat, num_rows: int) -> NumpyFloat:
        """One vector per sequence from the vectors of its windows."""
        rows = np.fromiter((w.row for w in made), dtype=np.int64, count=len(made))
        out = np.zeros((num_rows, self.info.width), dtype=np.float32)
        if self._pooling == "last":
            out[rows] = vectors  # windows come in order, so the last one stays
        elif self._pooling == "max":
            out[:] = -np.inf
            np.maximum.at(out, rows, vectors)
        else:
            extra = self._template.num_tokens if self._count_special else 0
            tokens = np.fromiter((len(w.content) + extra for w in made), dtype=np.float32, count=len(made))
            share = tokens / np.bincount(rows, weights=tokens, minlength=num_rows).astype(np.float32)[rows]
            np.add.at(out, rows, vectors * share[:, None])
        return out

    def _find_filler(self) -> int | None:
        """What stands at padded positions: never read, but some models find the padding by it."""
        for token in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id):
            if isinstance(token, int):
                return token
        return None

    def _find_limit(self, asked: Setting) -> int | None:
        stated = self._torch_side.token_limit(self._model, self._tokenizer)
        limit = int(asked) if asked is not None else stated
        least = self._template.num_tokens + 1
        if limit is not None and limit < least:
            raise UsageError(
                f"max_tokens={limit} leaves no room for a sequence beside {least - 1} special tokens",
                where=self._where,
                cure=f"give at least {least}",
            )
        return limit

    def _find_layer(self, asked: str) -> tuple[int | None, Setting, int]:
        """Index into the hidden states (None = last), the layer as recorded, and the width."""
        short = windows(self._tokenizer, ["ACGTACGTTTGCA"], 8, "truncate", where=self._where)
        num, width = self._torch_side.count_layers(self._model, self._inputs(short)[0], where=self._where)
        if num is None and asked in ("last", "-1"):
            return None, "last", width
        if num is None:
            raise EncoderError("the model shows its last layer only", where=self._where, cure="use layer=last")
        try:
            index = {"last": num, "mid": num // 2}[asked] if asked in ("last", "mid") else int(asked)
        except ValueError:
            index = num + 1
        if not -num - 1 <= index <= num:
            raise UsageError(
                f"there is no layer {asked!r}",
                where=self._where,
                cure=f"use last, mid, or a number from 0 (input embeddings) to {num} (last); "
                f"{-num - 1} to -1 count from the end",
            )
        index %= num + 1
        if index == num:
            return None, num, width
        inputs = self._inputs(short)[0]
        return index, index, int(self._torch_side.hidden_states(self._model, inputs, index).shape[2])


def load(spec: EncoderSpec, options: Mapping[str, object]) -> HFEncoder:
    """The encoder of ``hf:...``. Raises UsageError and EncoderError."""
    where = f"encoder {spec.text!r}"
    values = resolve_options(repr(spec.text), HF.options, options)
    if not spec.subject:
        raise UsageError("hf: needs a folder or a name on the hub", where=where, cure=f"write {HF.form}")
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise EncoderError(
            f"hf: needs torch and transformers ({error})", where=where, cure="pip install 'geneb_jax[hf]'"
        ) from error
    source = find_source(spec.subject, where=where, allow_pickle=bool(values["allow_pickle"]))
    return HFEncoder(source, values, where=where)
