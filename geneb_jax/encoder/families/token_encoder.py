"""One encoder for all token families: what differs between them is in their `Rule`."""

from __future__ import annotations

import contextlib
import copy
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import Work, is_out_of_memory, run_batches
from geneb_jax.encoder.counting import Counts, TokenCounter, respelled
from geneb_jax.encoder.families.base import Family, Preset, Rule
from geneb_jax.encoder.families.loading import Network, layer_widths
from geneb_jax.encoder.hf_advice import told
from geneb_jax.encoder.hf_history import PROBE, check_first_token, check_history
from geneb_jax.encoder.hf_source import Source, unread_note
from geneb_jax.encoder.hf_state import fresh_copy
from geneb_jax.encoder.hf_tokens import Window, batches
from geneb_jax.encoder.info import EncoderInfo, Setting, minor_version
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import display_name
from geneb_jax.encoder.token_views import TokenWindows, View, chosen_views, token_budget, window_vectors
from geneb_jax.errors import EncoderError, UsageError

_RULE = 1  # raise it when a rule, tokenising or pooling below changes a vector
_OFFICIAL_ROWS = 4  # the default of GENEB's command
_AT_ONCE = 256
_SHORT = "ACGTACGTTTGCAACGTACGTTAC"
_OTHERS_CODE = "check that the files are those of the model, and that its code suits the installed libraries"


