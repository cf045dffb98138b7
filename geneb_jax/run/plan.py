"""Which (encoder, task) pairs a probe command works on, and whether their data are those of the store."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from geneb_jax.errors import DataError, GenebError, MissingDataError, StoreError
from geneb_jax.paths import why_not_one
from geneb_jax.run.meta import EncoderMeta, SuiteMeta
from geneb_jax.run.presets import preset_of
from geneb_jax.store import EmbeddingStore, open_store
from geneb_jax.store.measures import read_measures
from geneb_jax.task import BUILT_IN, Suite, Task, TaskInfo, load_suite
from geneb_jax.task.control import MARK, split_name


@dataclass(frozen=True)
class Pair:
    """One encoder's vectors of one task. `problem` is why they cannot be probed, if so."""

    element: EmbeddingStore
    info: TaskInfo
    problem: str = ""

    @cached_property
    def digest(self) -> str:
        """Digest of the encoder's manifest, which every record repeats."""
        return self.element.manifest.digest


@dataclass
class DataCheck:
    """Compares the digests of a store's splits with the suite's own data, where those lie on this machine."""

    suite: Suite
    _known: dict[str, dict[str, str] | DataError] = field(default_factory=dict)

    def at_hand(self, task: str) -> bool:
        """Whether the task's files lie on this machine."""
        return self.suite.reader.present(self.suite.info(task)) is True

    def digests(self, task: str) -> dict[str, str]:
        """Digest of each split of the suite's own data. Raises DataError when they cannot be used."""
        if task not in self._known:
            try:
                loaded = self.suite.load(task)
                self._known[task] = {name: split.digest for name, split in loaded.splits.items()}
            except DataError as error:
                self._known[task] = error
        known = self._known[task]
        if isinstance(known, DataError):
            raise known
        return known

    def require_same(self, task: str, stored: Mapping[str, str]) -> None:
        """Raise StoreError when the data at hand are not the ones that were embedded."""
        if not self.at_hand(task):
            return
        for split, digest in self.digests(task).items():
            if split in stored and stored[split] != digest:
                raise StoreError(
                    f"the store holds vectors of other data: the {split} split has changed since then",
                    where=f"task {task}",
                    cure="embed the task again; to probe what the store holds, leave --suite and --data out, in a "
                    "folder without these files",
                )


def open_elements(
    stores: Sequence[str | os.PathLike[str]], encoders: Collection[str] | None = None, preset: str | None = None
) -> list[tuple[str, EmbeddingStore]]:
    """Every element of every store (of these encoders, by digest), with the store's name.

    With `preset`, elements of the other preset are left out; those without a preset stay.

    Raises:
        StoreError: a store is damaged, or holds nothing.
    """
    found = []
    for path in stores:
        elements = open_store(path).elements()
        if not elements:
            raise StoreError(
                "this store is empty",
                where=str(path),
                cure="embed something first: `geneb embed ENCODER --store …`",
            )
        wanted = [e for e in elements if encoders is None or e.manifest.digest in encoders]
        if preset is not None:
            wanted = [e for e in wanted if preset_of(e.manifest.settings) in (None, preset)]
        found += [(Path(path).resolve().name, element) for element in wanted]
    return found


def resolve_suite(suite: Suite | str | None, elements: Sequence[EmbeddingStore]) -> Suite:
    """The suite asked for, or the one that the store's splits say they come from.

    Raises:
        StoreError: no suite was named and the stores hold none, or several.
    """
    if isinstance(suite, Suite):
        return suite
    if suite is not None:
        return load_suite(suite)
    infos: dict[str, TaskInfo] = {}
    sources: dict[tuple[str, str], str] = {}
    for element in elements:
        for task in element.tasks():
            index = element.split(task, element.split_names(task)[0])
            sources[index.suite_name, index.suite_version] = index.suite_source
            infos.setdefault(
                task,
                TaskInfo(
                    id=task,
                    label=index.label or task,
                    category=index.category,
                    kind=index.kind,
                    num_classes=index.num_classes,
                ),
            )
    if len(sources) != 1:
        names = ", ".join(f"{name} {version}" for name, version in sources)
        raise StoreError(
            f"the stores hold tasks of {len(sources)} suites: {names}" if sources else "the stores hold no tasks",
            cure="name one with --suite" if sources else "embed a suite first: `geneb embed ENCODER --suite …`",
        )
    ((name, version), source) = next(iter(sources.items()))
    for place in _places(name, source):
        try:
            known = load_suite(place)
        except GenebError:
            continue  # something else that is called so
        if (known.name, known.version) == (name, version) and set(infos) <= set(known.ids):
            return known
    return Suite(name, version, source, tuple(infos[t] for t in sorted(infos)), _NoData(source))


