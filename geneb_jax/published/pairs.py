"""The 30 pairs of models that the paper compares, one factor at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from geneb_jax.published.entries import LabelVersion
from geneb_jax.published.table import read_table

_COLUMN: Mapping[LabelVersion, str] = {"paper": "paper_v1", "board": "board", "actual": "actual_tokenizer"}


@dataclass(frozen=True)
class MatchedPair:
    """Two models that differ in `factor` (`first_level` against `second_level`) and share what `held_fixed` names.

    `agree` says, for each version of the labels, whether what is held fixed really is the same for both.
    """

    number: int
    factor: str
    sub_factor: str
    first: str
    second: str
    first_level: str
    second_level: str
    held_fixed: str
    agree: Mapping[LabelVersion, bool]


@cache
def matched_pairs() -> tuple[MatchedPair, ...]:
    """The pairs in the paper's order; models by their official ids."""
    return tuple(
        MatchedPair(
            number=int(row["pair"]),
            factor=row["factor"],
            sub_factor=row["sub_factor"],
            first=row["model_a"],
            second=row["model_b"],
            first_level=row["level_a"],
            second_level=row["level_b"],
            held_fixed=row["held_fixed"],
            agree={version: row[f"labels_agree_{column}"] == "true" for version, column in _COLUMN.items()},
        )
        for row in read_table("matched_pairs")
    )
