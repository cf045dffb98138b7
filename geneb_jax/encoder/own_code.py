"""What decides the vectors of a class of the user's own: its source, that of its project, and the data these name.

The identity of such a class is a digest over its file; over every module of the same project that it imports, directly
or through others, but not of installed packages; over files that a default, an attribute of the class or a module's
constant names; and over constants of these modules whose value is not the one written there, such as one that was read
from the environment or set from outside. A class with none of these has the SHA-256 of its file.

What cannot be told from the code is caught when vectors are reused (`geneb_jax.run.embedding_reuse`).
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from geneb_jax.errors import EncoderError

_INSTALLED: Final = {"site-packages", "dist-packages"}
_OUR_OWN: Final = Path(__file__).resolve().parents[1]
_SUFFIXES: Final = (".py", "/__init__.py", ".so", ".pyd")
_MUTATORS: Final = {"append", "extend", "insert", "update", "setdefault", "add", "pop", "popitem", "clear", "remove"}
_LOGS: Final = {".log", ".pid", ".lock"}


def code_digest(cls: type, *, where: str) -> str:
    """The revision of a class. Raises EncoderError where its source cannot be read, or is not what was imported."""
    path = _source_file(cls, where=where)
    source = hashlib.sha256(path.read_bytes()).hexdigest()
    modules = _project(cls, path)
    lines = [f"module {name}\0{_digest(file)}" for name, (file, _) in sorted(modules.items()) if file != path]
    for name, (file, tree) in sorted(modules.items()):
        module = sys.modules.get(name)
        if module is None or tree is None:
            continue
        _require_imported(module, file, where=where)
        lines += _constants(module, file, tree)
    lines += _defaults(cls, path.parent)
    return source if not lines else hashlib.sha256("\n".join([source, *lines]).encode()).hexdigest()


def _source_file(cls: type, *, where: str) -> Path:
    try:
        path = inspect.getsourcefile(cls)
    except TypeError:
        path = None
    if path is None or not os.path.isfile(path):
        raise EncoderError(
            f"the source file of {cls.__name__} cannot be read, so its vectors cannot be identified",
            where=where,
            cure="give the class an `info`: geneb_jax.encoder.EncoderInfo with a revision",
        )
    return Path(path).resolve()


def _project(cls: type, path: Path) -> dict[str, tuple[Path, ast.Module | None]]:
    """Modules of the user's own that a class needs, by name: file and syntax (None: no Python source)."""
    if not _is_own(path):
        return {}
    root = path.parents[cls.__module__.count(".") + (path.name == "__init__.py")]
    found: dict[str, tuple[Path, ast.Module | None]] = {}
    pending = [base.__module__ for base in cls.__mro__]
    while pending:
        name = pending.pop()
        file = None if name in found else _file_of(name, root)
        if file is None or not _is_own(file):
            continue
        tree = _parsed(file)
        found[name] = file, tree
        if tree is not None:
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            pending += _imports(tree, package)
    return found


def _file_of(name: str, root: Path) -> Path | None:
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded:
        return Path(loaded).resolve()
    for suffix in () if name in sys.modules else _SUFFIXES:
        file = root / f"{name.replace('.', '/')}{suffix}"
        if file.is_file():
            return file.resolve()
    return None


def _is_own(file: Path) -> bool:
    system = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")]
    return not (_INSTALLED & set(file.parts) or any(file.is_relative_to(place) for place in (_OUR_OWN, *system)))


def _parsed(file: Path) -> ast.Module | None:
    try:
        return ast.parse(file.read_bytes()) if file.suffix == ".py" else None
    except (SyntaxError, ValueError):
        return None  # its bytes count; whoever imports it says what is wrong


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Every module that a source may import, at its top or later, by full name; of `a.b` also `a`."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        for name in names:
            steps = name.split(".")
            yield from (".".join(steps[: i + 1]) for i in range(len(steps)) if steps[0])


