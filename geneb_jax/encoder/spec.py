"""The grammar of encoder strings, in one place.

::

    KIND[:SUBJECT][,key=value]...

    kmer:6                                      6-mer frequencies
    kmer:6,counts=true,canonical=true           strand-symmetric counts
    hf:org/name@revision,pooling=mean,layer=-1  a hub model at a commit, tag or branch
    hf:./folder,dtype=bfloat16                  a local folder
    package.module:Class,folder=./weights       a user's class; options go to its constructor

The options are the longest tail of ``,key=value`` pieces, with keys of lower-case letters, digits and
underscores, so a folder name may hold commas. A value holds no comma; values that do are given from
Python, as keywords of ``load_encoder``. Every kind states its options as a tuple of `Option`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geneb_jax.encoder.info import Setting
from geneb_jax.errors import UsageError

_TAIL = re.compile(r"(?:,[a-z_][a-z0-9_]*=[^,]*)*$")
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
    head, tail = text[:start], text[start:]
    kind, colon, subject = head.partition(":")
    if not kind:
        raise UsageError(
            f"{text!r} is not an encoder string",
            cure="write KIND[:SUBJECT][,key=value]..., such as kmer:6; `geneb encoders` lists the kinds",
        )
    options: dict[str, object] = {}
    for piece in tail.split(",")[1:]:
        key, _, value = piece.partition("=")
        if key in options:
            raise UsageError(f"option {key!r} is given twice", where=f"encoder {text!r}")
        options[key] = value
    return EncoderSpec(text, kind, subject if colon else None, options)


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
