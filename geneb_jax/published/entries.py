"""The models of the board as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from geneb_jax.published.table import read_table, whole_number

SizeVersion = Literal["paper", "board"]
SIZE_VERSIONS: Final[tuple[SizeVersion, ...]] = ("paper", "board")

LabelVersion = Literal["paper", "board", "actual"]
LABEL_VERSIONS: Final[tuple[LabelVersion, ...]] = ("paper", "board", "actual")


@dataclass(frozen=True)
class Labels:
    """What kind of model it is, in the words of one version of the labels; empty where that version says nothing."""

    architecture: str
    tokenization: str
    pretraining: str


@dataclass(frozen=True)
class PublishedModel:
    """One model. Facts are those of ``data/models.csv``; None, or an empty text, means: not stated there.

    ``model`` is GENEB's official id. ``max_tokens`` counts ``length_unit`` (tokens or bases). ``official``: one of the
    40 models of the paper; ``in_domain``: one of those that the paper calls in-domain.
    """

    model: str
    display: str
    params_paper_v1: int | None
    params_board: int | None
    architecture: str
    tokenization: str
    pretraining: str
    architecture_board: str
    tokenization_board: str
    pretraining_board: str
    tokenizer_actual: str
    official: bool
    in_domain: bool
    width: int
    max_tokens: int | None
    length_unit: str
    hub_id: str | None
    hub_revision: str | None
    weights_source: str
    licence: str | None
    code_source: str
    needs_remote_code: bool
    # what the official extractor does
    pooling: str
    layer: str
    special_tokens_in_mean: bool | None
    dtype: str
    extractor: str
    defects: tuple[str, ...]
    version_note: str | None

    @property
    def params(self) -> int | None:
        """Today's size on the board, or the paper's where the board has none."""
        return self.params_board if self.params_board is not None else self.params_paper_v1

    def size(self, version: SizeVersion) -> int | None:
        """Number of parameters in one version; None where that version does not state it."""
        return self.params_paper_v1 if version == "paper" else self.params_board

    def labels(self, version: LabelVersion) -> Labels:
        """Its labels in one version; "actual" is the board's, with what the tokenizer really is."""
        if version == "paper":
            return Labels(self.architecture, self.tokenization, self.pretraining)
        tokenization = self.tokenizer_actual if version == "actual" else self.tokenization_board
        return Labels(self.architecture_board, tokenization, self.pretraining_board)


@cache
def models() -> Mapping[str, PublishedModel]:
    """Every model by its official id, in the order of the table."""
    return MappingProxyType({row["model"]: _model(row) for row in read_table("models")})


def board_model(encoder: str) -> PublishedModel | None:
    """The model that an encoder of a run is, by the name that registry models have; None for any other."""
    return next((one for one in models().values() if one.display == encoder.partition(",")[0]), None)


def _model(row: Mapping[str, str]) -> PublishedModel:
    same = ("model", "display", "architecture", "tokenization", "pretraining", "architecture_board",
            "tokenization_board", "pretraining_board", "tokenizer_actual", "length_unit", "weights_source",
            "code_source", "pooling", "layer", "dtype", "extractor")  # fmt: skip
    return PublishedModel(
        **{name: row[name] for name in same},
        params_paper_v1=whole_number(row["params_paper_v1"]),
        params_board=whole_number(row["params_board"]),
        official=row["official"] == "true",
        in_domain=row["in_domain"] == "true",
        width=int(row["embedding_width"]),
        max_tokens=whole_number(row["max_tokens"]),
        hub_id=row["hub_id"] or None,
        hub_revision=row["hub_revision"] or None,
        licence=row["licence"] or None,
        needs_remote_code=row["needs_remote_code"] == "true",
        special_tokens_in_mean={"true": True, "false": False}.get(row["special_tokens_in_mean"]),
        defects=(row["known_defect"],) if row["known_defect"] else (),
        version_note=row["version_note"] or None,
    )