def _require_imported(module: ModuleType, file: Path, *, where: str) -> None:
    """Raise EncoderError where a file was changed since this process imported it."""
    try:
        written = {code.co_qualname: code for code in _codes(compile(file.read_bytes(), str(file), "exec"))}
    except (SyntaxError, ValueError):
        written = {}
    held = [v for v in vars(module).values() if getattr(v, "__module__", None) == module.__name__]
    functions = [f for v in held for f in (vars(v).values() if isinstance(v, type) else [v])]
    for function in functions:
        function = getattr(function, "__func__", getattr(function, "fget", function))
        if not isinstance(function, FunctionType) or Path(function.__code__.co_filename).resolve() != file:
            continue
        code = function.__code__
        new = written.get(code.co_qualname)
        if new is None or (new.co_code, new.co_names, _plain(new)) != (code.co_code, code.co_names, _plain(code)):
            raise EncoderError(
                f"{file.name} was changed since this process imported it, and the old code would run",
                where=where,
                cure="start Python anew",
            )


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _plain(code: CodeType) -> list[str]:
    return [repr(const) for const in code.co_consts if not isinstance(const, CodeType)]


def _constants(module: ModuleType, file: Path, tree: ast.Module) -> list[str]:
    """A module's constants that name a file, or whose value is not the one that its source writes down."""
    literal: dict[str, Any] = {}
    assigned: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets, value = [node.target], node.value or ast.Constant(None)
        else:
            continue
        for target in (t for t in targets if isinstance(t, ast.Name)):
            try:
                literal[target.id] = ast.literal_eval(value) if target.id not in assigned else _NONE
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                literal[target.id] = _NONE
            assigned.add(target.id)
    found = []
    for name in sorted(assigned - _changed_by_itself(tree)):
        value = vars(module).get(name, _NONE)
        if file_digest := _named_file(value, file.parent):
            found.append(f"file {module.__name__}.{name}\0{file_digest}")
        elif (words := _words(value)) is not None and words != _words(literal[name]):
            found.append(f"value {module.__name__}.{name}\0{words}")
    return found


_NONE: Final = object()


def _changed_by_itself(tree: ast.Module) -> set[str]:
    """Names of a module that its own functions change, as they do with caches and counters."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.update(node.names)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            found.add(node.value.id)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _MUTATORS
            and isinstance(node.func.value, ast.Name)
        ):
            found.add(node.func.value.id)
    return found


def _words(value: object) -> str | None:
    """A plain value in words that are the same everywhere; None for others, and for places on this machine."""
    if isinstance(value, str):
        return None if os.path.isabs(value) else repr(value)
    if value is None or isinstance(value, bool | int | float | complex | bytes):
        return repr(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        return f"{value.dtype.str}{value.shape}{hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, tuple | list | set | frozenset):
        parts = [_words(item) for item in value]
        if isinstance(value, set | frozenset):
            parts.sort(key=str)
        return None if None in parts else f"{type(value).__name__}({', '.join(map(str, parts))})"
    if isinstance(value, Mapping):
        pairs = [(_words(key), _words(item)) for key, item in value.items()]
        return None if any(None in pair for pair in pairs) else f"dict({pairs})"
    return None


def _named_file(value: object, folder: Path) -> str | None:
    """The digest of a file that a value names, from the current folder or that of the code, or None."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value) or len(str(value)) > 4096:
        return None
    for place in (Path(value), folder / value):
        if place.suffix in _LOGS:
            continue
        try:
            if place.is_file():
                return _digest(place)
        except OSError:
            continue
    return None


def _defaults(cls: type, folder: Path) -> list[str]:
    """Files that a default of the constructor or an attribute of the class names."""
    try:
        named: dict[str, object] = {n: p.default for n, p in inspect.signature(cls).parameters.items()}
    except (TypeError, ValueError):
        named = {}
    named |= {name: value for base in cls.__mro__[::-1] for name, value in vars(base).items() if name[:2] != "__"}
    found = {name: _named_file(value, folder) for name, value in named.items()}
    return [f"file {name}\0{digest}" for name, digest in sorted(found.items()) if digest]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
