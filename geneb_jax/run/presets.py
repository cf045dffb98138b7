"""The two presets of a pretrained model, ``normalized`` and ``reference``, are never put into one table.

A registry model's manifest says its preset under ``settings["preset"]``, and with ``reference`` under ``defect`` what
is known to be wrong with it. Encoders without a preset, such as k-mer counts or a user's own class, go with either.
The rule is held where encoders come together: before embedding (`run.whole`), when stores are probed (`run.probing`),
when a run directory is continued (`run.directory`), when several runs are looked at together (`run.runs`), and
when records become scores (`stats.aggregate`), whoever gathered them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from geneb_jax.errors import UsageError

NEVER = "the presets `reference` and `normalized` are never put into one table"


def preset_of(settings: Mapping[str, Any]) -> str | None:
    """The preset that an encoder's settings name; None for one that has none."""
    found = settings.get("preset")
    return None if found is None else str(found)


def defect_of(settings: Mapping[str, Any]) -> str | None:
    """The known defect that an encoder's settings name."""
    found = settings.get("defect")
    return None if not found else str(found)


def by_preset(encoders: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Names of the encoders, given with their settings, per preset; those without a preset are left out."""
    found: dict[str, list[str]] = {}
    for name, settings in encoders:
        preset = preset_of(settings)
        if preset is not None:
            found.setdefault(preset, []).append(name)
    return found


def presets_text(found: Mapping[str, Iterable[str]]) -> str:
    """Which encoders follow which preset, in words."""
    return "; ".join(f"{preset}: {', '.join(dict.fromkeys(names))}" for preset, names in found.items())


def require_one_preset(encoders: Iterable[tuple[str, Mapping[str, Any]]], *, cure: str) -> None:
    """Raise UsageError where some encoders, given with their settings, follow one preset and some the other."""
    found = by_preset(encoders)
    if len(found) > 1:
        raise UsageError(NEVER, where=presets_text(found), cure=cure)
