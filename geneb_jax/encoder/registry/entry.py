"""The models of GENEB as records: what is published about each, and by which rule it is loaded here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from geneb_jax.encoder.kinds import KINDS
from geneb_jax.encoder.registry.loading import FAMILY, NEEDS, Needs
from geneb_jax.errors import UnknownNameError, unknown_name
from geneb_jax.published import PublishedModel, models


@dataclass(frozen=True)
class ModelEntry(PublishedModel):
    """One model: its published facts, and the key of the rule by which it is loaded here."""

    family: str

    @property
    def needs(self) -> Needs:
        """What has to be installed, and whether it is."""
        return NEEDS.get(self.family, Needs())

    @property
    def install(self) -> str:
        """What the user installs for it, as a command or an instruction."""
        return self.needs.install


@cache
def registry() -> Mapping[str, ModelEntry]:
    """Every model by its official id, in the order of the published table."""
    return MappingProxyType({name: ModelEntry(**vars(one), family=FAMILY[name]) for name, one in models().items()})


def find_model(name: str) -> ModelEntry:
    """The model called ``name``: its official id, display name or hub id, or a beginning that only one model has.

    Case, and the characters between letters and digits, do not matter. Raises UnknownNameError.
    """
    wanted = _plain(name)
    entries = registry().values()
    for entry in entries:
        if wanted and wanted in {_plain(alias) for alias in _aliases(entry)}:
            return entry
    near = [e for e in entries if len(wanted) >= 3 and any(_plain(a).startswith(wanted) for a in _aliases(e))]
    if len(near) == 1:
        return near[0]
    if near:
        raise UnknownNameError(
            f"{name!r} could be any of {len(near)} models",
            cure=f"name one of {', '.join(e.display for e in near)}. `geneb encoders NAME` shows one of them.",
        )
    unknown = unknown_name("encoder", name, [*KINDS, *(e.display for e in entries)], listing="geneb encoders")
    if "/" in name:
        unknown.cure = f"for a model of the hub that the registry does not hold write hf:{name}; {unknown.cure}"
    raise unknown


def _aliases(entry: ModelEntry) -> tuple[str, ...]:
    return tuple(alias for alias in (entry.model, entry.display, entry.hub_id) if alias)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9/.]+", "", name.lower())
