"""Frozen encoders: named by a string, identified by a digest, checked before they count."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from geneb_jax.encoder.info import Encoder as Encoder
from geneb_jax.encoder.info import EncoderInfo as EncoderInfo
from geneb_jax.encoder.kinds import KINDS as KINDS
from geneb_jax.encoder.load import load_encoder as load_encoder

if TYPE_CHECKING:
    from geneb_jax.encoder.check import Check as Check
    from geneb_jax.encoder.check import CheckReport as CheckReport
    from geneb_jax.encoder.check import check_encoder as check_encoder

_HOMES = dict.fromkeys(("Check", "CheckReport", "check_encoder"), "geneb_jax.encoder.check")

__all__ = ["KINDS", "Check", "CheckReport", "Encoder", "EncoderInfo", "check_encoder", "load_encoder"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'geneb_jax.encoder' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
