"""From sequences to windows of token ids: special tokens, limits, batches. Knows no model."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from geneb_jax.errors import EncoderError

_AT_ONCE = 256  # sequences given to the tokenizer, whose lists of Python numbers take ten times the room
_PROBES = ("ACGTACGTTTGCA", "GGCATTTACGACCA")


@dataclass(frozen=True)
class Template:
    """The special tokens in front of and behind every sequence."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """How many positions the special tokens take."""
        return len(self.prefix) + len(self.suffix)


@dataclass(frozen=True)
class Window:
    """One pass through the model: the ids between the special tokens, and the row they belong to."""

    row: int
    content: Sequence[int]


def find_template(tokenizer: Any, *, where: str) -> Template:
    """Learn what the tokenizer puts around a sequence from what it does to two short ones.

    Adding these by hand lets truncation and windows keep them, and works alike for every tokenizer class.
    Raises EncoderError where the special tokens do not simply surround the sequence.
    """
    found: set[Template] = set()
    for probe in _PROBES:
        inner, outer = _ids(tokenizer, [probe], special=False)[0], _ids(tokenizer, [probe], special=True)[0]
        if set(inner) <= {getattr(tokenizer, "unk_token_id", None)}:
            raise EncoderError(
                "the tokenizer knows none of the letters A, C, G and T",
                where=where,
                cure="check the tokenizer's files; a model of another alphabet needs a class of your own",
            )
        starts = [i for i in range(len(outer) - len(inner) + 1) if outer[i : i + len(inner)] == inner]
        if inner and starts:
            found.add(Template(tuple(outer[: starts[0]]), tuple(outer[starts[0] + len(inner) :])))
    if len(found) != 1:
        raise EncoderError(
            "the tokenizer does more than put special tokens around a sequence",
            where=where,
            cure="add add_special_tokens=false, or wrap the model in a class of your own: MODULE:CLASS",
        )
    return found.pop()


def _ids(tokenizer: Any, sequences: Sequence[str], *, special: bool) -> list[list[int]]:
    # verbose=False: the tokenizer would warn of over-long sequences, which `windows` handles itself
    encoded = tokenizer(
        list(sequences),
        add_special_tokens=special,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return [list(ids) for ids in encoded["input_ids"]]


def _all_ids(tokenizer: Any, sequences: Sequence[str]) -> Iterator[array[int]]:
    for start in range(0, len(sequences), _AT_ONCE):
        for ids in _ids(tokenizer, sequences[start : start + _AT_ONCE], special=False):
            yield array("i", ids)


def windows(tokenizer: Any, sequences: Sequence[str], room: int | None, overflow: str, *, where: str) -> list[Window]:
    """The windows of all sequences, in order; ``room`` is the limit less the special tokens.

    Raises EncoderError for a sequence without tokens, and for one past the limit when ``overflow=error``.
    """
    if not sequences:
        return []
    made: list[Window] = []
    for row, ids in enumerate(_all_ids(tokenizer, sequences)):
        if not ids:
            raise EncoderError(
                "the tokenizer makes no token of this sequence",
                where=f"{where}: sequence {row + 1} of {len(sequences)}, {sequences[row][:40]!r}",
                cure="remove the sequence, or use an encoder that reads its letters",
            )
        if room is None or len(ids) <= room:
            made.append(Window(row, ids))
        elif overflow == "truncate":
            made.append(Window(row, ids[:room]))
        elif overflow == "windows":
            made.extend(Window(row, ids[i : i + room]) for i in range(0, len(ids), room))
        else:
            raise EncoderError(
                f"a sequence has {len(ids)} tokens, and the model reads at most {room}",
                where=f"{where}: sequence {row + 1} of {len(sequences)}, {sequences[row][:40]!r}",
                cure="use overflow=truncate or overflow=windows",
            )
    return made


def batches(made: Sequence[Window], extra: int, budget: int, *, equal_lengths: bool) -> Iterator[list[int]]:
    """Indices into ``made``, longest windows first, so that memory fails at once or not at all.

    ``extra`` is the special tokens of a window. Rows times the longest length stays within ``budget``
    (one window at least); with ``equal_lengths`` a batch needs no padding.
    """
    order = sorted(range(len(made)), key=lambda i: (-len(made[i].content), i))
    batch: list[int] = []
    for i in order:
        length = len(made[batch[0]].content) if batch else 0
        full = (len(batch) + 1) * (length + extra) > budget
        if batch and (full or (equal_lengths and len(made[i].content) != length)):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
