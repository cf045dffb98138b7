"""From an encoder string to an encoder."""

from __future__ import annotations

import importlib
import re

from geneb_jax.encoder.info import Encoder
from geneb_jax.encoder.kinds import CUSTOM, KINDS
from geneb_jax.encoder.spec import merge_options, parse_spec
from geneb_jax.errors import unknown_name

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_CLASS = re.compile(r"[A-Za-z_]\w*")


def load_encoder(spec: str, **options: object) -> Encoder:
    """The encoder that ``spec`` names; keywords are further options of it. Grammar: `geneb_jax.encoder.spec`.

    Raises UsageError for a malformed string or option, UnknownNameError for a kind nobody knows, and
    EncoderError when the encoder itself cannot be loaded.
    """
    parsed = parse_spec(spec)
    kind = KINDS.get(parsed.kind)
    if kind is None:
        looks_like_class = _MODULE.fullmatch(parsed.kind) and _CLASS.fullmatch(parsed.subject or "")
        if not looks_like_class:
            raise unknown_name("encoder", parsed.kind, KINDS, listing="geneb encoders")
        kind = CUSTOM
    module, _, function = kind.home.partition(":")
    loader = getattr(importlib.import_module(module), function)
    encoder: Encoder = loader(parsed, merge_options(parsed, options))
    return encoder
