"""What a folder in the hub's layout may ask for before anything in it is opened by a library.

Weights are named by an index file and described by a header, code by ``auto_map``: each is text that anybody can
have written. What points out of the folder, or claims more than the file holds, is refused here with its name.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from geneb_jax.errors import EncoderError

_PLAIN_NAME = re.compile(r"\w[\w.+-]*")
_CLASS_REFERENCE = re.compile(r"(?:(?P<repo>[\w./-]+)--)?(?P<module>\w+)\.(?P<name>\w+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_HEADER = 100_000_000  # the limit of the safetensors library itself
_CODE_FILES = ("config.json", "tokenizer_config.json", "processor_config.json")


def check_files(folder: Path, *, where: str) -> None:
    """Raise EncoderError for an index that names files elsewhere, an impossible header, and foreign attention code."""
    kernel = read_json(folder / "config.json").get("attn_implementation")
    if isinstance(kernel, str) and "/" in kernel:
        raise EncoderError(
            f"config.json asks for the attention code {kernel!r} of the hub",
            where=f"{where}: {folder}",
            cure="take attn_implementation out of config.json",
        )
    for index in sorted(folder.glob("*.index.json")):
        _check_index(folder, index, where=where)
    for file in sorted(folder.glob("*.safetensors")):
        fault = _header_fault(file)
        if fault:
            raise EncoderError(
                f"{file.name} is no sound file of weights: {fault}",
                where=f"{where}: {file}",
                cure="download it again; if that does not help, the model's repository is broken or malicious",
            )


def _check_index(folder: Path, index: Path, *, where: str) -> None:
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
        if not (folder / name).is_file():
            raise EncoderError(
                f"{name}, a part of the weights, is missing", where=f"{where}: {index}", cure="download it as well"
            )


def _header_fault(file: Path) -> str | None:
    """What is wrong with the header of a safetensors file, or None."""
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


def code_named_by(folder: Path) -> list[str]:
    """The files of a folder that name Python code to run."""
    return [name for name in _CODE_FILES if read_json(folder / name).get("auto_map")]


def refuse_own_code(folder: Path, *, where: str) -> None:
    """Raise EncoderError for a folder whose files name Python code to run."""
    needed = code_named_by(folder)
    if needed:
        names = ", ".join(sorted(path.name for path in folder.glob("*.py"))) or "which is not in the folder"
        raise EncoderError(
            f"the model runs its authors' own Python code ({names})",
            where=f"{where}: auto_map in {' and '.join(needed)}",
            cure="read it, then add trust_remote_code=true if you trust it",
        )


def check_revision(revision: str | None, *, where: str) -> None:
    """Raise EncoderError unless remote code is asked for at a commit: a branch or a tag can be moved to other code."""
    if not _COMMIT.fullmatch(revision or ""):
        at = f"at revision {revision!r}, which can be moved" if revision else "without a revision"
        raise EncoderError(
            f"trust_remote_code=true {at}: other code could be run next time",
            where=where,
            cure="name the 40 characters of the commit whose code you have read, or a folder that holds it",
        )


@contextlib.contextmanager
def own_code(folder: Path, *, where: str) -> Iterator[Path]:
    """The folder to load from when its own code is trusted: that code and no other.

    A reference ``org/name--module.Class`` makes transformers run another repository's code, at whatever commit it
    finds. Where the module lies in the folder too, it is taken from there; else EncoderError is raised.
    """
    rewritten: dict[str, dict[str, Any]] = {}
    for name in code_named_by(folder):
        settings = read_json(folder / name)
        local = _localised(settings["auto_map"], folder, where=f"{where}: auto_map in {name}")
        if local != settings["auto_map"]:
            rewritten[name] = {**settings, "auto_map": local}
    if not rewritten:
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / folder.name
        copy.mkdir()
        for path in folder.iterdir():
            if path.name in rewritten:
                (copy / path.name).write_text(json.dumps(rewritten[path.name]), encoding="utf-8")
            else:
                (copy / path.name).symlink_to(path.resolve())
        yield copy


def _localised(found: Any, folder: Path, *, where: str) -> Any:
    """An ``auto_map``, or a part of one, with every class taken from the folder."""
    if isinstance(found, Mapping):
        return {key: _localised(value, folder, where=where) for key, value in found.items()}
    if isinstance(found, list):
        return [_localised(value, folder, where=where) for value in found]
    if found is None:
        return None
    match = _CLASS_REFERENCE.fullmatch(found) if isinstance(found, str) else None
    module = match and match["module"]
    if match is None or not (folder / f"{module}.py").is_file():
        elsewhere = match["repo"] if match is not None and match["repo"] else None
        raise EncoderError(
            f"{found!r} is code of another repository, which this model's revision does not pin"
            if elsewhere
            else f"{found!r} names no Python file of this folder",
            where=where,
            cure=f"download the model to a folder, put {module}.py of {elsewhere} beside config.json after reading it, "
            "and give folder="
            if elsewhere
            else "download the model again, with its .py files",
        )
    return f"{module}.{match['name']}"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file; empty where there is none, for the library that reads it to complain."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
