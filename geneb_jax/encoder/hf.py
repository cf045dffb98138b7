"""``hf:FOLDER`` and ``hf:ORG/NAME[@REVISION]``: pretrained models through torch and transformers.

Token vectors of one layer become one vector: ``mean`` and ``max`` over the tokens that count, ``last`` of
them, or ``cls``, the special token in front. Special tokens are fed to the model but do not count unless
``special_tokens=true``. Batches are always padded on the right and masked, whatever side the tokenizer
prefers, so absolute positions start at 0 and a decoder never sees padding. A model that cannot be told
what is padding, or has no padding token, gets batches of equal lengths.

A sequence past the token limit is cut (``overflow=truncate``), refused (``error``), or read in windows of
the full limit, side by side (``windows``): their vectors are averaged with the number of counted tokens as
weight; for ``max`` the maximum is taken, for ``last`` the last window's.

``random_weights=SEED`` is the control for what training adds: the same files, tokens and rules, with the weights that
the model's own initialisation draws. Its identity names the seed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import Work, run_batches
from geneb_jax.encoder.counting import Counts, TokenCounter, respelled
from geneb_jax.encoder.hf_advice import told
from geneb_jax.encoder.hf_code import check_revision, opened
from geneb_jax.encoder.hf_history import PROBE, check_first_token, check_history
from geneb_jax.encoder.hf_source import Source, find_source, unread_note
from geneb_jax.encoder.hf_state import fresh_copy
from geneb_jax.encoder.hf_tokens import Template, Window, batches, find_template, windows
from geneb_jax.encoder.info import EncoderInfo, Setting, minor_version
from geneb_jax.encoder.kinds import HF
from geneb_jax.encoder.spec import EncoderSpec, display_name, resolve_options
from geneb_jax.encoder.token_views import TokenWindows, View, chosen_views, token_budget, window_vectors
from geneb_jax.errors import EncoderError, UsageError

_OTHERS_CODE = "check that tokenizer, configuration and weights are of one model; or wrap it in a class: MODULE:CLASS"
_RULE = 1  # raise it when tokenising, windowing or pooling below changes a vector


class HFEncoder:
    """A transformers model with its tokenizer, and the layers and poolings read from it. Made by `load`.

    One view as loaded; `select_views` gives more from the same forward pass.
    """

    def __init__(self, source: Source, values: Mapping[str, Setting], *, where: str) -> None:
        from geneb_jax.encoder import hf_load, hf_model

        trust = bool(values["trust_remote_code"])
        self._torch_side = hf_model
        self._source, self._values, self._where = source, dict(values), where
        self._overflow = str(values["overflow"])
        self._devices = hf_model.pick_devices(str(values["device"]), where=where)
        with opened(source.folder, trust=trust, where=where) as folder:
            local = replace(source, folder=folder)
            self._tokenizer = hf_load.load_tokenizer(local, where=where, trust_remote_code=trust)
            seed = values["random_weights"]
            load = hf_load.load_model if seed is None else partial(hf_load.load_random_model, seed=int(seed))
            self._model = load(
                local,
                where=where,
                dtype=str(values["dtype"]),
                attention=str(values["attention"]),
                device=self._devices[0],
                trust_remote_code=trust,
            )
        self._tokenizer, self.thymine = respelled(self._tokenizer)
        self._counter = TokenCounter(self._tokenizer)
        self.notes = unread_note(source.unread)
        self._rows = hf_model.embedding_rows(self._model)
        self._template = (
            find_template(self._tokenizer, where=where) if values["add_special_tokens"] else Template((), ())
        )
        self._count_special = bool(values["special_tokens"])
        self._has_mask = hf_model.takes_mask(self._model)
        self._filler = self._find_filler()
        self._equal_lengths = not values["padding"] or not self._has_mask or self._filler is None
        self.budget = token_budget(values["batch_tokens"], self._devices[0])
        self._limit = self._find_limit(values["max_tokens"])
        hf_model.check_ids((*self._template.prefix, *self._template.suffix), self._rows, where=where)
        short = self._probe("ACGTACGTTTGCA", 8)
        # a copy: the model itself meets its first sequence as it was loaded
        probed = fresh_copy(self._model)
        self._widths, self._last_width = hf_model.count_layers(
            self._model if probed is None else probed, self._inputs(short, self._devices[0])[0], where=where
        )
        inputs = [self._inputs(made, self._devices[0])[0] for made in (short, self._probe(PROBE, 256))]
        check_history(self._model, inputs[0], inputs[1], partial(self._hidden, layer=None), where=where)
        self._views: tuple[View, ...] = (self._view(str(values["layer"]), str(values["pooling"])),)
        self._replicas = hf_model.replicate(self._model, self._devices, compiled=bool(values["compile"]))

    def _probe(self, sequence: str, most: int) -> list[Window]:
        """One window of a few tokens."""
        room = most if self._limit is None else min(most, self._limit - self._template.num_tokens)
        made = windows(self._tokenizer, [sequence], room, "truncate", where=self._where)
        self._check_windows(made)
        return made

    def _hidden(self, model: Any, inputs: dict[str, Any], *, layer: int | None) -> Any:
        return self._torch_side.hidden_states(model, inputs, layer)

    def _check_windows(self, made: Sequence[Window]) -> None:
        for window in made:
            self._torch_side.check_ids(window.content, self._rows, where=f"{self._where}: sequence {window.row + 1}")

    @property
    def info(self) -> EncoderInfo:
        """Identity of the first view, which is the only one of an encoder as loaded."""
        return self._views[0].info

    @property
    def views(self) -> tuple[EncoderInfo, ...]:
        """Identity of every view."""
        return tuple(view.info for view in self._views)

    def select_views(self, layers: Sequence[str], poolings: Sequence[str]) -> HFEncoder:
        """The same model, read at every layer with every pooling. Raises UsageError and EncoderError."""
        other = copy.copy(self)
        other._views = chosen_views(
            layers or [str(self._values["layer"])],
            poolings or [str(self._values["pooling"])],
            0 if self._widths is None else len(self._widths) - 1,
            self._view,
        )
        return other

    def in_float32(self) -> HFEncoder:
        """The same views computed in float32, loaded beside this one: what half precision is measured against."""
        plain = {**self._values, "dtype": "float32", "compile": False, "device": self._devices[0]}
        other = HFEncoder(self._source, plain, where=self._where)
        other._views = tuple(other._view(view.layer_name, view.pooling) for view in self._views)
        return other

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. Raises EncoderError, naming the sequence, for one that cannot be read."""
        return self.encode_views(sequences)[0]

    def encode_views(self, sequences: Sequence[str]) -> list[NumpyFloat]:
        """float32 ``(n, width)`` for each view. Raises as `encode` does."""
        return self.compute(self.prepare(sequences))

    def prepare(self, sequences: Sequence[str]) -> TokenWindows:
        """Windows of tokens. Raises as `encode` does."""
        room = None if self._limit is None else self._limit - self._template.num_tokens
        with told("the tokenizer fails", where=self._where, cure=_OTHERS_CODE):
            made = windows(self._tokenizer, sequences, room, self._overflow, where=self._where)
        self._check_windows(made)
        return TokenWindows(made, len(sequences))

    def count_letters(self, sequences: Sequence[str]) -> Counts | None:
        """What of each sequence is not read; None where the tokenizer does not show its vocabulary."""
        room = None if self._limit is None or self._overflow != "truncate" else self._limit - self._template.num_tokens
        return self._counter.count(sequences, room) if self._counter.can_tell else None

    def compute(self, prepared: TokenWindows, done: Callable[[int], None] | None = None) -> list[NumpyFloat]:
        """One array for each view; ``done`` is told how many more sequences are finished."""
        made, extra = prepared.windows, self._template.num_tokens

        def run(workers: Sequence[Work], tell: Work) -> None:
            run_batches(
                list(batches(made, extra, self.budget.most or 1, equal_lengths=self._equal_lengths)),
                [len(window.content) + extra for window in made],
                workers,
                self.budget,
                where=self._where,
                done=tell,
            )

        copies = zip(self._replicas, self._devices, strict=True)
        vectors = window_vectors(prepared, self._views, [partial(self._forward, *pair) for pair in copies], run, done)
        if len(made) == prepared.num_rows:
            return vectors
        merged = zip(vectors, self._views, strict=True)
        return [self._merge(made, part, view.pooling, prepared.num_rows) for part, view in merged]

    def _forward(self, model: Any, device: str, batch: Sequence[Window]) -> list[NumpyFloat]:
        inputs, counted = self._inputs(batch, device)
        size = "x".join(map(str, inputs["input_ids"].shape))
        with told(f"the model fails on a batch of {size} tokens", where=self._where, cure=_OTHERS_CODE):
            states = self._torch_side.layer_states(model, inputs, list(dict.fromkeys(v.layer for v in self._views)))
            pooled = [self._torch_side.pool(states[view.layer], counted, view.pooling) for view in self._views]
            return [part.cpu().numpy() for part in pooled]

    def _inputs(self, batch: Sequence[Window], device: str) -> tuple[dict[str, Any], Any]:
        """Right-padded ids with their mask, and which tokens count, on the device."""
        import torch

        front, behind = self._template.prefix, self._template.suffix
        longest = max(len(w.content) for w in batch) + self._template.num_tokens
        ids = np.full((len(batch), longest), self._filler or 0, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        counted = np.zeros((len(batch), longest), dtype=bool)
        for i, window in enumerate(batch):
            start, stop = len(front), len(front) + len(window.content)
            end = stop + len(behind)
            ids[i, :start], ids[i, start:stop], ids[i, stop:end] = front, window.content, behind
            mask[i, :end] = 1
            counted[i, 0 if self._count_special else start : end if self._count_special else stop] = True
        inputs = {"input_ids": torch.from_numpy(ids).to(device)}
        if self._has_mask:
            inputs["attention_mask"] = torch.from_numpy(mask).to(device)
        return inputs, torch.from_numpy(counted).to(device)

    def _merge(self, made: Sequence[Window], vectors: NumpyFloat, pooling: str, num_rows: int) -> NumpyFloat:
        """One vector per sequence from the vectors of its windows."""
        rows = np.fromiter((w.row for w in made), dtype=np.int64, count=len(made))
        out = np.zeros((num_rows, vectors.shape[1]), dtype=np.float32)
        if pooling == "last":
            out[rows] = vectors  # windows come in order, so the last one stays
        elif pooling == "max":
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
        return self._torch_side.padding_id(self._tokenizer, self._model, self._rows)

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

    def _view(self, layer: str, pooling: str) -> View:
        """A view by the names of its layer and pooling. Raises UsageError and EncoderError."""
        (known,) = (option for option in HF.options if option.name == "pooling")
        resolve_options(repr(self._source.name), [known], {"pooling": pooling})
        if pooling == "cls" and not self._template.prefix:
            raise EncoderError(
                "pooling=cls needs a special token in front, and this tokenizer puts none",
                where=self._where,
                cure="use pooling=mean or pooling=last",
            )
        index, recorded, width = self._find_layer(layer)
        if pooling == "cls" and index != 0:  # of a list of layers, the embeddings' view fails its own check
            self._check_cls(index)
        asked = {**self._values, "layer": layer, "pooling": pooling}
        used = {
            **asked,
            "layer": recorded,
            "max_tokens": self._limit,
            # cls reads one special token whatever is counted
            "special_tokens": None if pooling == "cls" else self._count_special,
        }
        settings = {"rule": _RULE, **{o.name: used[o.name] for o in HF.options if o.changes_vectors}}
        if used["compile"]:  # rounds differently; left out where it is off, as in stores from before the option
            settings["compile"] = True
        if used["random_weights"] is None:  # likewise
            del settings["random_weights"]
        if self.thymine == "U":  # likewise: stores from before that were given T, which such a model does not know
            settings["thymine"] = "U"
        return View(
            index,
            pooling,
            EncoderInfo(
                name=display_name(self._source.name, HF.options, asked),
                family=str(self._model.config.model_type),
                revision=self._source.revision,
                width=width,
                settings=settings,
                libraries={name: minor_version(name) for name in ("torch", "transformers", "tokenizers")},
            ),
        )

    def _check_cls(self, layer: int | None) -> None:
        made = self._probe("ACGTACGTTTGCAAC", 12)
        turned = [replace(window, content=window.content[::-1]) for window in made]
        inputs = [self._inputs(part, self._devices[0])[0] for part in (made, turned)]
        check_first_token(self._model, inputs, partial(self._hidden, layer=layer), where=self._where)

    def _find_layer(self, asked: str) -> tuple[int | None, Setting, int]:
        """Index into the hidden states (None = last), the layer as recorded, and the width."""
        if self._widths is None and asked in ("last", "-1"):
            return None, "last", self._last_width
        if self._widths is None:
            raise EncoderError("the model shows its last layer only", where=self._where, cure="use layer=last")
        num = len(self._widths) - 1
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
        return (None, num, self._last_width) if index == num else (index, index, self._widths[index])


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
    if values["trust_remote_code"] and not Path(spec.subject).expanduser().is_dir():
        check_revision(spec.subject.partition("@")[2] or None, where=where)
    source = find_source(spec.subject, where=where, allow_pickle=bool(values["allow_pickle"]))
    return HFEncoder(source, values, where=where)
