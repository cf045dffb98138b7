"""Named workloads: real tasks, real encoders, exact shapes; shared by the rows and the tests."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.encoder import load_encoder
from geneb_jax.errors import MissingDataError, unknown_name
from geneb_jax.probes import GENEB_REGIMES, GENEB_SEEDS, Lane, LogisticSpec, Regime
from geneb_jax.task import load_suite

Size = Literal["toy", "real"]
SUBSET_SEED = 20240601
"""Seed of the permutation that chooses rows where a workload wants fewer than the task has."""


@dataclass(frozen=True)
class Workload:
    """Which rows of which task, through which encoder, in which columns.

    home: ``geneb`` or ``more`` (folders of real tasks beside the checkout) or ``quickstart`` (bundled).
    rows, test_rows: a fixed random subset of that many rows; None takes all. columns: the first so many columns.
    merge: labels modulo this number, for curves over the number of classes at equal rows.
    """

    name: str
    home: str
    task: str
    encoder: str
    rows: int | None = None
    test_rows: int | None = None
    columns: int | None = None
    merge: int | None = None

    def but(self, **changes: int | None) -> Workload:
        """The same workload with other rows, columns or classes; its name says which."""
        tail = ",".join(f"{key}={value}" for key, value in changes.items())
        return replace(self, name=f"{self.name}[{tail}]", **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Problem:
    """A workload's arrays: X_train (n, d), X_test (m, d) float32 row-major, labels int64."""

    workload: Workload
    X_train: NumpyFloat
    y_train: NumpyInt
    X_test: NumpyFloat
    y_test: NumpyInt

    @property
    def n(self) -> int:
        """Training rows."""
        return len(self.y_train)

    @property
    def m(self) -> int:
        """Test rows."""
        return len(self.y_test)

    @property
    def d(self) -> int:
        """Width."""
        return int(self.X_train.shape[1])

    @property
    def classes(self) -> int:
        """Distinct training labels."""
        return len(np.unique(self.y_train))

    @property
    def outputs(self) -> int:
        """Columns of the coefficients: 1 for two classes, else one per class."""
        return 1 if self.classes == 2 else self.classes

    @property
    def bytes_X(self) -> int:
        """Bytes of both splits' embeddings."""
        return int(self.X_train.nbytes + self.X_test.nbytes)


