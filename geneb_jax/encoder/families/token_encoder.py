"""One encoder for all token families: what differs between them is in their `Rule`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.families.base import FIXED_BY_REFERENCE, Family, Rule
from geneb_jax.encoder.families.loading import Network, check_revision, load_network
from geneb_jax.encoder.hf_source import Source, find_source
from geneb_jax.encoder.hf_tokens import Window, batches
from geneb_jax.encoder.info import EncoderInfo, Setting, minor_version
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import EncoderSpec, display_name, resolve_options
from geneb_jax.errors import EncoderError, UsageError

_RULE = 1  # raise it when a rule, tokenising or pooling below changes a vector
_BUDGET = {"cpu": 8_192, "cuda": 65_536}
_OFFICIAL_ROWS = 4  # the default of GENEB's command


class TokenEncoder:
    """A token model under the rule of its family and one preset. Made by `load`."""

    def __init__(
        self,
        entry: ModelEntry,
        family: Family,
        network: Network,
        source: Source,
        values: Mapping[str, Setting],
        dtype: str,
    ) -> None:
        rule = family.rule or Rule()
        self._where = f"encoder {entry.display!r}"
        self._rule, self._network = rule, network
        self._preset = preset = rule.preset(str(values["preset"]))
        self._reference = values["preset"] == "reference"
        self._pooling = str(values["pooling"] or preset.pooling)
        self._count_special = preset.special_tokens
        self._padding = self._find_padding()
        self._rows = int(values["batch_rows"] or _OFFICIAL_ROWS) if self._padding in ("seen", "counted") else None
        if self._padding == "alone" and (values["batch_rows"] or 1) != 1:
            raise UsageError(
                "the official extractor embeds only the first sequence of a batch, so the others have no vector",
                where=self._where,
                cure="leave batch_rows out: sequences are read one at a time",
            )
        self._limit = self._find_limit(entry, values["max_tokens"])
        self._layer, layer_name = self._find_layer(str(values["layer"]))
        budget = values["batch_tokens"]
        self._budget = int(budget) if budget else _BUDGET.get(network.device.split(":")[0], _BUDGET["cpu"])
        named = "; ".join(filter(None, (*entry.defects, preset.defect)))
        defect = (named or None) if self._reference else None
        self.info = EncoderInfo(
            name=display_name(entry.display, family.options, values),
            family=entry.family,
            revision=source.revision,
            width=self._find_width(),
            settings={
                "rule": _RULE,
                "preset": str(values["preset"]),
                "defect": defect,
                "architecture": network.kind,
                "pooling": self._pooling,
                "special_tokens": None if self._pooling == "cls" else self._count_special,
                "layer": layer_name,
                "max_tokens": self._limit,
                "dtype": dtype,
                "padding": self._padding,
                "padding_side": self._side if self._rows else None,
                "batch_rows": self._rows,
                "random_weights": network.random_weights or None,
            },
            libraries={name: minor_version(name) for name in ("torch", "transformers", "tokenizers")},
        )

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. Raises EncoderError, naming the sequence, for one that cannot be read.

        In a reference preset that pads by batch, the order and the length of the list change the vectors.
        """
        made = self._windows(sequences)
        vectors = np.empty((len(made), self.info.width), dtype=np.float32)
        for batch in self._batches(made):
            vectors[batch] = self._pool([made[i] for i in batch])
        if len(made) == len(sequences):
            return vectors
        rows = np.fromiter((w.row for w in made), dtype=np.int64, count=len(made))
        out = np.zeros((len(sequences), self.info.width), dtype=np.float32)
        share = 1 / np.bincount(rows, minlength=len(sequences)).astype(np.float32)[rows]
        np.add.at(out, rows, vectors * share[:, None])
        return out

    def _windows(self, sequences: Sequence[str]) -> list[Window]:
        """Token ids of every sequence, cut to the limit, or in the family's windows."""
        rule, extra = self._rule, self._network.template.num_tokens
        room = None if self._limit is None else self._limit - extra
        texts = [rule.text(s[: len(s) // rule.multiple * rule.multiple]) for s in sequences]
        made: list[Window] = []
        for row, ids in enumerate(self._ids(texts)):
            if not ids and not (self._reference and rule.front):
                raise EncoderError(
                    f"the sequence is shorter than one token of {rule.multiple} bases"
                    if rule.multiple > 1
                    else "the tokenizer makes no token of this sequence",
                    where=f"{self._where}: sequence {row + 1} of {len(sequences)}, {sequences[row][:40]!r}",
                    cure="remove the sequence, or use an encoder that reads its letters",
                )
            if rule.window is None or rule.stride is None:
                made.append(Window(row, tuple(ids[:room])))
                continue
            last = max(0, len(ids) - rule.window)
            starts = range(0, last + rule.stride, rule.stride)
            made.extend(Window(row, tuple(ids[start : start + rule.window])) for start in starts)
        return made

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._network.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        found = [[int(i) for i in ids] for ids in encoded["input_ids"]]
        rows = self._network.vocabulary
        if rows is not None:
            for text, ids in zip(texts, found, strict=True):
                if ids and max(ids) >= rows:
                    raise EncoderError(
                        f"the tokenizer makes token {max(ids)}, and the model knows {rows}",
                        where=f"{self._where}: sequence {text[:40]!r}",
                        cure="tokenizer and weights are not of the same model: download both again",
                    )
        return found

    def _batches(self, made: Sequence[Window]) -> list[list[int]]:
        places = list(range(len(made)))
        if self._padding == "alone":
            return [[i] for i in places]
        if self._rows:
            return [places[start : start + self._rows] for start in places[:: self._rows]]
        extra = self._network.template.num_tokens
        return list(batches(made, extra, self._budget, equal_lengths=self._padding == "equal"))

    def _pool(self, batch: Sequence[Window]) -> NumpyFloat:
        from geneb_jax.encoder import hf_model

        inputs, counted = self._inputs(batch)
        hidden = self._network.forward(inputs, self._layer)
        pooled: NumpyFloat = self._pool_hidden(hf_model, hidden, counted).cpu().numpy()
        return pooled

    def _pool_hidden(self, hf_model: Any, hidden: Any, counted: Any) -> Any:
        if self._pooling == "cls" and self._side == "left":
            return hidden.float()[range(len(hidden)), counted.int().argmax(dim=1)]
        return hf_model.pool(hidden, counted, self._pooling)

    def _inputs(self, batch: Sequence[Window]) -> tuple[dict[str, Any], Any]:
        """Padded ids, with their mask where the model takes one, and which tokens count."""
        import torch

        template = self._network.template
        longest = max(len(w.content) for w in batch) + template.num_tokens
        if self._preset.to_limit and self._limit is not None:
            longest = self._limit
        ids = np.full((len(batch), longest), self._network.filler or 0, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        counted = np.zeros((len(batch), longest), dtype=bool)
        for i, window in enumerate(batch):
            tokens = (*template.prefix, *window.content, *template.suffix)
            start = longest - len(tokens) if self._side == "left" else 0
            stop = start + len(tokens)
            ids[i, start:stop] = tokens
            mask[i, start:stop] = 1
            if self._count_special or self._pooling == "cls":
                counted[i, start:stop] = True
            else:
                counted[i, start + len(template.prefix) : stop - len(template.suffix)] = True
        if self._padding == "counted":
            counted[:] = True
        device = self._network.device
        inputs = {"input_ids": torch.from_numpy(ids).to(device)}
        if self._network.takes_mask:
            inputs["attention_mask"] = torch.from_numpy(mask).to(device)
        return inputs, torch.from_numpy(counted).to(device)

    @property
    def _side(self) -> str:
        return self._network.padding_side if self._preset.side == "tokenizer" else self._preset.side

    def _find_padding(self) -> str:
        asked = self._preset.padding
        if asked == "masked" and (not self._network.takes_mask or self._network.filler is None):
            return "equal"
        return asked

    def _find_limit(self, entry: ModelEntry, asked: Setting) -> int | None:
        if asked is not None:
            limit: int | None = int(asked)
        elif not self._preset.limited:
            return None
        else:
            window = self._rule.window
            own = None if window is None else window + self._network.template.num_tokens
            stated = [n for n in (entry.max_tokens if window is None else own, self._network.limit) if n is not None]
            limit = min(stated) if stated else None
        least = self._network.template.num_tokens + 1
        if limit is not None and limit < least:
            raise UsageError(
                f"max_tokens={limit} leaves no room for a sequence beside {least - 1} special tokens",
                where=self._where,
                cure=f"give at least {least}",
            )
        return limit

    def _find_layer(self, asked: str) -> tuple[int | None, Setting]:
        """Index into the hidden states (None: last), and the layer as recorded."""
        num = self._network.num_layers
        if asked in ("last", "-1") or (num is not None and asked == str(num)):
            return None, "last"
        if num is None:
            raise EncoderError("the model shows its last layer only", where=self._where, cure="use layer=last")
        try:
            index = num // 2 if asked == "mid" else int(asked)
        except ValueError:
            index = num + 1
        if not -num - 1 <= index <= num:
            raise UsageError(
                f"there is no layer {asked!r}",
                where=self._where,
                cure=f"use last, mid, or a number from 0 (input embeddings) to {num} (last)",
            )
        return index % (num + 1), index % (num + 1)

    def _find_width(self) -> int:
        probe = [Window(0, tuple(self._ids([self._rule.text("ACGTACGTACGT")])[0][:4]))]
        try:
            hidden = self._network.forward(self._inputs(probe)[0], self._layer)
        except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
            raise EncoderError(
                f"the model cannot read a short sequence: {error}",
                where=self._where,
                cure="check that the files are those of the model",
            ) from error
        return int(hidden.shape[2])


def load(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> TokenEncoder:
    """The encoder of a registry model whose files are in the hub's layout. Raises UsageError and EncoderError."""
    rule = family.rule or Rule()
    where = f"encoder {spec.text!r}"
    values = resolve_options(repr(spec.text), family.options, options)
    preset = rule.preset(str(values["preset"]))
    _refuse_changes(values, family, where=where)
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise EncoderError(
            f"{entry.display} needs torch and transformers ({error})", where=where, cure=entry.install or ""
        ) from error
    source, trust = _find_source(entry, values, where=where)
    on_cuda = str(values["device"]).startswith("cuda") or (values["device"] == "auto" and torch.cuda.is_available())
    dtype = str(values["dtype"] or (preset.cuda_dtype if on_cuda else preset.dtype))
    network = load_network(source, rule, preset, where=where, trust=trust, dtype=dtype, device=str(values["device"]))
    encoder = TokenEncoder(entry, family, network, source, values, dtype)
    if not values["folder"] and values["layer"] == "last" and encoder.info.width != entry.width:
        raise EncoderError(
            f"the model is {encoder.info.width} wide, and {entry.display} is {entry.width}",
            where=where,
            cure="the files are not those of the registry's revision: leave revision= out",
        )
    return encoder


def _refuse_changes(values: Mapping[str, Setting], family: Family, *, where: str) -> None:
    if values["preset"] != "reference":
        return
    defaults = {option.name: option.default for option in family.options}
    for name in FIXED_BY_REFERENCE:
        if values[name] != defaults[name]:
            raise UsageError(
                f"preset=reference is what GENEB's extractor does, so {name} cannot be chosen",
                where=where,
                cure=f"leave {name}= out, or use preset=normalized",
            )


def _find_source(entry: ModelEntry, values: Mapping[str, Setting], *, where: str) -> tuple[Source, bool]:
    trust, pickle = bool(values["trust_remote_code"]), bool(values["allow_pickle"])
    folder = values["folder"]
    if folder:
        return find_source(f"{folder}/", where=where, allow_pickle=pickle), trust
    revision = str(values["revision"] or entry.hub_revision or "") or None
    if entry.hub_id is None:
        raise EncoderError(
            f"{entry.display} is not on the hub", where=where, cure="download its files and add folder=FOLDER"
        )
    check_revision(revision, where=where, trust=trust)
    subject = entry.hub_id + (f"@{revision}" if revision else "")
    return find_source(subject, where=where, allow_pickle=pickle), trust
