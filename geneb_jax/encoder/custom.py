"""``module:Class``: an encoder of the user's own, imported with the current folder on the path.

The least that works::

    class Composition:
        width = 4

        def encode(self, sequences):
            return np.array([[s.count(base) for base in "ACGT"] for s in sequences], dtype="float32")

Options of the string go to the constructor as keywords, converted to bool, int or float where it says so
by annotation or default. A class without an ``info`` gets one: the revision is a digest of its code and of that of its
project (`geneb_jax.encoder.own_code`), the options are its settings, and an option that names a file or folder is
recorded as the digest of what that holds. A class may say which letters it knows: ``alphabet = "ACGT"`` (others are
counted as unknown), and ``thymine = "T"`` or ``"U"``, the letter that it is given for both.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.batching import is_out_of_memory
from geneb_jax.encoder.counting import PLAIN, Counts, count_outside
from geneb_jax.encoder.info import Encoder, EncoderInfo, Setting
from geneb_jax.encoder.kinds import KINDS
from geneb_jax.encoder.own_code import code_digest
from geneb_jax.encoder.spec import EncoderSpec, Option, resolve_options, unknown_option
from geneb_jax.errors import EncoderError, UsageError, unknown_name

_EXAMPLE = "a class needs `width` and `encode(sequences)`; `geneb encoders module:Class` shows the smallest one"


class CustomEncoder:
    """A user's object behind the common interface: what it returns is checked at every call."""

    def __init__(self, inner: object, info: EncoderInfo, *, where: str) -> None:
        self._inner = inner
        self._where = where
        self.info = info
        self.promises = tuple(getattr(inner, "promises", ()))  # `geneb_jax.encoder.check`
        # `geneb_jax.encoder.counting`; a class that says nothing is given U and T as they are written, and not counted
        self.thymine: str | None = _thymine(inner, where=where)

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. Raises EncoderError where the class fails or returns something else."""
        try:
            result = self._inner.encode(list(sequences))  # type: ignore[attr-defined]
            array = np.asarray(result)
        except EncoderError:
            raise
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):  # smaller batches may do
                raise
            cure = "call .detach().cpu().numpy() on a tensor" if "numpy()" in str(error) else "mend the class"
            raise EncoderError(
                f"`encode` failed: {type(error).__name__}: {error}", where=self._where, cure=cure
            ) from error
        if array.dtype.kind not in "fiu":
            raise EncoderError(
                f"`encode` returned an array of {array.dtype}",
                where=self._where,
                cure="return numbers: float32 of shape (sequences, width)",
            )
        if array.shape != (len(sequences), self.info.width):
            raise EncoderError(
                f"`encode` returned the shape {array.shape} for {len(sequences)} sequences",
                where=self._where,
                cure=f"return one row per sequence and {self.info.width} columns, or correct `width`",
            )
        return np.ascontiguousarray(array, dtype=np.float32)

    def count_letters(self, sequences: Sequence[str]) -> Counts | None:
        """As the class counts, or else by its ``alphabet``; None where it has neither."""
        count = getattr(self._inner, "count_letters", None)
        if callable(count):
            found = count(list(sequences))
            return found if isinstance(found, Counts) else None
        alphabet = getattr(self._inner, "alphabet", None)
        if not isinstance(alphabet, str) or not alphabet.isascii():
            return None
        known = np.zeros(256, bool)
        known[list(alphabet.encode("ascii"))] = True
        counts = count_outside(sequences, known)
        plain = np.array([sum(c in PLAIN and c not in alphabet for c in s) for s in sequences], np.int64)
        return counts._replace(plain=plain)


def _thymine(inner: object, *, where: str) -> str | None:
    found = getattr(inner, "thymine", None)
    if found in ("T", "U", None):
        return found
    raise EncoderError(f"`thymine` is {found!r}", where=where, cure='set it to "T" or "U", or leave it out')


def load(spec: EncoderSpec, options: Mapping[str, object]) -> CustomEncoder:
    """The encoder of ``module:Class``. Raises EncoderError and UsageError."""
    where = f"encoder {spec.text!r}"
    name = spec.subject or ""
    if spec.kind == "module" and name == "Class":
        raise UsageError(
            "module:Class stands for a class of your own",
            where=where,
            cure="write the module's name and the class's name, such as my_encoder:MyModel",
        )
    cls = _import(spec.kind, name, where=where)
    keywords = _keywords(cls, options, where=where)
    try:
        inner = cls(**keywords)
    except (EncoderError, UsageError):
        raise
    except (Exception, SystemExit) as error:
        raise EncoderError(
            f"{name}() failed: {type(error).__name__}: {error}", where=where, cure="mend its constructor"
        ) from error
    return CustomEncoder(inner, _info(inner, cls, keywords, where=where), where=where)


def named(encoder: object) -> Encoder:
    """An object of a class of one's own behind the common interface; one with an identity as it is.

    Its plain attributes are its settings. Raises EncoderError where it has no `encode` or width, and where an attribute
    could change vectors without changing the identity.
    """
    if isinstance(getattr(encoder, "info", None), EncoderInfo) or hasattr(encoder, "views"):
        return encoder  # type: ignore[return-value]
    where = f"object of class {type(encoder).__name__}"
    state = {key: value for key, value in getattr(encoder, "__dict__", {}).items() if key != "width"}
    for key, value in state.items():
        if value is not None and not isinstance(value, (str, int, float, bool, os.PathLike)):
            raise EncoderError(
                f"the attribute {key} ({type(value).__name__}) may change vectors, and nothing identifies it",
                where=where,
                cure="give the class an `info`: geneb_jax.encoder.EncoderInfo with a revision; or load it with "
                'load_encoder("module:Class")',
            )
    return CustomEncoder(encoder, _info(encoder, type(encoder), state, where=where), where=where)


def _import(module_name: str, class_name: str, *, where: str) -> type:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise EncoderError(
                f"the module {module_name} needs {error.name}, which is not installed",
                where=where,
                cure=f"install the package that holds {error.name}, which may have another name",
            ) from error
        near = unknown_name("encoder", module_name, KINDS).cure or ""
        hint = f"; or, if you meant a built-in: {near}" if "did you mean" in near else ""
        raise EncoderError(
            f"there is no module {error.name!r}",
            where=where,
            cure=f"run geneb in the folder that holds {error.name}.py, or install its package{hint}",
        ) from error
    except (Exception, SystemExit) as error:
        raise EncoderError(
            f"the module {module_name} cannot be imported: {type(error).__name__}: {error}",
            where=where,
            cure="mend the module",
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        classes = [n for n, v in vars(module).items() if isinstance(v, type) and callable(getattr(v, "encode", 0))]
        raise unknown_name(f"class in {module_name}", class_name, classes)
    return found


def _keywords(cls: type, options: Mapping[str, object], *, where: str) -> dict[str, object]:
    try:
        parameters = inspect.signature(cls, eval_str=True).parameters
    except (NameError, TypeError, ValueError):  # annotations that cannot be read leave text as text
        try:
            parameters = inspect.signature(cls).parameters
        except (TypeError, ValueError):
            return dict(options)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    made: dict[str, object] = {}
    for key, value in options.items():
        if key not in named:
            if not open_ended:
                raise unknown_option(where.removeprefix("encoder "), key, list(named))
            made[key] = value
            continue
        made[key] = _convert(key, value, named[key], where=where)
    return made


def _convert(key: str, value: object, parameter: inspect.Parameter, *, where: str) -> object:
    kind = parameter.annotation
    if kind is parameter.empty and parameter.default is not parameter.empty:
        kind = type(parameter.default)
    if not isinstance(value, str) or kind not in (bool, int, float):
        return value
    if kind is float:
        try:
            return float(value)
        except ValueError as error:
            raise UsageError(f"option {key!r} cannot be {value!r}", where=where, cure="give a number") from error
    return resolve_options(where.removeprefix("encoder "), [Option(key, kind, None, "")], {key: value})[key]


def _info(inner: object, cls: type, keywords: Mapping[str, object], *, where: str) -> EncoderInfo:
    if not callable(getattr(inner, "encode", None)):
        raise EncoderError(f"the class {cls.__name__} has no method `encode`", where=where, cure=_EXAMPLE)
    info = getattr(inner, "info", None)
    if isinstance(info, EncoderInfo):
        return info
    width = getattr(inner, "width", None)
    if isinstance(width, np.integer):
        width = int(width)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise EncoderError(
            f"the class {cls.__name__} states no width (`width` is {width!r})", where=where, cure=_EXAMPLE
        )
    return EncoderInfo(
        name=cls.__name__,
        family="custom",
        revision=code_digest(cls, where=where),
        width=width,
        settings={"class": cls.__qualname__, **{key: _setting(value) for key, value in keywords.items()}},
    )


def _setting(value: object) -> Setting:
    if isinstance(value, (str, os.PathLike)) and os.path.exists(value):
        return "sha256:" + _digest_path(Path(value))
    return value if isinstance(value, (str, int, float, bool)) or value is None else repr(value)


def _digest_path(path: Path) -> str:
    """SHA-256 of a file, or of the relative names and contents of all files of a folder."""
    total = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if "__pycache__" in file.parts:
            continue
        name = "" if file == path else file.relative_to(path).as_posix()
        with file.open("rb") as stream:
            total.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