def _places(name: str, source: str) -> list[str]:
    """Where the suite of a store may be at hand: a store says what its suite is called, and not where it lies."""
    real, control = split_name(name)
    if real in BUILT_IN:
        return [name]
    said = re.match(r"(?:folder|suite file) ([^;]+)", source)
    words = [word for word in (said and said[1], real, f"{real}.toml") if word and why_not_one(word) is None]
    found = [word for word in dict.fromkeys(words) if Path(word).exists()]
    return [f"./{word}{MARK}{control}" if control else f"./{word}" for word in found]


@dataclass(frozen=True)
class _NoData:
    """Stands in for the data of a suite that is known from a store only."""

    source: str

    def present(self, info: TaskInfo) -> bool | None:
        return False

    def read(self, info: TaskInfo) -> Task:
        raise MissingDataError("this suite is known from a store only", where=f"task {info.id}")


def make_pairs(elements: Sequence[EmbeddingStore], suite: Suite, check: DataCheck) -> list[Pair]:
    """Every pair that can be probed or that must be reported as bad, tasks in the suite's order.

    A task that no store holds and whose data are sound or absent is simply missing.
    """
    held = {id(element): set(element.tasks()) for element in elements}
    seen: set[tuple[str, str]] = set()
    pairs = []
    for element in elements:
        for info in suite.tasks:
            key = (element.manifest.digest, info.id)
            if key in seen:
                continue
            if info.id in held[id(element)]:
                seen.add(key)
                pairs.append(Pair(element, info))
            elif check.at_hand(info.id) and not any(
                info.id in held[id(other)] for other in elements if other.manifest.digest == element.manifest.digest
            ):
                try:
                    check.digests(info.id)
                except DataError as error:
                    seen.add(key)
                    pairs.append(Pair(element, info, problem=one_line(error)))
    return pairs


def nothing_to_probe(suite: Suite, elements: Sequence[EmbeddingStore]) -> StoreError:
    """The error for stores that hold none of the suite's tasks."""
    held = sorted({task for element in elements for task in element.tasks()})
    return StoreError(
        f"the stores hold none of the {len(suite.tasks)} tasks asked for of suite {suite.name!r}",
        where=f"they hold {', '.join(held[:3])}{' …' if len(held) > 3 else ''}" if held else None,
        cure="name another suite or other tasks, or embed these first: `geneb embed ENCODER --suite …`",
    )


def one_line(error: DataError | StoreError | Exception) -> str:
    """An error in one line and without the machine's paths: fit for a record."""
    text = "; ".join(line.strip() for line in str(error).splitlines())
    return " ".join(_short_path(word) for word in text.split(" "))


def _short_path(word: str) -> str:
    parts = word.split("/")
    return "/".join(parts[-3:]) if word.startswith("/") and len(parts) > 4 else word


def suite_meta(suite: Suite) -> SuiteMeta:
    """What ``run.json`` says of a suite."""
    return SuiteMeta(
        name=suite.name,
        version=suite.version,
        source=suite.source,
        categories={info.id: info.category for info in suite.tasks},
        labels={info.id: info.label for info in suite.tasks},
    )


def encoder_meta(store: str, element: EmbeddingStore) -> EncoderMeta:
    """What ``run.json`` says of an encoder."""
    manifest = element.manifest
    return EncoderMeta(
        name=manifest.name,
        digest=manifest.digest,
        family=manifest.family,
        revision=manifest.revision,
        width=manifest.width,
        settings=dict(manifest.settings),
        libraries=dict(manifest.libraries),
        store=store,
        element=element.key,
        num_rows=element.num_rows,
        measures=read_measures(element),
    )
