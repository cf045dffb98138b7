"""The official GENEB board as data: models, tasks, scores, matched pairs. Points only; see data/ATTRIBUTION.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from geneb_jax.published.entries import LABEL_VERSIONS as LABEL_VERSIONS
from geneb_jax.published.entries import SIZE_VERSIONS as SIZE_VERSIONS
from geneb_jax.published.entries import Labels as Labels
from geneb_jax.published.entries import LabelVersion as LabelVersion
from geneb_jax.published.entries import PublishedModel as PublishedModel
from geneb_jax.published.entries import SizeVersion as SizeVersion
from geneb_jax.published.entries import board_model as board_model
from geneb_jax.published.entries import models as models
from geneb_jax.published.pairs import MatchedPair as MatchedPair
from geneb_jax.published.pairs import matched_pairs as matched_pairs
from geneb_jax.published.scores import REGIMES as REGIMES
from geneb_jax.published.scores import BoardRow as BoardRow
from geneb_jax.published.scores import PublishedTask as PublishedTask
from geneb_jax.published.scores import categories as categories
from geneb_jax.published.scores import category_mcc as category_mcc
from geneb_jax.published.scores import known_tasks as known_tasks
from geneb_jax.published.scores import leaderboard as leaderboard
from geneb_jax.published.scores import task_mcc as task_mcc
from geneb_jax.published.scores import tasks as tasks


@dataclass(frozen=True)
class Source:
    """From where the tables are, and under which licence."""

    repository: str
    commit: str
    licence: str
    paper: str


SOURCE: Final = Source(
    repository="darlednik/GENEB",
    commit="9642d481",
    licence="CC BY 4.0",
    paper='"Why Genomic Models Are Hard to Compare", arXiv 2606.04525, ICML 2026',
)
