"""From an encoder string to an encoder."""

from __future__ import annotations

import importlib
import re

from geneb_jax.encoder.hf_advice import told
from geneb_jax.encoder.info import Encoder
from geneb_jax.encoder.kinds import CUSTOM, KINDS, MODEL, Kind
from geneb_jax.encoder.spec import EncoderSpec, merge_options, parse_spec
from geneb_jax.errors import unknown_name

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_CLASS = re.compile(r"[A-Za-z_]\w*")


def load_encoder(spec: str, **options: object) -> Encoder:
    """The encoder that ``spec`` names; keywords are further options of it. Grammar: `geneb_jax.encoder.spec`.

    Raises UsageError for a malformed string or option, UnknownNameError for a kind nobody knows, and
    EncoderError when the encoder itself cannot be loaded.
    """
    parsed = parse_spec(spec)
    kind = _kind(parsed)
    module, _, function = kind.home.partition(":")
    loader = getattr(importlib.import_module(module), function)
    merged = merge_options(parsed, options)
    cure = "GENEB_DEBUG=1 shows where; check the encoder's files, and the packages that it needs"
    with told("the encoder cannot be loaded", where=f"encoder {spec!r}", cure=cure):
        encoder: Encoder = loader(parsed, merged)
    return encoder


def is_model(spec: str) -> bool:
    """Whether ``spec`` is the name of a registry model, or the beginning of several, without any option."""
    parsed = parse_spec(spec)
    return parsed.subject is None and not parsed.options and _kind(parsed) is MODEL


def takes_option(spec: str, option: str) -> bool:
    """Whether the encoder that ``spec`` names has this option; False for a class of the user's own."""
    parsed = parse_spec(spec)
    kind = _kind(parsed)
    if kind is MODEL:
        from geneb_jax.encoder.registry.loaded import model_options

        return any(known.name == option for known in model_options(parsed.kind))
    return any(known.name == option for known in kind.options)


def _kind(parsed: EncoderSpec) -> Kind:
    kind = KINDS.get(parsed.kind)
    if kind not in (None, MODEL, CUSTOM):
        return kind
    if parsed.subject is not None:
        if _MODULE.fullmatch(parsed.kind) and _CLASS.fullmatch(parsed.subject):
            return CUSTOM
        raise unknown_name("encoder", parsed.kind, KINDS, listing="geneb encoders")
    from geneb_jax.encoder.registry import find_model

    find_model(parsed.kind)
    return MODEL
