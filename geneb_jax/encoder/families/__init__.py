"""Loading rules of the registry's models, by family. Imports no model code."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from geneb_jax.encoder.families.base import BUILT_OPTIONS, TOKEN_OPTIONS, Family
from geneb_jax.encoder.families.onehot_rules import BIN_OPTIONS, BINS, ONE_HOT_TOKENS
from geneb_jax.encoder.families.rules import PACKAGE_RULES, RULES
from geneb_jax.encoder.info import Encoder
from geneb_jax.encoder.registry.entry import ModelEntry
from geneb_jax.encoder.spec import EncoderSpec
from geneb_jax.errors import unknown_name

__all__ = ["FAMILIES", "Family", "load_model"]


def _load_package(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> Encoder:
    module = importlib.import_module("geneb_jax.encoder.families.packages")
    encoder: Encoder = module.load(family, entry, spec, options)
    return encoder


def _load_tokens(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> Encoder:
    module = importlib.import_module("geneb_jax.encoder.families.loader")
    encoder: Encoder = module.load(family, entry, spec, options)
    return encoder


def _load_bins(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> Encoder:
    module = importlib.import_module("geneb_jax.encoder.families.onehot_models")
    encoder: Encoder = module.load_bins(family, entry, spec, options)
    return encoder


def _load_one_hot(family: Family, entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> Encoder:
    module = importlib.import_module("geneb_jax.encoder.families.onehot_models")
    encoder: Encoder = module.load_tokens(family, entry, spec, options)
    return encoder


FAMILIES: dict[str, Family] = {
    key: Family(key, summary, _load_tokens, BUILT_OPTIONS, rule) for key, (summary, rule) in RULES.items()
} | {key: Family(key, summary, _load_package, TOKEN_OPTIONS, rule) for key, (summary, rule) in PACKAGE_RULES.items()}
FAMILIES |= {key: Family(key, rule.summary, _load_bins, BIN_OPTIONS) for key, rule in BINS.items()}
FAMILIES |= {
    key: Family(key, summary, _load_one_hot, BUILT_OPTIONS, rule) for key, (summary, rule) in ONE_HOT_TOKENS.items()
}


def load_model(entry: ModelEntry, spec: EncoderSpec, options: Mapping[str, object]) -> Encoder:
    """The encoder of a registry entry by the rule of its family; ``options`` may still be text.

    Raises UnknownNameError for a family without a rule, UsageError for options it does not take, EncoderError.
    """
    family = FAMILIES.get(entry.family)
    if family is None:
        raise unknown_name("family of models", entry.family, FAMILIES, listing="geneb encoders")
    return family.load(family, entry, spec, options)
