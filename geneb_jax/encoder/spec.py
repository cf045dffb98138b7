"""The grammar of encoder strings, in one place.

::

    KIND[:SUBJECT][,key=value]...

    kmer:6                                      6-mer frequencies
    kmer:6,counts=true,canonical=true           strand-symmetric counts
    hf:org/name@revision,pooling=mean,layer=-1  a hub model at a commit, tag or branch
    hf:./folder,dtype=bfloat16                  a local folder
    package.module:Class,folder=./weights       a user's class; options go to its constructor

The options are the longest tail of ``,key=value`` pieces, with keys of lower-case letters, digits and
underscores, so a folder name may hold commas; where the folder exists, also such pieces (``hf:./bs=32,lr=1e-4``). A
value holds no comma unless it is a path that exists; other values that do are given from Python, as keywords of
``load_encoder``. Every kind states its options as a tuple of `Option`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.encoder.info import Setting
from geneb_jax.errors import UsageError

_TAIL = re.compile(r"(?:,[a-z_][a-z0-9_]*=[^,]*)*$")
_KEY = re.compile(r",[a-z_][a-z0-9_]*=")
_BOOLS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True)
class Option:
    """One ``key=value`` of a kind. ``type`` is bool, int or str; ``choices`` limits a str."""

    name: str
    type: type
    default: Setting
    help: str
    choices: tuple[str, ...] = ()
    changes_vectors: bool = True


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder string taken apart; option values are still text."""

    text: str
    kind: str
    subject: str | None
    options: Mapping[str, object]


def parse_spec(text: str) -> EncoderSpec:
    """Take an encoder string apart. Raises UsageError on a repeated option or an empty string."""
    text = text.strip()
    match = _TAIL.search(text)
    start = match.start() if match else len(text)
    head, tail = _with_folder(text, start)
    kind, colon, subject = head.partition(":")
    if not kind:
        raise UsageError(
            f"{text!r} is not an encoder string",
            cure="write KIND[:SUBJECT][,key=value]..., such as kmer:6; `geneb encoders` lists the kinds",
        )
    options: dict[str, object] = {}
    for piece in _pieces(tail):
        key, _, value = piece.partition("=")
        if key in options:
            raise UsageError(f"option {key!r} is given twice", where=f"encoder {text!r}")
        options[key] = value
    return EncoderSpec(text, kind, subject if colon else None, options)


def _with_folder(text: str, start: int) -> tuple[str, str]:
    """Head and tail, where the head's subject may be a path whose name holds ``,key=value`` too.

    The longest path that exists is meant; UsageError where a shorter one exists as well.
    """
    kind, colon, _ = text.partition(":")
    offset = len(kind) + len(colon)
    cuts = [*[i for i in range(start, len(text)) if text[i] == ","][1:], len(text)]
    longer = [cut for cut in cuts if colon and cut > start and _is_path(text[offset:cut])]
    if not longer:
        for found in _KEY.finditer(text, 0, start):  # a path in an option, such as folder=
            ends = [i for i in (*range(found.end(), len(text)), len(text)) if _TAIL.fullmatch(text, i)]
            if any(_is_path(text[found.end() : end]) for end in ends):
                return text[: found.start()], text[found.start() :]
        return text[:start], text[start:]
    cut = longer[-1]
    shorter = text[offset:start]
    if _is_path(shorter) and not shorter.endswith("/") and not text[offset:cut].endswith("/"):
        raise UsageError(
            f"both {shorter!r} and {text[offset:cut]!r} are there",
            where=f"encoder {text!r}",
            cure=f"write a slash behind the one you mean: {kind}:{shorter}/{text[start:]} or {text[:cut]}/{text[cut:]}",
        )
    if shorter.endswith("/") and _is_path(shorter):
        return text[:start], text[start:]
    return text[:cut], text[cut:]


def _pieces(tail: str) -> list[str]:
    """The ``key=value`` pieces of a tail; a value that is a path may hold commas where the longer path exists."""
    given = tail.split(",")[1:]
    made: list[str] = []
    while given:
        most = 1
        for size in range(len(given), 1, -1):
            if _is_path(",".join(given[:size]).partition("=")[2]):
                most = size
                break
        made.append(",".join(given[:most]))
        given = given[most:]
    return made


def _is_path(text: str) -> bool:
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name too long, a user that is not there, a null byte
        return False


def merge_options(spec: EncoderSpec, keywords: Mapping[str, object]) -> dict[str, object]:
    """The options of the string and of the call together. Raises UsageError where both give one."""
    twice = sorted(set(spec.options) & set(keywords))
    if twice:
        raise UsageError(
            f"option {twice[0]!r} is given in the encoder string and as a keyword",
            where=f"encoder {spec.text!r}",
            cure="give it once",
        )
    return {**spec.options, **keywords}


def resolve_options(where: str, options: Sequence[Option], given: Mapping[str, object]) -> dict[str, Setting]:
    """Values of the right type for every option, defaults filled in. Raises UsageError with near names."""
    known = {option.name: option for option in options}
    for key in given:
        if key not in known:
            raise unknown_option(where, key, list(known))
    return {
        name: _convert(where, option, given[name]) if name in given else option.default
        for name, option in known.items()
    }


def unknown_option(where: str, key: str, known: Sequence[str]) -> UsageError:
    """The error for an option that a kind does not have."""
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    cure = f"did you mean {', '.join(near)}?" if near else f"its options: {', '.join(known) or 'none'}"
    return UsageError(f"there is no option {key!r} here", where=f"encoder {where}", cure=cure)


def _convert(where: str, option: Option, value: object) -> Setting:
    if value is None and option.default is None:
        return None
    if option.type is bool:
        found = value if isinstance(value, bool) else _BOOLS.get(str(value).lower())
        if found is not None:
            return found
        wanted = "true or false"
    elif option.type is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if re.fullmatch(r"[+-]?\d+", str(value)):
            return int(str(value))
        wanted = "a whole number"
    else:
        if not option.choices or str(value) in option.choices:
            return str(value)
        wanted = "one of " + ", ".join(option.choices)
    raise UsageError(f"option {option.name!r} cannot be {value!r}", where=f"encoder {where}", cure=f"give {wanted}")


def number_subject(spec: EncoderSpec, *, what: str, low: int, high: int, default: int | None = None) -> int:
    """The subject as a whole number within bounds, as in ``kmer:6``. Raises UsageError."""
    if spec.subject is None and default is not None:
        return default
    text = spec.subject or ""
    if re.fullmatch(r"\d+", text) and low <= int(text) <= high:
        return int(text)
    cure = f"write {spec.kind}:NUMBER with a number from {low} to {high}"
    if "," in text:
        cure += "; options are written key=value"
    raise UsageError(f"{text!r} is not a {what}", where=f"encoder {spec.text!r}", cure=cure)


def display_name(base: str, options: Sequence[Option], values: Mapping[str, Setting]) -> str:
    """The short name for tables: the base and every vector-changing option that is not at its default."""
    extra = [
        f"{o.name}={str(values[o.name]).lower() if o.type is bool else values[o.name]}"
        for o in options
        if o.changes_vectors and values[o.name] != o.default
    ]
    return ",".join([base, *extra])
