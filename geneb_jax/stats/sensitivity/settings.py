"""The settings of a sensitivity study: what was varied, and which settings differ in one thing alone.

A `Setting` says how an encoder was measured: the type of probe, its C, the pooling and layer of the vectors, the
training rows and whether features were standardized. An axis is one of these six. A probe without a penalty has no C,
and an encoder with one view no pooling or layer to choose: both are written as `NONE`, which goes with any value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal, get_args

Axis = Literal["probe", "C", "pooling", "layer", "shots", "standardize"]
AXES: Final[tuple[Axis, ...]] = get_args(Axis)

NONE: Final = "-"


@dataclass(frozen=True)
class Setting:
    """One way to measure an encoder, a word for each axis."""

    probe: str
    C: str
    pooling: str
    layer: str
    shots: str
    standardize: str

    def value(self, axis: Axis) -> str:
        """The word on one axis."""
        return str(getattr(self, axis))

    def words(self, skip: Collection[str] = ()) -> str:
        """The setting for a reader, without what it has none of."""
        named = [axis for axis in AXES if axis not in skip and self.value(axis) != NONE]
        return ", ".join(value_words(axis, self.value(axis)) for axis in named)


def value_words(axis: Axis, value: str) -> str:
    """A value of an axis for a reader."""
    if axis == "standardize":
        return "standardized" if value == "yes" else "not standardized"
    return {"C": f"C={value}", "pooling": f"{value} pooling", "layer": f"layer {value}"}.get(axis, value)


def axis_values(settings: Iterable[Setting]) -> dict[Axis, tuple[str, ...]]:
    """The values of every axis that has several, penalties and shots in ascending order."""
    settings = list(settings)
    found: dict[Axis, tuple[str, ...]] = {}
    for axis in AXES:
        values = [v for v in dict.fromkeys(s.value(axis) for s in settings) if v != NONE]
        if axis in ("C", "shots"):
            values.sort(key=_size)
        if len(values) > 1:
            found[axis] = tuple(values)
    return found


def _size(word: str) -> float:
    """Penalties and shots as numbers; full data and a chosen C come last."""
    try:
        return float(word.removesuffix("shot"))
    except ValueError:
        return float("inf")


def contexts(settings: Iterable[Setting], axis: Axis, values: Collection[str]) -> list[dict[str, Setting]]:
    """Settings that differ in one axis alone, by their value on it: one dictionary for each way to hold the rest.

    A probe without a penalty stands beside those with one at every C. Groups of a single setting are left out.
    """
    groups: dict[Setting, dict[str, Setting]] = {}
    unbound: list[tuple[Setting, Setting]] = []
    for setting in settings:
        rest = replace(setting, **{axis: NONE})
        if setting.value(axis) not in values:
            continue
        if axis == "probe" and setting.C == NONE:
            unbound.append((rest, setting))
        else:
            groups.setdefault(rest, {})[setting.value(axis)] = setting
    for rest, setting in unbound:
        homes = [group for known, group in groups.items() if known.C != NONE and replace(known, C=NONE) == rest]
        for group in homes or [groups.setdefault(rest, {})]:
            group[setting.value(axis)] = setting
    ordered = [{v: group[v] for v in values if v in group} for group in groups.values()]
    return [group for group in ordered if len(group) > 1]


def setting_pairs(groups: Iterable[dict[str, Setting]]) -> list[tuple[Setting, Setting]]:
    """Every two settings that stand in one context, each pair once."""
    found: dict[tuple[Setting, Setting], None] = {}
    for group in groups:
        found.update(dict.fromkeys(combinations(group.values(), 2)))
    return list(found)
