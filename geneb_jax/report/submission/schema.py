"""GENEB's submission file, schema "1.0", and the rules of its own validator, as sentences.

The rules: the file is named after the model's id; the harness is named; a display name, a number of parameters and a
known provenance are given, "official" only for the 40 models of the paper; every task of the board stands in every
regime, none besides, each with MCC, accuracy and macro-F1 in range. Further keys are ignored. Of our own is one rule:
the schema's version must be ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geneb_jax.errors import DataError
from geneb_jax.plain import require_file
from geneb_jax.published import REGIMES, models, tasks

SCHEMA_VERSION: Final = "1.0"
HARNESS: Final = "GENEB-0.1.0"
"""The harness whose protocol the published scores follow."""

_TOLERANCE: Final = 1e-6

Share = Annotated[float, Field(ge=-_TOLERANCE, le=1 + _TOLERANCE, allow_inf_nan=False)]
Correlation = Annotated[float, Field(ge=-1 - _TOLERANCE, le=1 + _TOLERANCE, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class Scores(_Strict):
    """Of one task in one regime, means over the five draws."""

    MCC: Correlation
    Acc: Share
    F1: Share


class Meta(_Strict):
    """About the model."""

    display: Text
    params: Annotated[int, Field(ge=0)]
    provenance: Literal["official", "verified", "reproduced", "self-reported"] = "self-reported"
    url: str = ""
    zero_shot: bool = False
    training_data: str = ""
    submitted_by: str = ""


class Submission(_Strict):
    """The whole file."""

    schema_version: Literal["1.0"]
    model_id: Text
    harness_version: Text
    meta: Meta
    results: dict[str, dict[str, Scores]]


def file_stem(model_id: str) -> str:
    """How the files of a submission are called, without the ending."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", model_id)


def problems(data: Any, name: str) -> list[str]:
    """Everything that is wrong with a submission in a file of this name, a sentence each; none: it may be sent."""
    if not isinstance(data, Mapping):
        return ["the file holds no JSON object"]
    found = []
    try:
        Submission.model_validate(data)
    except ValidationError as error:
        found = [f"{' / '.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    model_id, meta, results = (data.get(key) for key in ("model_id", "meta", "results"))
    if isinstance(model_id, str) and name != (wanted := f"{file_stem(model_id)}.json"):
        found.append(f"the file must be called {wanted}, after its model_id, not {name}")
    if isinstance(meta, Mapping) and meta.get("provenance") == "official":
        official = models().get(str(model_id))
        if official is None or not official.official:
            found.append("meta / provenance: 'official' is for the models of the paper; write 'self-reported'")
    if not isinstance(results, Mapping):
        return found
    held = {regime: tuple(own) if isinstance(own, Mapping) else () for regime, own in results.items()}
    board = {task.id for task in tasks()}
    for regime in REGIMES:
        unknown = sorted(set(map(str, held.get(regime, ()))) - board)
        found += [f"results / {regime} / {task}: no task of the board" for task in unknown]
    return found + [f"results / {one}" for one in missing_scores(held)]


def missing_scores(held: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What a submission that holds the tasks {regime: ids} lacks, a line for each category."""
    lacking = {regime: tuple(t for t in tasks() if t.id not in held.get(regime, ())) for regime in REGIMES}
    for group in dict.fromkeys(lacking.values()):
        where = ", ".join(regime for regime in REGIMES if lacking[regime] == group)
        for category in dict.fromkeys(task.category for task in group):
            own = [task.label for task in group if task.category == category]
            size = sum(task.category == category for task in tasks())
            named = "" if len(own) == size else f" ({own[0]}{', …' if len(own) > 1 else ''})"
            yield f"{category}: {len(own)} of {size} tasks without a score in {where}{named}"


def read_submission(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the submission cannot be read: {error}", where=str(path)) from error
