"""What an encoder is: its identity record and the two members every encoder has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import EncoderError

Setting = str | int | float | bool | None


@dataclass(frozen=True)
class EncoderInfo:
    """Identity of a frozen encoder.

    ``name`` is for tables only. ``revision`` is a digest of the weights, a commit, or a version of the rule.
    ``settings`` holds everything else that changes a vector (layer, pooling, truncation, dtype);
    ``libraries`` the versions that can. A path, a device or a batch size belongs in none of them.
    """

    name: str
    family: str
    revision: str
    width: int
    settings: Mapping[str, Setting] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or isinstance(self.width, bool) or self.width < 1:
            raise EncoderError(
                f"the width of an encoder is a whole number of at least 1, not {self.width!r}",
                where=f"encoder {self.name}",
                cure="set `width` to the number of columns that `encode` returns",
            )
        object.__setattr__(self, "settings", dict(sorted(self.settings.items())))
        object.__setattr__(self, "libraries", dict(sorted(self.libraries.items())))

    def __hash__(self) -> int:
        return hash(self.digest)

    def identity(self) -> dict[str, object]:
        """The part of the record that decides the vectors: all of it but the name."""
        return {
            "family": self.family,
            "revision": self.revision,
            "width": self.width,
            "settings": dict(self.settings),
            "libraries": dict(self.libraries),
        }

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of `identity` as JSON with sorted keys and no spaces."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


@runtime_checkable
class Encoder(Protocol):
    """A frozen map from sequences to vectors.

    The vector of a sequence depends on that sequence alone: not on its neighbours in the list, nor on
    their lengths. ``check_encoder`` measures it.
    """

    @property
    def info(self) -> EncoderInfo:
        """Identity, width and settings."""

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``, rows in the order given; any list length, also 0."""


def minor_version(package: str) -> str:
    """``major.minor`` of an installed package: patch releases are taken to leave vectors alone."""
    from importlib.metadata import version

    return ".".join(version(package).split(".")[:2])
