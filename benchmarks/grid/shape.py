"""The published-size grid: encoders by width, tasks by rows and classes, and a stratified part of it.

Widths are the registry's. GENEB states hardly any task's rows, so each task says where its numbers come from:

- ``stated``: GENEB's own;
- ``counted``: counted in the task's official files by hand (`COUNTED`);
- ``upstream``: of the collection that the task was drawn from; where that states no test rows, as many as a ninth of
  the training rows, the share of the collections that do;
- ``like its suite``: nobody states any; the median of the tasks of the same source suite, else of all.

GENEB took a sample of tasks with more than 100,000 sequences, so larger ones are cut to that, both splits alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeVar

import numpy as np

from geneb_jax.errors import UsageError
from geneb_jax.published import models, task_mcc
from geneb_jax.store.arrays import default_rows
from geneb_jax.task import TaskInfo, load_suite

T = TypeVar("T")

MOST_ROWS = 100_000
TEST_SHARE = 1 / 9
SHOTS = 10
"""A task keeps at least this many training rows of each class, so that the largest draw exists."""

LEAST_CELLS = 12
"""However small a part is, it has about so many cells; their rows are fewer then."""

COUNTED = {
    "iDNA_ABF_5mC": (2_344, 2_344),
    "iDHS-EL_DNase_I": (711, 306),
    "iPro-WAEL_Promoter_Arabidopsis_NonTATA": (8_267, 3_543),
    "iPro-WAEL_Promoter_B_amyloliquefaciens": (1_483, 636),
    "deep4mc_E.coli_4mC": (8_681, 3_721),
}


@dataclass(frozen=True)
class GridTask:
    """One task: n training and m test rows of k classes, and where the numbers come from."""

    id: str
    category: str
    n: int
    m: int
    k: int
    source: str = "stated"

    @property
    def rows(self) -> int:
        """Of both splits."""
        return self.n + self.m

    def scaled(self, share: float) -> GridTask:
        """The task with a share of its rows, but enough of every class for the draws."""
        n = min(self.n, max(round(share * self.n), 2 * SHOTS * self.k))
        return replace(self, n=n, m=min(self.m, max(round(share * self.m), 5 * self.k)))


@dataclass(frozen=True)
class GridEncoder:
    """One encoder: its width, and the MCC at full data that the board has for it, by task."""

    name: str
    width: int
    mcc: Mapping[str, float]


@dataclass(frozen=True)
class Cell:
    """One (encoder, task) pair, as far as its cost depends on it."""

    n: int
    m: int
    d: int
    k: int

    @property
    def outputs(self) -> int:
        """Columns of the coefficients: 1 for two classes, else one per class."""
        return 1 if self.k == 2 else self.k

    @property
    def bytes(self) -> int:
        """Of the embeddings of both splits, float32."""
        return 4 * (self.n + self.m) * self.d


@dataclass(frozen=True)
class Grid:
    """Every encoder with every task. `share` is the part of each task's rows that is left."""

    encoders: tuple[GridEncoder, ...]
    tasks: tuple[GridTask, ...]
    share: float = 1.0

    @property
    def cells(self) -> list[Cell]:
        """Encoder by encoder."""
        return [cell_of(encoder, task) for encoder in self.encoders for task in self.tasks]

    @property
    def bytes(self) -> int:
        """Of all embeddings."""
        return self.bytes_of(sum(encoder.width for encoder in self.encoders))

    def bytes_of(self, width: int) -> int:
        """Of all tasks' embeddings at one width."""
        return 4 * width * sum(task.rows for task in self.tasks)


def cell_of(encoder: GridEncoder, task: GridTask) -> Cell:
    """The sizes of one pair."""
    return Cell(task.n, task.m, encoder.width, task.k)


def pieces(grid: Grid, encoder: GridEncoder) -> list[Cell]:
    """The commits of an encoder's rows, as cells without a test split."""
    rows, step = sum(task.rows for task in grid.tasks), default_rows(encoder.width)
    return [Cell(min(step, rows - start), 0, encoder.width, 2) for start in range(0, rows, step)]


def published_grid() -> Grid:
    """The 40 official encoders and the 100 tasks."""
    board = task_mcc("full")
    encoders = [GridEncoder(m.display, m.width, board[m.model]) for m in models().values() if m.official]
    infos = load_suite("geneb").tasks
    known = {info.id: sizes for info in infos if (sizes := _known(info)) is not None}
    return Grid(tuple(encoders), tuple(_task(info, known, infos) for info in infos))


def _known(info: TaskInfo) -> tuple[int, int, str] | None:
    if info.n_train is not None and info.n_test is not None:
        return info.n_train, info.n_test, "stated"
    if info.id in COUNTED:
        return (*COUNTED[info.id], "counted")
    if info.upstream is None or info.upstream.n_train is None:
        return None
    n, m = info.upstream.n_train, info.upstream.n_test
    return n, round(n * TEST_SHARE) if m is None else m, "upstream"


def _task(info: TaskInfo, known: Mapping[str, tuple[int, int, str]], infos: Sequence[TaskInfo]) -> GridTask:
    if info.id in known:
        n, m, source = known[info.id]
    else:
        suite = [known[other.id] for other in infos if other.id in known and other.source_suite == info.source_suite]
        like = suite or list(known.values())
        n, m = (round(median(sizes[i] for sizes in like)) for i in (0, 1))
        source = "like its suite" if suite else "like all tasks"
    share = min(1.0, MOST_ROWS / (n + m))
    return GridTask(info.id, info.category, round(share * n), round(share * m), info.likely_num_classes or 2, source)


def part_of(grid: Grid, scale: float) -> Grid:
    """A stratified part of about `scale` of the grid's bytes: some encoders, some tasks, and a share of their rows.

    Encoders at even steps of the sorted widths with both ends, tasks at even steps of the sorted rows with both ends,
    and apart from those with two classes the others, at even steps of their classes. They make a full grid again, so
    that few pairs share a shape no more and no less than in the whole. Raises UsageError for a scale outside 0 … 1.
    """
    if not 0 < scale <= 1:
        raise UsageError(f"a scale is above 0 and at most 1, not {scale:g}", cure="use --scale 0.01 for a hundredth")
    if scale == 1:
        return grid
    cells = max(LEAST_CELLS, round(scale * len(grid.encoders) * len(grid.tasks)))
    wanted = max(2, round(np.sqrt(cells * 0.625)))
    encoders = _spread(sorted(grid.encoders, key=lambda e: e.width), wanted)
    wanted = max(3, -(-cells // len(encoders)))
    two = sorted((t for t in grid.tasks if t.k == 2), key=lambda t: t.rows)
    more = sorted((t for t in grid.tasks if t.k > 2), key=lambda t: (t.k, t.rows))
    several = min(len(more), max(1, round(wanted * len(more) / len(grid.tasks)))) if more else 0
    tasks = [*_spread(two, wanted - several), *_spread(more, several)]
    part = Grid(tuple(encoders), tuple(tasks))
    share = min(1.0, scale * grid.bytes / part.bytes)
    order = {task.id: i for i, task in enumerate(grid.tasks)}
    return Grid(part.encoders, tuple(t.scaled(share) for t in sorted(tasks, key=lambda t: order[t.id])), share)


def _spread(items: Sequence[T], count: int) -> list[T]:
    """So many of them at even steps; the last ones first where there is room for one only."""
    if count >= len(items):
        return list(items)
    places = np.linspace(len(items) - 1, 0, count).round().astype(int)
    return [items[i] for i in sorted(places)]
