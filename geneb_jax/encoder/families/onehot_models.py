"""Encoders of models that read one-hot letters, by the rules of `onehot_rules`. Imports torch when they are loaded."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.counting import Counts, count_outside
from geneb_jax.encoder.families import loader
from geneb_jax.encoder.families.base import Family
from geneb_jax.encoder.families.loading import Network
from geneb_jax.encoder.families.onehot_rules import BINS, Bins
from geneb_jax.encoder.families.token_encoder import TokenEncoder
from geneb_jax.encoder.flax.buckets import ONE_HOT
from geneb_jax.encoder.hf_advice import told
from geneb_jax.encoder.hf_source import Source
from geneb_jax.encoder.info import EncoderInfo, Setting, minor_version
from geneb_jax.encoder.letters import to_bytes
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import EncoderSpec, display_name, resolve_options
from geneb_jax.errors import EncoderError

_RULE = 1  # raise it when the window or the pooling below changes a vector
_HEADS = ("_heads.", "heads.", "tracks.")  # never read here
_GAMMA_BINS = 1536


def load_tokens(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> TokenEncoder:
    """A token model that is fed its ids one-hot. Raises as `loader.load` does."""
    return loader.load(family, entry, spec, options, adapt=_one_hot)


def _one_hot(network: Network) -> Network:
    """The published code multiplies its input with the word embeddings, so a base may also be a distribution."""
    size = int(network.model.config.vocab_size)

    def read(model: Any, inputs: dict[str, Any], layers: Sequence[int | None]) -> dict[int | None, Any]:
        import torch

        ids = inputs["input_ids"]
        letters = torch.nn.functional.one_hot(ids, num_classes=size).to(model.dtype)
        with torch.inference_mode():
            out = model(
                letters,
                attention_mask=inputs.get("attention_mask"),
                output_hidden_states=any(layer is not None for layer in layers),
                return_dict=True,
            )
        return {layer: out.last_hidden_state if layer is None else out.hidden_states[layer] for layer in layers}

    # layers are found by a pass over ids, which this code does not read: the last one is what there is
    return replace(network, read=read, shows_layers=False)


def _told(where: str) -> AbstractContextManager[None]:
    return told("the model fails on a window", where=where, cure="check that the files and the code are of one version")


class BinEncoder:
    """The trunk of a model over bins, averaged. Made by `load_bins`."""

    promises = ("lower case",)
    thymine = "T"

    def __init__(
        self, entry: ModelEntry, family: Family, rule: Bins, model: Any, source: Source, values: Mapping[str, Setting]
    ) -> None:
        from geneb_jax.encoder import hf_model

        where = f"encoder {entry.display!r}"
        self._torch_side, self._where = hf_model, where
        self._family = family.key
        self._is_reference = values["preset"] == "reference"
        self._rows = max(1, int(values["batch_rows"] or 1))
        self._device = hf_model.pick_devices(str(values["device"]), where=where)[0]
        self._window = int(entry.max_tokens or 0)
        self._bin = 2 ** int(model.config.num_downsamples)
        num_bins = self._window // self._bin
        self._target = int(model.config.target_length)
        if not 0 < self._target <= num_bins:
            raise EncoderError(
                f"the model gives {self._target} bins, and a window of {self._window:,} bases has {num_bins}",
                where=where,
                cure="the files are not those of this model",
            )
        gamma = rule.tf_gamma and not self._is_reference and num_bins == _GAMMA_BINS
        for module in model.modules():
            if hasattr(module, "use_tf_gamma"):
                module.use_tf_gamma = gamma
        self._model = model.eval().to(self._device)
        defects = [*entry.defects, rule.defect] if self._is_reference else []
        self.info = EncoderInfo(
            name=display_name(entry.display, family.options, values),
            family=entry.family,
            revision=source.revision,
            width=2 * int(model.config.dim),
            settings={
                "rule": _RULE,
                "preset": str(values["preset"]),
                "defect": "; ".join(filter(None, defects)) or None,
                "window": self._window,
                "bins": self._target,
                "pooling": "all bins" if self._is_reference else "bins of the sequence",
                "tf_gamma": gamma,
                "dtype": "float32",
            },
            libraries={name: minor_version(name) for name in ("torch", "transformers")},
        )

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. A longer sequence than the window is cut on both sides."""
        import torch

        out = np.zeros((len(sequences), self.info.width), dtype=np.float32)
        for start in range(0, len(sequences), self._rows):
            part = sequences[start : start + self._rows]
            x = torch.from_numpy(np.stack([self._place(s) for s in part])).to(self._device)
            with (
                _told(self._where),
                torch.inference_mode(),
                self._torch_side._exact_float32(self._device.split(":")[0]),
            ):
                bins = _TRUNKS[self._family](self._model, x)
                for i, sequence in enumerate(part):
                    first, last = self.covered(len(sequence))
                    out[start + i] = bins[i, first:last].mean(dim=0).cpu().numpy()
        return out

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters that are no base, which are zeros, and those past the window."""
        return count_outside(sequences, ONE_HOT.any(axis=1), self._window)

    def covered(self, length: int) -> tuple[int, int]:
        """The bins that are averaged, as a range: all of them in the reference preset."""
        if self._is_reference or length == 0:
            return 0, self._target
        length = min(length, self._window)
        left = (self._window - length) // 2
        cropped = (self._window // self._bin - self._target) // 2
        first = max(0, left // self._bin - cropped)
        last = min(self._target - 1, (left + length - 1) // self._bin - cropped)
        return first, last + 1

    def _place(self, sequence: str) -> NumpyFloat:
        letters: NumpyFloat = ONE_HOT[to_bytes(sequence)]
        spare = len(letters) - self._window
        if spare >= 0:
            return letters[spare // 2 : spare // 2 + self._window]
        x = np.zeros((self._window, 4), dtype=np.float32)
        x[(-spare) // 2 : (-spare) // 2 + len(letters)] = letters
        return x


def load_bins(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> BinEncoder:
    """The encoder of a model over bins. Raises UsageError and EncoderError."""
    where = f"encoder {spec.text!r}"
    rule = BINS[family.key]
    values = resolve_options(repr(spec.text), family.options, options)
    try:
        code = importlib.import_module(rule.module)
    except ImportError as error:
        raise EncoderError(
            f"{entry.display} runs in the code of {rule.module}, which cannot be imported ({error})",
            where=where,
            cure=rule.install,
        ) from error
    source = loader.find_entry_source(entry, values, where=where)
    try:
        model = _BUILDERS[family.key](code, source)
        missing = _fill(model, _weights(source))
    except Exception as error:  # other people's code, and damaged files, can fail in any way
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(
            f"{rule.module} cannot load {entry.display}: {first}",
            where=f"{where}: {source.folder}",
            cure="check the files, and the versions that the code asks for",
        ) from error
    if missing:
        raise EncoderError(
            f"{len(missing)} weights of {entry.display} are not in the files and would be random, such as {missing[0]}",
            where=f"{where}: {source.folder}",
            cure="the files are not those of this model",
        )
    encoder = BinEncoder(entry, family, rule, model, source, values)
    if not values["folder"] and encoder.info.width != entry.width:
        raise EncoderError(
            f"the model is {encoder.info.width} wide, and {entry.display} is {entry.width}",
            where=where,
            cure="the files are not those of the registry's revision: leave revision= out",
        )
    return encoder


def _enformer(code: Any, source: Source) -> Any:
    config = importlib.import_module(f"{code.__name__}.config_enformer").EnformerConfig
    return code.Enformer(config.from_pretrained(source.folder))


def _space(code: Any, source: Source) -> Any:
    # the config's module is imported by the model's own, under a name that has changed between versions
    return code.Space(code.SpaceConfig.from_pretrained(source.folder))


_BUILDERS = {"enformer": _enformer, "space": _space}
_TRUNKS = {
    "enformer": lambda model, x: model(x, return_only_embeddings=True),
    "space": lambda model, x: model(x, return_embeddings=True, target_length=model.config.target_length)[-1],
}


def _weights(source: Source) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    if source.has_safetensors:
        for file in sorted(source.folder.glob("*.safetensors")):
            state.update(load_file(file))
    else:
        for file in sorted(source.folder.glob("pytorch_model*.bin")):
            # the restricted unpickler, which builds tensors and plain containers alone
            state.update(torch.load(file, map_location="cpu", weights_only=True))
    if state and all(name.startswith("model.") for name in state):  # SPACE saves the model within its trainer's
        return {name.removeprefix("model."): value for name, value in state.items()}
    return state


def _fill(model: Any, state: Mapping[str, Any]) -> list[str]:
    """Load the weights; returns the names of those that are missing.

    The code keeps its trunk under two names, and safetensors keeps a shared array under one of them.
    """
    model.load_state_dict(state, strict=False)
    named = model.state_dict(keep_vars=True)
    filled = {id(value) for name, value in named.items() if name in state}
    return sorted(
        name
        for name, value in named.items()
        if id(value) not in filled and not name.startswith(_HEADS) and not name.endswith("num_batches_tracked")
    )
