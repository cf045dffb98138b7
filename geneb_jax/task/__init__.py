"""Labelled sequences: suites and their tasks, where data comes from, and its audit (`task.audit`)."""

from __future__ import annotations

from geneb_jax.task.control import Control, control_suite
from geneb_jax.task.info import Split, Suite, Task, TaskInfo, UpstreamSizes, split_digest
from geneb_jax.task.letters import IUPAC, normalise_sequence, reverse_complement
from geneb_jax.task.suite import BUILT_IN, load_suite

__all__ = [
    "BUILT_IN",
    "IUPAC",
    "Control",
    "Split",
    "Suite",
    "Task",
    "TaskInfo",
    "UpstreamSizes",
    "control_suite",
    "load_suite",
    "normalise_sequence",
    "reverse_complement",
    "split_digest",
]
