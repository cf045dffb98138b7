"""Scores that a run holds of rows that are others by now: they are never shown as if they were of today's.

A run directory says by digest of which rows its scores are (`geneb_jax.run.meta.TaskMeta`). Before anything is reused
these digests are compared with those of the stores that are probed, and these with the suite's own files where they
lie on this machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from geneb_jax.errors import RunError, StoreError
from geneb_jax.run.meta import EncoderMeta, TaskMeta
from geneb_jax.run.plan import DataCheck, Pair

Digests: TypeAlias = tuple[str, str]
"""Of the training and of the test rows of a task."""
Key: TypeAlias = tuple[str, str]
"""Encoder digest and task."""

_SPLITS = ("train", "test")


def stored_digests(pairs: Iterable[Pair]) -> dict[Key, Digests]:
    """By encoder and task, of which rows the stores hold vectors and labels; without pairs that cannot be read."""
    found: dict[Key, Digests] = {}
    for pair in pairs:
        if pair.problem:
            continue
        try:
            train, test = (pair.element.data_digest(pair.info.id, split) for split in _SPLITS)
        except StoreError:
            continue  # has no index of one split: the probe says so
        found[pair.digest, pair.info.id] = (train, test)
    return found


def require_current(scored: Collection[Key], stored: Mapping[Key, Digests], check: DataCheck) -> None:
    """Compare the rows of pairs that have scores already with the suite's own files, where these are at hand.

    Raises:
        StoreError: the files were changed since their rows were embedded.
        DataError: they cannot be read any more.
    """
    for key, digests in stored.items():
        if key in scored:
            check.require_same(key[1], dict(zip(_SPLITS, digests, strict=True)))


def outdated_tasks(
    scored: Mapping[Key, int], known: Mapping[str, TaskMeta], stored: Mapping[Key, Digests]
) -> dict[str, str]:
    """The tasks whose scores have to be made again, each with a sentence that says so; "" where it has none yet.

    Args:
        scored: how many scores the run holds, by encoder and task.
        known: what the run says of its tasks.
        stored: what is to be probed now.

    Raises:
        RunError: the run also holds scores of other encoders, which this command could not make again.
    """
    found: dict[str, str] = {}
    for task in dict.fromkeys(task for _, task in stored):
        now = {encoder: digests for (encoder, of), digests in stored.items() if of == task}
        before = {encoder: count for (encoder, of), count in scored.items() if of == task}
        old = known.get(task)
        was = ("", "") if old is None else (old.train_digest, old.test_digest)
        changed = next((now[e] for e in before or now if now.get(e, was) != was), was)
        if changed == was or (old is None and not before):
            continue
        others = [encoder for encoder in before if now.get(encoder, was) == was]
        names = " and ".join(n for n, a, b in zip(("training", "test"), was, changed, strict=True) if a != b)
        if before and (others or len(set(now.values())) > 1):
            raise RunError(
                f"the {names} rows of this task were changed since it was scored, and the run also holds scores of "
                "encoders that were not embedded again",
                where=f"task {task}",
                cure="repeat the command with every encoder of the run, or give --out another folder",
            )
        count = sum(before.values())
        found[task] = (
            f"{task}: its {names} rows were changed since it was scored; {count} old "
            f"{'scores were' if count > 1 else 'score was'} dropped and it is fitted again."
        ) * bool(count)
    return found


def changed_encoders(named: Iterable[EncoderMeta], held: Iterable[EncoderMeta]) -> list[str]:
    """A sentence for each encoder that is asked for and of which the run also holds another version.

    Args:
        named: the encoders of this command.
        held: all that the run knows.
    """
    asked = {one.digest: one for one in named}
    return [
        f"{new.name}: its code, weights or libraries changed since it was first scored here; the old vectors in the "
        f"store and the old scores are kept apart, as {new.name} #{old.digest[:6]}."
        for old in held
        if old.digest not in asked
        for new in asked.values()
        if (new.name, new.settings) == (old.name, old.settings)
    ]