def find_data(option: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder with ``geneb/tasks`` and ``more/tasks``: the option, GENEB_SHARED/data, ../shared/data, or None."""
    if option is not None:
        folder = Path(option)
        if not folder.is_dir():
            raise MissingDataError("the folder of real tasks does not exist", where=str(option), cure="check --data")
        return folder
    root = os.environ.get("GENEB_SHARED")
    folder = (Path(root) if root else Path(__file__).resolve().parents[2] / "shared") / "data"
    return folder if folder.is_dir() else None


def available(workload: Workload, data: Path | None) -> bool:
    """Whether the task's files are on this machine."""
    if workload.home == "quickstart":
        return True
    return data is not None and (data / workload.home / "tasks" / workload.task).is_dir()


@functools.lru_cache(maxsize=1)  # the widest are 0.3 GB: keep only the last
def load_problem(workload: Workload, data: Path | None) -> Problem:
    """Embed the workload's task. Raises MissingDataError where the task's files are not here."""
    if not available(workload, data):
        raise MissingDataError(
            f"the benchmark {workload.name!r} needs the task {workload.task!r}",
            where=f"{workload.home}/tasks/{workload.task}",
            cure="name the folder of real tasks with --data, or run with --size toy",
        )
    root: str | Path = "quickstart" if workload.home == "quickstart" or data is None else data / workload.home
    task = load_suite(root).load(workload.task)
    encoder = load_encoder(workload.encoder)
    parts = []
    for split, limit in (("train", workload.rows), ("test", workload.test_rows)):
        sequences, labels = task.splits[split].sequences, task.splits[split].labels
        if limit is not None:
            if limit > len(labels):
                raise MissingDataError(f"{workload.task} has {len(labels)} {split} rows, not {limit}")
            rows = np.sort(np.random.default_rng(SUBSET_SEED).permutation(len(labels))[:limit])
            sequences, labels = [sequences[i] for i in rows], labels[rows]
        X = encoder.encode(sequences)
        parts += [np.ascontiguousarray(X[:, : workload.columns]), np.asarray(labels, np.int64)]
    if workload.merge is not None:
        parts[1], parts[3] = parts[1] % workload.merge, parts[3] % workload.merge
    return Problem(workload, *parts)


def geneb_lanes(spec: LogisticSpec | None = None) -> list[Lane]:
    """GENEB's whole protocol for one (encoder, task): three regimes by five seeds."""
    spec = spec or LogisticSpec()
    return [Lane(Regime.parse(regime), seed, spec) for regime in GENEB_REGIMES for seed in GENEB_SEEDS]


def full_lane(spec: LogisticSpec | None = None) -> list[Lane]:
    """One fit on all training rows."""
    return [Lane(Regime(None), GENEB_SEEDS[0], spec or LogisticSpec())]


def penalty_lanes(penalties: Sequence[float]) -> list[Lane]:
    """One full-data fit for each C."""
    return [Lane(Regime(None), GENEB_SEEDS[0], LogisticSpec(C=C)) for C in penalties]


def draw_lanes(draws: int, shots: int = 10) -> list[Lane]:
    """Seeds 0, 1, 2, … of one few-shot regime."""
    return [Lane(Regime(shots), seed, LogisticSpec()) for seed in range(draws)]


def _kmer(name: str, home: str, task: str, k: int, **shape: int | None) -> list[Workload]:
    """The workload as frequencies, what ``kmer:K`` gives by default, and as counts."""
    return [
        Workload(f"{name}-freq", home, task, f"kmer:{k}", **shape),
        Workload(f"{name}-counts", home, task, f"kmer:{k},counts=true", **shape),
    ]


TF0 = "leannmlindsey_GUE_human_tf_0"
ARABIDOPSIS = "iPro-WAEL_Promoter_Arabidopsis_NonTATA"

_ALL = [
    # real
    *_kmer("narrow72", "geneb", TF0, 4, columns=72),
    *_kmer("tf0", "geneb", TF0, 4),
    *_kmer("arabidopsis", "geneb", ARABIDOPSIS, 5),
    *_kmer("elements14", "more", "GLMap_functional_element_14", 4),
    *_kmer("fungi20", "more", "GLMap_sample_GUE_fungi_species_20", 4),
    *_kmer("virus25", "more", "GLMap_sample_GUE_virus_species_40", 4),
    *_kmer("wide2048", "geneb", TF0, 6, rows=20_000, columns=2048),
    *_kmer("wide4096", "geneb", TF0, 6, rows=20_000),
    *_kmer("draws768", "geneb", ARABIDOPSIS, 5, columns=768, test_rows=2_000),
    # bundled, for tests and machines without the real tasks
    *_kmer("toy2", "quickstart", "splice_sites_donors", 3, rows=400, test_rows=150),
    *_kmer("toy3", "quickstart", "splice_sites_all", 3, rows=400, test_rows=150),
    # embedding rows: the first of their tasks; all are in rows/embed_rows.py
    Workload("embed-mistral", "geneb", "leannmlindsey_GUE_mouse_3", "hf:mistral-dna-1m-tf0"),
    Workload("embed-bert", "geneb", "leannmlindsey_GUE_mouse_3", "hf:random-bert"),
    Workload("embed-toy", "quickstart", "splice_sites_donors", "hf:random-bert"),
    # whole tasks in a store: all of one length, so that a split's rows lie in order there, and of lengths that differ
    Workload("store-tf0", "geneb", TF0, "kmer:4"),
    Workload("store-arabidopsis", "geneb", ARABIDOPSIS, "kmer:5"),
    Workload("store-mixed", "more", "PreLnc_lncRNA_cow", "kmer:6"),
    Workload("store-toy", "quickstart", "splice_sites_all", "kmer:5"),
]
WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in _ALL}


def workload(name: str) -> Workload:
    """A workload by name. Raises UnknownNameError."""
    if name not in WORKLOADS:
        raise unknown_name("workload", name, list(WORKLOADS))
    return WORKLOADS[name]
