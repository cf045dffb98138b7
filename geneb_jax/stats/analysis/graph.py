"""The comparison graph: which paper used which model as a baseline. The paper shows one and publishes no edges, so the
edges are the user's: a CSV with the columns model,baseline.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geneb_jax.errors import DataError
from geneb_jax.plain import require_file
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, claim_tests


@dataclass(frozen=True)
class Edge:
    """`model`'s paper compares with `baseline`: the difference of their scores here."""

    model: str
    baseline: str
    difference: Estimate
    test: ClaimTest | None


@dataclass(frozen=True)
class ComparisonGraph:
    """The edges with the counts that the paper's Figure 1 shows.

    `groups` are sets of models that are linked by comparisons, largest first; models in different groups were never
    compared, not even through others. `baselines` counts how often each model serves as one. `outside` names the
    models of the edges that are not on the board.
    """

    regime: str
    num_models: int
    num_pairs_compared: int
    groups: tuple[tuple[str, ...], ...]
    baselines: dict[str, int]
    edges: tuple[Edge, ...]
    outside: tuple[str, ...]


def read_edges(path: Path) -> list[tuple[str, str]]:
    """(model, baseline) of each line of a CSV with these columns.

    Raises:
        DataError: it cannot be read, a column is missing, or a name is.
    """
    require_file(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["model"].strip(), row["baseline"].strip()) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the edges cannot be read: {error}", where=str(path)) from error
    except (KeyError, AttributeError) as error:
        raise DataError(
            "the edges lack a model or a baseline", where=str(path), cure="write a CSV with the columns model,baseline"
        ) from error
    for number, ends in enumerate(rows, start=2):
        if not all(ends):
            raise DataError("an edge lacks a name", where=f"{path}, line {number}")
    return rows


def comparison_graph(
    board: ScoreBoard,
    edges: Iterable[tuple[str, str]],
    *,
    find: Callable[[str], str | None],
    regime: str = "full",
    level: float = LEVEL,
) -> ComparisonGraph:
    """The graph of the edges among the board's models; `find` gives the model that a name means, or None.

    Raises:
        DataError: no edge has both ends on the board.
    """
    named = [(find(a), find(b), (a, b)) for a, b in dict.fromkeys(edges)]
    known = list(dict.fromkeys((a, b) for a, b, _ in named if a and b and a != b))
    outside = dict.fromkeys(name for a, b, names in named for end, name in zip((a, b), names, strict=True) if not end)
    if not known:
        raise DataError(
            "no edge links two models of this board", where=f"not on it: {', '.join(outside) or 'none'}",
            cure="`geneb encoders` lists the names",
        )  # fmt: skip
    n = len(board.models)
    ends = np.array([(board.place(a), board.place(b)) for a, b in known], np.int64).reshape(-1, 2)
    _, group = connected_components(coo_array((np.ones(len(ends)), ends.T), shape=(n, n)), directed=False)
    members = [tuple(np.asarray(board.models)[group == g].tolist()) for g in np.unique(group)]
    scores = board.score(regime)
    differences = [scores.difference(int(a), int(b)) for a, b in ends]
    return ComparisonGraph(
        regime=regime,
        num_models=n,
        num_pairs_compared=len({frozenset(pair) for pair in known}),
        groups=tuple(sorted(members, key=lambda own: (-len(own), own))),
        baselines=dict(Counter(b for _, b in known).most_common()),
        edges=tuple(
            Edge(a, b, one.estimate(level), test)
            for (a, b), one, test in zip(
                known, differences, claim_tests([[d] for d in differences], level), strict=True
            )
        ),
        outside=tuple(outside),
    )
