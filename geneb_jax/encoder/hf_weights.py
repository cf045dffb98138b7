"""Which weight files of a folder are read, and whether the model took what they hold.

Transformers reads ``model.safetensors``, else the files that its index names, and passes over whatever else lies in
the folder. What it passes over is refused where it may be a part of the model, and named where it is another copy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geneb_jax.encoder.hf_files import read_json
from geneb_jax.errors import EncoderError

_PART = re.compile(r".+-\d{5}-of-\d{5}\.(safetensors|bin)")
_OTHER_FORMATS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.gguf", "*.npz")
TRAINERS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state.*)\.(bin|pt|pth)")
_ADAPTER = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|ia3_l|base_layer|modules_to_save)\b")
_MERGE = "merge the adapter into its base model and give the folder of that: peft's `model.merge_and_unload()`, then "
_UNREAD = ("pooler.", "contact_head.")


def read_files(folder: Path, *, safetensors: bool) -> list[Path]:
    """The files that transformers takes the weights from."""
    stem, kind = ("model", "safetensors") if safetensors else ("pytorch_model", "bin")
    explicit = read_json(folder / "config.json").get("transformers_weights")
    whole = folder / (explicit if safetensors and isinstance(explicit, str) else f"{stem}.{kind}")
    if whole.is_file() and not whole.name.endswith(".index.json"):
        return [whole]
    index = whole if whole.name.endswith(".index.json") else folder / f"{stem}.{kind}.index.json"
    parts = read_json(index).get("weight_map")
    return [folder / name for name in sorted(set(parts.values()))] if isinstance(parts, dict) else []


def check_read(folder: Path, *, safetensors: bool, where: str) -> tuple[str, ...]:
    """Names of weight files that nothing reads, other copies of the model. Raises EncoderError for parts of one."""
    refuse_adapter(folder, where=where)
    read = {path.name for path in read_files(folder, safetensors=safetensors)}
    kinds = ("*.safetensors", *_OTHER_FORMATS)
    found = {path.name for kind in kinds for path in folder.glob(kind) if not TRAINERS.fullmatch(path.name)}
    left = sorted(found - read)
    suffix = ".safetensors" if safetensors else ".bin"
    parts = [name for name in left if _PART.fullmatch(name) and name.endswith(suffix)]
    if parts and read:
        raise EncoderError(
            f"{parts[0]} is a part of some weights, and no index that is read names it "
            f"(read: {', '.join(sorted(read)[:3])})",
            where=f"{where}: {folder}",
            cure="leave the files of one save in the folder: all parts with their index, or model.safetensors alone",
        )
    return tuple(left)


def refuse_adapter(folder: Path, *, where: str) -> None:
    """Raise EncoderError for a folder that holds an adapter, which would be left out or replace the weights."""
    found = [name for name in ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
             if (folder / name).exists()]  # fmt: skip
    if found:
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        raise EncoderError(
            f"the folder holds an adapter ({', '.join(found)}), not the weights of a whole model",
            where=f"{where}: {folder}",
            cure=f"{_MERGE}`save_pretrained(folder)`" + (f"; its base is {base}" if isinstance(base, str) else ""),
        )


def judge_names(model: Any, unexpected: Sequence[str], *, where: str, own_code: bool) -> None:
    """Raise EncoderError for weights of the model's own body that are in the files and have no place in the model.

    Those of a task head are left out on purpose. Authors' own code may leave weights out as well, but no layers.
    """
    adapters = [name for name in unexpected if _ADAPTER.search(name)]
    if adapters:
        raise EncoderError(
            f"the files hold weights of an adapter, which this model would leave out, such as {adapters[0]}",
            where=where,
            cure=f"{_MERGE}`save_pretrained(folder)`",
        )
    prefix = f"{getattr(model, 'base_model_prefix', '') or ''}."
    parts = {name.split(".")[0] for name, _ in model.named_parameters()}
    inner = [(name, name.removeprefix(prefix)) for name in unexpected]
    body = [(n, i) for n, i in inner if (n != i or i.split(".")[0] in parts) and not i.startswith(_UNREAD)]
    left_out = [name for name, short in body if _beyond(model, name) or _beyond(model, short)]
    if not left_out and not own_code:
        left_out = [name for name, _ in body if name.endswith((".weight", ".bias", ".gamma", ".beta"))]
    if left_out:
        raise EncoderError(
            f"{len(left_out)} weights in the files have no place in {type(model).__name__} as config.json describes "
            f"it, such as {sorted(left_out)[0]}",
            where=where,
            cure="config.json and weights are not of one model (fewer layers, another architecture): get both again "
            "from one place",
        )


def _beyond(model: Any, name: str) -> bool:
    """Whether a weight is of a layer past the last: its list is in the model, its number is not."""
    pieces = name.split(".")
    for at, piece in enumerate(pieces):
        if at and piece.isdigit():
            try:
                held = model.get_submodule(".".join(pieces[:at]))
            except AttributeError:
                return False
            if hasattr(held, "__len__") and int(piece) >= len(held):
                return True
    return False
