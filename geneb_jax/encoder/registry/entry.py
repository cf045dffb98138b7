"""The models of GENEB as records: what is published about each, and by which rule it is loaded here."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from geneb_jax.encoder.kinds import KINDS
from geneb_jax.encoder.registry.loading import FAMILY, NEEDS, Needs
from geneb_jax.errors import UnknownNameError, unknown_name


@dataclass(frozen=True)
class ModelEntry:
    """One model. Facts are those of ``data/models.csv``; None, or an empty text, means: not stated there.

    ``model`` is GENEB's official id. ``max_tokens`` counts ``length_unit`` (tokens or bases). ``family`` is the key
    of the loading rule; ``install`` what the user installs for it, as a command or an instruction. ``official``: one
    of the 40 models of the paper; ``in_domain``: one of those that the paper calls in-domain.
    """

    model: str
    display: str
    params_paper_v1: int | None
    params_board: int | None
    architecture: str
    tokenization: str
    pretraining: str
    width: int
    max_tokens: int | None
    length_unit: str
    hub_id: str | None
    hub_revision: str | None
    licence: str | None
    code_source: str
    needs_remote_code: bool
    install: str | None
    defects: tuple[str, ...]
    family: str
    official: bool
    in_domain: bool
    # what the official extractor does
    pooling: str
    layer: str
    special_tokens_in_mean: bool | None
    dtype: str
    extractor: str
    # further labels and notes
    tokenizer_actual: str
    weights_source: str
    version_note: str | None

    @property
    def needs(self) -> Needs:
        """What has to be installed, and whether it is."""
        return NEEDS.get(self.family, Needs())

    @property
    def params(self) -> int | None:
        """Today's size on the board, or the paper's where the board has none."""
        return self.params_board if self.params_board is not None else self.params_paper_v1


@cache
def registry() -> Mapping[str, ModelEntry]:
    """Every model by its official id, in the order of the published table. Reads one packaged file, once."""
    text = files("geneb_jax.encoder.registry").joinpath("data/models.csv").read_text(encoding="utf-8")
    entries = [_entry(row) for row in csv.DictReader(text.splitlines())]
    return MappingProxyType({entry.model: entry for entry in entries})


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


def _entry(row: Mapping[str, str]) -> ModelEntry:
    model = row["model"]
    family = FAMILY[model]
    return ModelEntry(
        model=model,
        display=row["display"],
        params_paper_v1=_int(row["params_paper_v1"]),
        params_board=_int(row["params_board"]),
        architecture=row["architecture"],
        tokenization=row["tokenization"],
        pretraining=row["pretraining"],
        width=int(row["embedding_width"]),
        max_tokens=_int(row["max_tokens"]),
        length_unit=row["length_unit"],
        hub_id=row["hub_id"] or None,
        hub_revision=row["hub_revision"] or None,
        licence=row["licence"] or None,
        code_source=row["code_source"],
        needs_remote_code=row["needs_remote_code"] == "true",
        install=NEEDS.get(family, Needs()).install,
        defects=(row["known_defect"],) if row["known_defect"] else (),
        family=family,
        official=row["official"] == "true",
        in_domain=row["in_domain"] == "true",
        pooling=row["pooling"],
        layer=row["layer"],
        special_tokens_in_mean={"true": True, "false": False}.get(row["special_tokens_in_mean"]),
        dtype=row["dtype"],
        extractor=row["extractor"],
        tokenizer_actual=row["tokenizer_actual"],
        weights_source=row["weights_source"],
        version_note=row["version_note"] or None,
    )


def _int(text: str) -> int | None:
    return int(text) if text else None
