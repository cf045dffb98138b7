"""The suite ``geneb``: the 100 tasks of the GENEB benchmark in board order, as the board states them.

``num_classes``, ``n_train``, ``n_test`` are filled where GENEB itself states them or they were counted in
the pinned files; the ``upstream_*`` columns describe the collections the tasks came from, and are not
GENEB's own counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from geneb_jax.errors import MissingDataError
from geneb_jax.published.table import read_table, whole_number
from geneb_jax.task.files import FolderReader
from geneb_jax.task.hub import HubReader
from geneb_jax.task.info import Reader, Suite, TaskInfo, UpstreamSizes

DATASET: Final = "darlednik/geneb-tasks"
REVISION: Final = "4edd705be573e48c585c2cf79dc320f9f43c7b04"
DATA_VARIABLE: Final = "GENEB_DATA"

_CURE: Final = (
    f"either give local files with --data DIR or {DATA_VARIABLE}=DIR (DIR/tasks/<task_id>/train.csv and "
    f"test.csv; also .csv.gz, .parquet), or let the hub dataset {DATASET}@{REVISION} be fetched "
    "(network on, HF_HUB_OFFLINE unset)"
)


def geneb_suite(data: Path | None = None, *, offline: bool = False) -> Suite:
    """The 100 tasks over local files (``data``, else ``GENEB_DATA``) or else over the pinned hub dataset.

    Raises MissingDataError when a local folder is named that holds none of the tasks.
    """
    reader: Reader
    named = "--data"
    if data is None and os.environ.get(DATA_VARIABLE):
        data, named = Path(os.environ[DATA_VARIABLE]), DATA_VARIABLE
    if data is None:
        reader = HubReader(DATASET, REVISION, offline=offline, cure=_CURE)
    else:
        if not data.is_dir():
            raise MissingDataError(f"the folder given with {named} does not exist", where=str(data), cure=_CURE)
        reader = FolderReader(data, "local files", _CURE)
        if not any(reader.present(info) for info in _tasks()):
            what = f"the folder given with {named} holds none of the {len(_tasks())} GENEB tasks"
            raise MissingDataError(what, where=str(data), cure=_CURE)
    return Suite("geneb", REVISION, f"{DATASET}@{REVISION}", _tasks(), reader)


@cache
def _tasks() -> tuple[TaskInfo, ...]:
    return tuple(_info(row) for row in read_table("tasks"))


def _info(row: Mapping[str, str]) -> TaskInfo:
    def number(name: str) -> int | None:
        return whole_number(row[name])

    upstream = UpstreamSizes(
        dataset=row["upstream_dataset"] or None,
        num_classes=number("upstream_num_classes"),
        n_train=number("upstream_n_train"),
        n_dev=number("upstream_n_dev"),
        n_test=number("upstream_n_test"),
        len_min=number("upstream_len_min"),
        len_nominal=number("upstream_len_nominal"),
        len_max=number("upstream_len_max"),
        size_source=row["upstream_size_source"] or None,
        class_source=row["upstream_class_source"] or None,
        len_source=row["upstream_len_source"] or None,
    )
    return TaskInfo(
        id=row["id"],
        label=row["label"],
        category=row["category"],
        source_suite=row["source_suite"],
        num_classes=number("num_classes"),
        n_train=number("n_train"),
        n_test=number("n_test"),
        hub_path=row["hub_path"].rpartition("/")[0],
        upstream=upstream,
    )
