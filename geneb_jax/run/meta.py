"""What ``run.json`` says: the settings of a run, and where, when and with what it was made.

No path of the machine is in it: a store is given by its name and by its elements' digests. A reader keeps
keys that it does not know and fills the ones that an older file does not have.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geneb_jax import __version__
from geneb_jax.errors import RunError
from geneb_jax.probes.spec import HeldOutC, ProbeSpec

RUN_TYPE: Final = "run"
RUN_VERSION: Final = 1

_PACKAGES = (
    "geneb_jax",
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "scikit-learn",
    "zarr",
    "pyarrow",
    "torch",
    "transformers",
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow")


class SuiteMeta(_Model):
    """The suite: its name, version and source, and the category of each of its tasks, probed or not."""

    name: str
    version: str = ""
    source: str = ""
    categories: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)


class EncoderMeta(_Model):
    """An encoder's manifest, and the store element its vectors were read from."""

    name: str
    digest: str
    family: str = ""
    revision: str = ""
    width: int | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    store: str = ""
    element: str = ""
    num_rows: int | None = None
    measures: dict[str, Any] = Field(default_factory=dict)  # recorded with the vectors, such as half precision's drift


class TaskMeta(_Model):
    """What was probed of a task: sizes, and the digests of its splits' sequences and labels.

    `leaked` test rows also stand in train, letter by letter; `leaked_other_label` of them never with their own label.
    None where nobody counted.
    """

    n_train: int
    n_test: int
    train_digest: str = ""
    test_digest: str = ""
    labels: list[int] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    leaked: int | None = None
    leaked_other_label: int | None = None

    @property
    def leak_sentence(self) -> str:
        """What is to be said of test rows that stand in train; empty where none does or nobody counted."""
        if not self.leaked:
            return ""
        other = f", {self.leaked_other_label:,} of them with another label only" if self.leaked_other_label else ""
        share = self.leaked / max(1, self.n_test)
        return f"{self.leaked:,} of {self.n_test:,} test rows ({share:.1%}) also stand in train{other}"


class Settings(_Model):
    """What every record of a run shares; a directory is only continued with equal settings, or with more draws.

    `seeds` are those of the few-shot draws, in the order of their numbers; `full_seeds` those under which the full
    regime is recorded, None for the same. `key` is what seeds beyond GENEB's and held-out parts are derived from.
    """

    regimes: list[str]
    seeds: list[int]
    probes: list[dict[str, Any]]
    engine: str
    solver: str = "auto"
    dtype: str
    full_seeds: list[int] | None = None
    key: int = 0

    def extend(self, other: Settings) -> None:
        """Take in the draws of a study of which this one is the beginning, or the other way round."""
        full = [self.full_seeds or self.seeds, other.full_seeds or other.seeds]
        self.seeds = max(self.seeds, other.seeds, key=len)
        longest = max(full, key=len)
        self.full_seeds = None if longest == self.seeds else longest


class Phase(_Model):
    """Time spent in one phase, and the highest memory use of the process by its end, in bytes."""

    seconds: float = 0.0
    peak_memory: int | None = None
    peak_device_memory: int | None = None


class Session(_Model):
    """One command that worked on the directory; a run that was interrupted has several.

    `solvers` are those that were taken, each with the reason for the first fit that took it; `kernels` says of each
    operation that has a kernel of ours what ran it. `notes` are sentences that whoever typed the command should read.
    """

    started: str
    finished: str | None = None
    command: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    devices: list[str] = Field(default_factory=list)
    solvers: dict[str, str] = Field(default_factory=dict)
    kernels: dict[str, str] = Field(default_factory=dict)
    phases: dict[str, Phase] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class RunMeta(_Model):
    """The whole of ``run.json``."""

    geneb_type: str = RUN_TYPE
    geneb_version: int = RUN_VERSION
    suite: SuiteMeta
    settings: Settings
    encoders: list[EncoderMeta] = Field(default_factory=list)
    tasks: dict[str, TaskMeta] = Field(default_factory=dict)
    sessions: list[Session] = Field(default_factory=list)
    hashes: dict[str, str] = Field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the last command on this directory came to its end."""
        return bool(self.sessions) and self.sessions[-1].finished is not None

    def encoder(self, digest: str) -> EncoderMeta | None:
        """The encoder with this digest."""
        return next((e for e in self.encoders if e.digest == digest), None)


def parse_meta(text: str, where: str) -> RunMeta:
    """Read ``run.json``.

    Raises:
        RunError: it is damaged, is no run, or was written by a newer version.
    """
    try:
        raw = json.loads(text)
        kind, number = raw["geneb_type"], int(raw["geneb_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            "this file is not the description of a run",
            where=where,
            cure="name the folder that --out was given",
        ) from error
    if kind != RUN_TYPE:
        raise RunError(f"this describes a {kind!r}, not a run", where=where)
    if number > RUN_VERSION:
        raise RunError(
            f"the run has version {number}; this package reads up to {RUN_VERSION}",
            where=where,
            cure="install a newer geneb_jax",
        )
    try:
        return RunMeta.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"a key of the run is wrong: {first['msg']}", where=f"{where}, key {place}") from error


def differing_setting(old: RunMeta, new: RunMeta) -> str | None:
    """The first setting in which two runs differ, in words, or None."""
    pairs: list[tuple[str, object, object]] = [
        ("suite", f"{old.suite.name} {old.suite.version}", f"{new.suite.name} {new.suite.version}"),
        *((name, getattr(old.settings, name), getattr(new.settings, name)) for name in Settings.model_fields),
    ]
    for name, before, asked in pairs:
        if name == "full_seeds":
            continue  # the full regime does not depend on the seed
        # more draws of the same study only add records
        longer = name == "seeds" and all(a == b for a, b in zip(old.settings.seeds, new.settings.seeds, strict=False))
        if before != asked and not longer:
            return f"its {name} is {_short(before)}, and you asked for {_short(asked)}"
    return None


_MANY: Final = 8


def _short(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(v.get("name", "probe") + (f" with C = {v['C']}" if v.get("C") else "") for v in value)
    if isinstance(value, list):
        more = f" … ({len(value)} in all)" if len(value) > _MANY else ""
        return ", ".join(map(str, value[:_MANY])) + more
    return str(value)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a number; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["geneb_jax"] = __version__
    return found


# a path that starts at the root, at home or above the current folder, alone or behind =, : or a comma
_PATH = re.compile(r"(?:^|(?<=[=:,]))(?:/|~|\.\./)[^=:,]*")


def without_paths(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments with every path that tells of this machine cut down to its last part."""
    return [_PATH.sub(lambda found: PurePath(found.group()).name, argument) for argument in arguments]


def probe_settings(specs: Sequence[ProbeSpec]) -> list[dict[str, Any]]:
    """Every setting of each probe, with its name and digest; C is "auto" where it is chosen fit by fit."""
    return [{"name": s.name, "digest": s.digest, **_settings(s)} for s in specs]


def _settings(spec: ProbeSpec) -> dict[str, Any]:
    if not isinstance(spec, HeldOutC):
        return {**dataclasses.asdict(spec), "C": spec.C}
    chosen = {"C": "auto", "C_grid": list(spec.grid), "C_without_held_out": spec.base.C, "held_out_share": spec.share}
    return {**dataclasses.asdict(spec.base), **chosen}
