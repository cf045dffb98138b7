"""A pair that was read and waits to be fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneb_jax.axes import NumpyFloat
from geneb_jax.run import plan
from geneb_jax.run.lanes import Asked, blocks
from geneb_jax.run.meta import TaskMeta
from geneb_jax.run.streaming import non_finite_rows
from geneb_jax.store import SplitIndex

if TYPE_CHECKING:
    from geneb_jax.probes.blocks import Rows


@dataclass(frozen=True)
class Ready:
    """A pair whose vectors were read, or lie ready as rows of the store."""

    pair: plan.Pair
    lanes: list[Asked]
    train: SplitIndex
    test: SplitIndex
    X_train: NumpyFloat | Rows
    X_test: NumpyFloat | Rows

    def blocks(self) -> list[list[Asked]]:
        """The lanes in blocks whose results fit into memory."""
        size = {"width": self.pair.element.width, "num_test": len(self.test)}
        return list(blocks(self.lanes, **size, num_classes=len(np.unique(self.train.labels))))

    @property
    def bytes(self) -> int:
        """Bytes of the vectors in memory."""
        return sum(X.nbytes for X in (self.X_train, self.X_test) if isinstance(X, np.ndarray))

    def non_finite(self) -> str:
        """Which vectors hold NaN or infinite values, in words; empty where none does."""
        for name, X, split in (("training", self.X_train, self.train), ("test", self.X_test, self.test)):
            bad = non_finite_rows(self.pair.element, X, split.rows)
            if len(bad):
                return (
                    f"{len(bad)} of {len(split)} {name} vectors hold NaN or infinite values, first row {bad[0]}; "
                    "check the encoder and its precision, and embed again"
                )
        return ""


def task_meta(train: SplitIndex, test: SplitIndex) -> TaskMeta:
    """What ``run.json`` says of a task. A store holds every sequence once, so equal rows are equal sequences."""
    leaked = np.isin(test.rows, train.rows)
    return TaskMeta(
        n_train=len(train),
        n_test=len(test),
        train_digest=train.data_digest,
        test_digest=test.data_digest,
        labels=np.union1d(train.labels, test.labels).tolist(),
        leaked=int(leaked.sum()),
        leaked_other_label=int(np.sum(leaked & ~np.isin(_labelled(test), _labelled(train)))),
        warnings=list(dict.fromkeys((*train.warnings, *test.warnings))),
    )


def _labelled(split: SplitIndex) -> NDArray[np.void]:
    """A number for every pair of sequence and label."""
    pairs = np.empty(len(split), dtype=[("row", np.int64), ("label", np.int64)])
    pairs["row"], pairs["label"] = split.rows, split.labels
    return pairs
