"""What a folder in the hub's layout may ask for before anything in it is opened by a library.

Weights are named by an index file and described by a header, code by ``auto_map``: each is text that anybody can
have written. What points out of the folder, or claims more than the file holds, is refused here with its name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from geneb_jax.errors import EncoderError

_PLAIN_NAME = re.compile(r"\w[\w.+-]*")
_MOST_HEADER = 100_000_000  # the limit of the safetensors library itself


def check_files(folder: Path, *, where: str, reads: str = "", again: str | None = None) -> None:
    """Raise EncoderError for an index that names files elsewhere, an impossible header, and foreign attention code.

    The parts named by the index of the format ``reads`` (safetensors, bin) have to be there; ``again`` is the cure
    for those that are not.
    """
    config = folder / "config.json"
    kernel = read_json(config).get("attn_implementation")
    if isinstance(kernel, str) and "/" in kernel:
        raise EncoderError(
            f"config.json asks for the attention code {kernel!r} of the hub",
            where=f"{where}: {folder}",
            cure="take attn_implementation out of config.json",
        )
    if config.is_file() and not _is_object(config):
        raise EncoderError(
            "config.json is no JSON object", where=f"{where}: {config}", cure=again or "get the file again"
        )
    for index in sorted(folder.glob("*.index.json")):
        used = bool(reads) and index.name.endswith(f".{reads}.index.json")
        _check_index(folder, index, where=where, used=used, again=again)
    for file in sorted(folder.glob("*.safetensors")):
        fault = _header_fault(file)
        if fault:
            raise EncoderError(
                f"{file.name} is no sound file of weights: {fault}",
                where=f"{where}: {file}",
                cure=again or "download it again; if that does not help, the model's repository is broken or malicious",
            )


def _check_index(folder: Path, index: Path, *, where: str, used: bool, again: str | None) -> None:
    found = read_json(index).get("weight_map")
    names = set(found.values()) if isinstance(found, dict) else {None}
    for name in sorted(names, key=str):
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            raise EncoderError(
                f"{index.name} names {name!r} as a file of weights, which is not a file of this folder",
                where=f"{where}: {index}",
                cure="do not use this copy of the model: a sound index names files beside it, such as "
                "model-00001-of-00002.safetensors",
            )
        if used and not (folder / name).is_file():
            raise EncoderError(
                f"{name}, a part of the weights, is missing",
                where=f"{where}: {index}",
                cure=again or "download it as well",
            )


def _is_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def is_pointer(file: Path) -> bool:
    """Whether a file is what git leaves in place of a large one until that is fetched."""
    with file.open("rb") as stream:
        return stream.read(24) == b"version https://git-lfs."


def _header_fault(file: Path) -> str | None:
    """What is wrong with the header of a safetensors file, or None."""
    if is_pointer(file):
        return "it is the note that git-lfs leaves until the file itself is fetched"
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            return f"its header claims {length:,} bytes, and the file has {size:,}"
        try:
            header = json.loads(stream.read(length))
        except ValueError:
            return "its header is not JSON"
    if not isinstance(header, dict):
        return "its header is not a table"
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if not (isinstance(offsets, list) and len(offsets) == 2 and all(isinstance(n, int) for n in offsets)):
            return f"its header does not say where {name!r} lies"
        if not 0 <= offsets[0] <= offsets[1] <= size - 8 - length:
            return f"its header says that {name!r} lies at bytes {offsets[0]:,} to {offsets[1]:,}, past the file's end"
    return None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file; empty where there is none, for the library that reads it to complain."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