class TokenEncoder:
    """A token model under the rule of its family and one preset. Made by `load`.

    One view as loaded; `select_views` gives more from the same forward pass, in the normalized preset.
    """

    def __init__(
        self, entry: ModelEntry, family: Family, network: Network, source: Source, values: Mapping[str, Setting]
    ) -> None:
        """``values`` are all options. The model is moved to its devices."""
        self.reload: Callable[[], TokenEncoder] | None = None  # the same model in float32
        from geneb_jax.encoder import hf_model

        self._entry, self._family, self._network, self._source = entry, family, network, source
        self._tokenizer, self.thymine = respelled(network.tokenizer)
        self._counter = TokenCounter(self._tokenizer)
        self._values = dict(values)
        self.notes = unread_note(source.unread)
        self._where = f"encoder {entry.display!r}"
        self._torch_side = hf_model
        self._rule: Rule = family.rule or Rule()
        self._is_reference = values["preset"] == "reference"
        self._preset: Preset = self._rule.preset(str(values["preset"]))
        self._side = network.padding_side if self._preset.side == "tokenizer" else self._preset.side
        self._padding = self._find_padding()
        self._rows = self._find_rows(values["batch_rows"])
        self._limit = self._find_limit(values["max_tokens"])
        self._devices = hf_model.pick_devices(str(values["device"]), where=self._where)
        self._autocast = network.dtype.startswith("autocast-") and self._devices[0] != "cpu"
        self.budget = token_budget(values["batch_tokens"], self._devices[0])
        self._widths = self._find_widths(network.model.to(self._devices[0]))
        self._replicas = hf_model.replicate(network.model, self._devices, compiled=bool(values.get("compile")))
        # a folder that holds something else does not go by the model's name alone
        is_it = self._widths[-1] == entry.width
        self._name = entry.display if is_it else f"{entry.display}@{source.name}"
        self._views: tuple[View, ...] = (
            self._view(str(values["layer"]), str(values["pooling"] or self._preset.pooling)),
        )

    @property
    def info(self) -> EncoderInfo:
        """Identity of the first view, which is the only one of an encoder as loaded."""
        return self._views[0].info

    @property
    def views(self) -> tuple[EncoderInfo, ...]:
        """Identity of every view."""
        return tuple(view.info for view in self._views)

    def select_views(self, layers: Sequence[str], poolings: Sequence[str]) -> TokenEncoder:
        """The same model, read at every layer with every pooling. Raises UsageError and EncoderError."""
        if self._is_reference:
            raise UsageError(
                "preset=reference is what GENEB's extractor does, so layers and poolings cannot be chosen",
                where=self._where,
                cure="use preset=normalized",
            )
        other = copy.copy(self)
        other._views = chosen_views(
            layers or [str(self._values["layer"])],
            poolings or [self._views[0].pooling],
            len(self._widths) - 1,
            self._view,
        )
        return other

    def in_float32(self) -> TokenEncoder:
        """The same views computed in float32, loaded beside this one: what half precision is measured against."""
        if self.reload is None:
            raise EncoderError("the model cannot be loaded again", where=self._where, cure="load it by its name")
        other = self.reload()
        other._views = tuple(other._view(view.layer_name, view.pooling) for view in self._views)
        return other

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. Raises EncoderError, naming the sequence, for one that cannot be read.

        In a reference preset that pads by batch, the order and the length of the list change the vectors.
        """
        return self.encode_views(sequences)[0]

    def encode_views(self, sequences: Sequence[str]) -> list[NumpyFloat]:
        """float32 ``(n, width)`` for each view. Raises as `encode` does."""
        return self.compute(self.prepare(sequences))

    def prepare(self, sequences: Sequence[str]) -> TokenWindows:
        """Windows of tokens: ids cut to the limit, or the family's windows. Raises as `encode` does."""
        rule, room = self._rule, None
        if self._limit is not None:
            room = self._limit - self._network.template.num_tokens
        made: list[Window] = []
        for row, ids in enumerate(self._ids(sequences)):
            if not ids and not (self._is_reference and rule.front):
                raise EncoderError(
                    f"the sequence is shorter than one token of {rule.multiple} bases"
                    if rule.multiple > 1
                    else "the tokenizer makes no token of this sequence",
                    where=f"{self._where}: sequence {row + 1} of {len(sequences)}, {sequences[row][:40]!r}",
                    cure="remove the sequence, or use an encoder that reads its letters",
                )
            if rule.window is None or rule.stride is None:
                made.append(Window(row, ids[:room]))
                continue
            starts = range(0, max(0, len(ids) - rule.window) + rule.stride, rule.stride)
            made.extend(Window(row, ids[start : start + rule.window]) for start in starts)
        return TokenWindows(made, len(sequences))

    def count_letters(self, sequences: Sequence[str]) -> Counts | None:
        """What of each sequence is not read; None where the tokenizer does not show its vocabulary."""
        windows = self._rule.window is not None
        room = None if self._limit is None or windows else self._limit - self._network.template.num_tokens
        return self._counter.count(sequences, room, self._rule.multiple) if self._counter.can_tell else None

    def compute(self, prepared: TokenWindows, done: Callable[[int], None] | None = None) -> list[NumpyFloat]:
        """One array for each view; ``done`` is told how many more sequences are finished."""
        made, extra = prepared.windows, self._network.template.num_tokens

        def run(workers: Sequence[Work], tell: Work) -> None:
            if self._rows is not None:
                self._run_as_given(len(made), workers[0], tell)
                return
            run_batches(
                list(batches(made, extra, self.budget.most or 1, equal_lengths=self._padding == "equal")),
                [len(window.content) + extra for window in made],
                workers,
                self.budget,
                where=self._where,
                done=tell,
            )

        copies = zip(self._replicas, self._devices, strict=True)
        vectors = window_vectors(prepared, self._views, [partial(self._forward, *pair) for pair in copies], run, done)
        return [self._average([window.row for window in made], part, prepared.num_rows) for part in vectors]

    def _run_as_given(self, count: int, work: Work, tell: Work) -> None:
        """Batches in the order of the list, whatever the memory: a smaller batch would be another vector."""
        places = list(range(count))
        rows = self._rows or 1
        for start in places[::rows]:
            batch = places[start : start + rows]
            try:
                work(batch)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise EncoderError(
                    f"memory does not suffice for a batch of {len(batch)}, and in this reference preset a vector "
                    "depends on its batch",
                    where=self._where,
                    cure="give batch_rows=1, which is recorded, or use preset=normalized",
                ) from error
            tell(batch)

    def _average(self, rows: Sequence[int], vectors: NumpyFloat, num_rows: int) -> NumpyFloat:
        """The plain mean over the windows of a sequence."""
        if len(rows) == num_rows:
            return vectors
        out = np.zeros((num_rows, vectors.shape[1]), dtype=np.float32)
        share = 1 / np.bincount(rows, minlength=num_rows).astype(np.float32)[rows]
        np.add.at(out, rows, vectors * share[:, None])
        return out

    def _ids(self, sequences: Sequence[str]) -> Iterator[Sequence[int]]:
        rule, known = self._rule, self._network.vocabulary
        for start in range(0, len(sequences), _AT_ONCE):
            part = sequences[start : start + _AT_ONCE]
            with told("the tokenizer fails", where=self._where, cure=_OTHERS_CODE):
                encoded = self._tokenizer(
                    [s[: len(s) // rule.multiple * rule.multiple] for s in part],
                    add_special_tokens=False,
                    return_attention_mask=False,
                    return_token_type_ids=False,
                    verbose=False,
                )
            for sequence, found in zip(part, encoded["input_ids"], strict=True):
                ids = array("i", found)
                self._torch_side.check_ids(ids, known, where=f"{self._where}: sequence {sequence[:40]!r}")
                yield ids

    def _forward(self, model: Any, device: str, batch: Sequence[Window]) -> list[NumpyFloat]:
        inputs, counted, real = self._inputs(batch, device)
        size = "x".join(map(str, inputs["input_ids"].shape))
        with told(f"the model fails on a batch of {size} tokens", where=self._where, cure=_OTHERS_CODE):
            with self._precision():
                states = self._network.read(model, inputs, list(dict.fromkeys(view.layer for view in self._views)))
            pooled = [self._pool(states[view.layer], counted, real, view.pooling) for view in self._views]
            return [part.cpu().numpy() for part in pooled]

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        import torch

        with torch.autocast("cuda", torch.bfloat16) if self._autocast else contextlib.nullcontext():
            yield

    def _pool(self, hidden: Any, counted: Any, real: Any, pooling: str) -> Any:
        if pooling == "cls":
            return hidden.float()[range(len(hidden)), real.int().argmax(dim=1)]
        if pooling == "counted-row":
            # BioFM's own index: the number of tokens less two, as if they always began at position 0
            return hidden.float()[range(len(hidden)), real.sum(dim=1) - 2]
        return self._torch_side.pool(hidden, counted, pooling)

    def _inputs(self, batch: Sequence[Window], device: str) -> tuple[dict[str, Any], Any, Any]:
        """Padded ids, with their mask where the model takes one; which tokens count, and which are no padding."""
        import torch

        front, behind = self._network.template.prefix, self._network.template.suffix
        longest = max(len(w.content) for w in batch) + len(front) + len(behind)
        if self._preset.to_limit and self._limit is not None:
            longest = self._limit
        ids = np.full((len(batch), longest), self._network.filler or 0, dtype=np.int64)
        real = np.zeros((len(batch), longest), dtype=bool)
        counted = np.zeros((len(batch), longest), dtype=bool)
        for i, window in enumerate(batch):
            size = len(front) + len(window.content) + len(behind)
            begin = longest - size if self._side == "left" else 0
            start, end = begin + len(front), begin + size
            stop = end - len(behind)
            ids[i, begin:start], ids[i, start:stop], ids[i, stop:end] = front, window.content, behind
            real[i, begin:end] = counted[i, start:stop] = True
        if self._padding == "counted":
            counted[:] = True
        elif self._preset.special_tokens:
            counted = real
        inputs = {"input_ids": torch.from_numpy(ids).to(device)}
        if self._network.takes_mask and self._preset.mask:
            inputs["attention_mask"] = torch.from_numpy(real.astype(np.int64)).to(device)
        return inputs, torch.from_numpy(counted).to(device), torch.from_numpy(real).to(device)

    def _find_padding(self) -> str:
        asked = self._preset.padding
        if asked == "masked" and (not self._network.takes_mask or self._network.filler is None):
            return "equal"
        return asked

    def _find_rows(self, asked: Setting) -> int | None:
        """Sequences in a batch where the batch is part of the rule, else None."""
        if self._padding in ("seen", "counted"):
            return max(1, int(asked)) if asked is not None else _OFFICIAL_ROWS
        if asked not in (None, 1):
            raise UsageError(
                "the official extractor embeds only the first sequence of a batch, so the others have no vector"
                if self._padding == "alone"
                else "a vector does not depend on its batch here",
                where=self._where,
                cure="leave batch_rows out; batch_tokens limits the memory that a batch takes",
            )
        return 1 if self._padding == "alone" else None

    def _find_limit(self, asked: Setting) -> int | None:
        """The most tokens of one pass, special ones included."""
        num_special, window = self._network.template.num_tokens, self._rule.window
        if asked is not None:
            limit: int | None = int(asked)
        elif not self._preset.limited:
            limit = None
        else:
            stated = self._entry.max_tokens if window is None else window + num_special
            limit = min((n for n in (stated, self._network.limit) if n is not None), default=None)
        if limit is not None and limit <= num_special:
            raise UsageError(
                f"max_tokens={limit} leaves no room for a sequence beside {num_special} special tokens",
                where=self._where,
                cure=f"give at least {num_special + 1}",
            )
        if limit is not None and window is not None and limit < window + num_special:
            raise EncoderError(
                f"the model reads {limit} tokens, and this family's windows have {window + num_special}",
                where=self._where,
                cure="the files are not those of this model",
            )
        return limit

    def _find_widths(self, model: Any) -> list[int]:
        """Width of every layer from the input embeddings on; of the last alone where the model shows no other."""
        template, where = self._network.template, self._where
        self._torch_side.check_ids((*template.prefix, *template.suffix), self._network.vocabulary, where=where)
        inputs = [self._probe(sequence) for sequence in (_SHORT, PROBE)]
        probed = fresh_copy(model)  # the model itself meets its first sequence as it was loaded
        widths = layer_widths(self._network, model if probed is None else probed, inputs[0], where=where)
        if not self._is_reference:
            check_history(model, inputs[0], inputs[1], partial(self._hidden, layer=None), where=where)
        return widths

    def _probe(self, sequence: str, *, turned: bool = False) -> dict[str, Any]:
        """Inputs of one short window."""
        window = self.prepare([sequence]).windows[0]
        content = window.content[:256]
        return self._inputs([replace(window, content=content[::-1] if turned else content)], self._devices[0])[0]

    def _hidden(self, model: Any, inputs: dict[str, Any], *, layer: int | None) -> Any:
        with self._precision():
            return self._network.read(model, inputs, [layer])[layer]

    def _view(self, layer: str, pooling: str) -> View:
        """A view by the names of its layer and pooling. Raises UsageError and EncoderError."""
        if pooling == "cls" and not self._network.template.prefix:
            raise EncoderError(
                "pooling=cls needs a special token in front, and this family has none",
                where=self._where,
                cure="use pooling=mean or pooling=last",
            )
        index, recorded = self._find_layer(layer)
        if pooling == "cls" and index != 0 and not self._is_reference:
            inputs = [self._probe(_SHORT, turned=turned) for turned in (False, True)]
            check_first_token(self._network.model, inputs, partial(self._hidden, layer=index), where=self._where)
        values, preset = self._values, self._preset
        defects = (*self._entry.defects, preset.defect) if self._is_reference else ()
        seeds_batch = self._padding in ("seen", "counted")
        asked = {**values, "layer": layer, "pooling": None if pooling == preset.pooling else pooling}
        if values["dtype"] in (preset.dtype, preset.cuda_dtype):
            asked["dtype"] = None  # asked for, and what it would have been
        unusual = {"untrained_seed": values.get("random_weights"), "compile": values.get("compile") or None}
        unusual["thymine"] = "U" if self.thymine == "U" else None
        return View(
            index,
            pooling,
            EncoderInfo(
                name=display_name(self._name, self._family.options, asked),
                family=self._entry.family,
                revision=self._source.revision,
                width=self._widths[-1 if index is None else index],
                settings={
                    "rule": _RULE,
                    "preset": str(values["preset"]),
                    "defect": "; ".join(filter(None, defects)) or None,
                    "architecture": self._network.kind,
                    "pooling": pooling,
                    "special_tokens": None if pooling == "cls" else preset.special_tokens,
                    "layer": recorded,
                    "max_tokens": self._limit,
                    "dtype": self._network.dtype,
                    "padding": self._padding,
                    "padding_side": self._side if seeds_batch else None,
                    "batch_rows": self._rows,
                    "random_weights": self._network.random_weights or None,
                    # left out where they are not asked for, as in stores from before these options
                    **{name: value for name, value in unusual.items() if value is not None},
                },
                libraries={name: minor_version(name) for name in ("torch", "transformers", "tokenizers")},
            ),
        )

    def _find_layer(self, asked: str) -> tuple[int | None, Setting]:
        """Index into the hidden states (None: last), and the layer as recorded."""
        num = len(self._widths) - 1
        if asked in ("last", "-1") or (num and asked == str(num)):
            return None, "last"
        if not num:
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
