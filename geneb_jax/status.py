"""Why a probe stopped. Code under jit never raises on values: every lane carries one of these."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Outcome of one lane. Everything but ``CONVERGED`` is shown wherever its score is shown."""

    CONVERGED = 0
    MAX_STEPS = 1
    STALLED = 2
    NON_FINITE = 3
    ONE_CLASS_TRAIN = 4
    ONE_CLASS_PREDICTED = 5
    ONE_CLASS_TEST = 6
    BAD_DATA = 7
    BAD_EMBEDDING = 8

    @property
    def label(self) -> str:
        """The name stored in records and printed in tables."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """What happened, the likely cause, and which parameter to change."""
        return _SENTENCES[self]

    @property
    def mark(self) -> str:
        """The sign printed behind a score; empty when there is nothing to say."""
        return _MARKS[self]

    @property
    def has_score(self) -> bool:
        """Whether a score exists at all; the others are recorded as missing values."""
        return self not in _NO_SCORE

    @property
    def is_degenerate(self) -> bool:
        """Whether the score exists but says nothing about the encoder."""
        return self in _DEGENERATE


_SENTENCES: dict[Status, str] = {
    Status.CONVERGED: "The fit reached its optimum to the asked tolerance.",
    Status.MAX_STEPS: (
        "The solver used all its steps before the tolerance was met, as happens with nearly separable or badly "
        "scaled features; raise max_steps, or standardise."
    ),
    Status.STALLED: (
        "No step improved the objective any further although the tolerance is not met: the arithmetic's "
        "resolution is exhausted; use x64, or standardise the features."
    ),
    Status.NON_FINITE: (
        "The objective or its gradient is not a finite number, so the features overflow this precision; "
        "check the embeddings, or use x64."
    ),
    Status.ONE_CLASS_TRAIN: "The training rows hold a single class, so nothing can be fitted; check the split.",
    Status.ONE_CLASS_PREDICTED: (
        "The fit converged, but every test row was given the same class: MCC is 0 by definition, not by measurement."
    ),
    Status.ONE_CLASS_TEST: "The test rows hold a single class: MCC is 0 by definition and says nothing.",
    Status.BAD_DATA: "The task could not be read, so it has no score; its message says which file and row.",
    Status.BAD_EMBEDDING: (
        "The embeddings hold NaN or infinite values, so no probe was fitted; check the encoder and its precision."
    ),
}

_MARKS: dict[Status, str] = {
    Status.CONVERGED: "",
    Status.MAX_STEPS: "†",
    Status.STALLED: "†",
    Status.NON_FINITE: "✗",
    Status.ONE_CLASS_TRAIN: "✗",
    Status.ONE_CLASS_PREDICTED: "‡",
    Status.ONE_CLASS_TEST: "‡",
    Status.BAD_DATA: "✗",
    Status.BAD_EMBEDDING: "✗",
}

_NO_SCORE = frozenset({Status.NON_FINITE, Status.ONE_CLASS_TRAIN, Status.BAD_DATA, Status.BAD_EMBEDDING})
_DEGENERATE = frozenset({Status.ONE_CLASS_PREDICTED, Status.ONE_CLASS_TEST})
