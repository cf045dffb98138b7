"""Python code that comes with a model: whether it may run, and that what runs is what lies in the folder.

Transformers keeps imported model code under the last part of its folder's name, and a class that was once registered
for a configuration goes before the folder's own. So a trusted folder is opened under a name that holds the digest of
its code, classes that other folders registered are hidden meanwhile, and the files that Python imported are compared
with the folder's afterwards.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

from geneb_jax.encoder.hf_files import read_json
from geneb_jax.errors import EncoderError

_CLASS_REFERENCE = re.compile(r"(?:(?P<repo>[\w./-]+)--)?(?P<module>\w+)\.(?P<name>\w+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CODE_FILES = ("config.json", "tokenizer_config.json", "processor_config.json")
_DYNAMIC = "transformers_modules"

# what the code of each opened folder registered with transformers: table, key, class
_registered: dict[str | None, list[tuple[MutableMapping[Any, Any], Any, Any]]] = {}


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


def own_python(folder: Path) -> dict[str, bytes]:
    """The Python files that a folder's own code can reach, by their path in it; none where nothing names code."""
    if not code_named_by(folder):
        return {}
    files = (path for path in folder.rglob("*.py") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


@contextlib.contextmanager
def opened(folder: Path, *, trust: bool, where: str) -> Iterator[Path]:
    """The folder to load from: with its own code where that is trusted, and with nobody else's in any case.

    A reference ``org/name--module.Class`` makes transformers run another repository's code, at whatever commit it
    finds. Where the module lies in the folder too, it is taken from there; else EncoderError is raised.
    """
    if not trust or not code_named_by(folder):
        with _own_classes(None):
            yield folder
        return
    rewritten: dict[str, str] = {}
    for name in code_named_by(folder):
        settings = read_json(folder / name)
        local = _localised(settings["auto_map"], folder, where=f"{where}: auto_map in {name}")
        rewritten[name] = json.dumps({**settings, "auto_map": local})
    code = own_python(folder)
    digest = hashlib.sha256()
    for name, content in code.items():
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    base = f"m_{re.sub(r'[^A-Za-z0-9]', '_', folder.name)}_{digest.hexdigest()[:16]}"
    # kept until the process ends: code may read files of its folder when it first runs
    copy = Path(tempfile.mkdtemp(dir=_scratch())) / base
    copy.mkdir()
    for path in folder.iterdir():
        if path.name in rewritten:
            (copy / path.name).write_text(rewritten[path.name], encoding="utf-8")
        elif path.name in code:
            (copy / path.name).write_bytes(code[path.name])
        else:
            (copy / path.name).symlink_to(path.resolve())
    with _own_classes(base):
        yield copy


@cache
def _scratch() -> str:
    made = tempfile.mkdtemp(prefix="geneb-code-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def check_origin(parts: Iterable[object], folder: Path, *, where: str) -> None:
    """Raise EncoderError unless every class of `parts` is of an installed library or of a file of this folder.

    ``parts`` are objects, ``folder`` is what `opened` gave.
    """
    for module in sorted({type(part).__module__ for part in parts}):
        if module.split(".")[0] in ("transformers", "tokenizers", "torch"):
            continue
        file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
        if not module.startswith(f"{_DYNAMIC}."):
            installed = {"site-packages", "dist-packages"} & set(file.parts)
            if installed:
                continue
            raise EncoderError(
                f"the class that was loaded is of the module {module}, which is not of this model's folder",
                where=f"{where}: {file}",
                cure="do not register classes with transformers in this process, or wrap the model in a class of your "
                "own: MODULE:CLASS",
            )
        held = folder / file.name
        if module.split(".")[1] != folder.name or not held.is_file() or held.read_bytes() != file.read_bytes():
            raise EncoderError(
                f"the code that ran is not the folder's own {file.name}",
                where=f"{where}: {file}",
                cure="remove transformers' folder of imported code (transformers_modules in HF_MODULES_CACHE) and "
                "run the command again",
            )


@contextlib.contextmanager
def _own_classes(base: str | None) -> Iterator[None]:
    """Hide from transformers what code of other folders registered; what this one registers is kept for it alone."""
    foreign = _take_out()
    for table, key, value in _registered.get(base, ()):
        table[key] = value
    try:
        yield
    finally:
        _registered[base] = _take_out()
        for table, key, value in foreign:
            table.setdefault(key, value)


def _take_out() -> list[tuple[MutableMapping[Any, Any], Any, Any]]:
    taken = []
    for table in _tables():
        for key, value in list(table.items()):
            owners = (key, *(value if isinstance(value, (tuple, list)) else (value,)))
            if any(str(getattr(owner, "__module__", "")).startswith(f"{_DYNAMIC}.") for owner in owners):
                taken.append((table, key, value))
                del table[key]
    return taken


@cache
def _tables() -> list[MutableMapping[Any, Any]]:
    """Where transformers keeps classes that were registered with it."""
    from transformers.models.auto import configuration_auto, modeling_auto, tokenization_auto

    lazy = [
        table for module in (configuration_auto, modeling_auto, tokenization_auto) for table in vars(module).values()
    ]
    found = {
        id(t._extra_content): t._extra_content for t in lazy if isinstance(getattr(t, "_extra_content", None), dict)
    }
    plain = (getattr(tokenization_auto, f"REGISTERED_{name}", None) for name in ("TOKENIZER_CLASSES", "FAST_ALIASES"))
    return [*found.values(), *(table for table in plain if isinstance(table, dict))]


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
