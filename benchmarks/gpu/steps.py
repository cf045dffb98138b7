"""Checks run one after the other; the file of results is rewritten after each, so that a timeout loses nothing.

The document is ``{"geneb_type": "gpu-checks", "geneb_version": 1, "machine": {…}, "steps": [Outcome, …]}``. A step that
was not reached stands in it as such from the start.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks import machine
from benchmarks.workloads import Size

TYPE, VERSION = "gpu-checks", 1

Figures = Mapping[str, Any]


class SkippedError(Exception):
    """A check that cannot or need not run here; the message says why."""


class FailedCheckError(Exception):
    """A check that ran and failed, with the figures that it had."""

    def __init__(self, message: str, figures: Figures) -> None:
        super().__init__(message)
        self.figures = figures


@dataclass(frozen=True)
class Setting:
    """What every check is told. data: the folder of real tasks, None where it is not at hand."""

    size: Size
    gpu: bool
    data: Path | None = None


@dataclass(frozen=True)
class Step:
    """A check: it returns figures, or raises SkippedError, FailedCheckError or whatever goes wrong."""

    name: str
    what: str
    run: Callable[[Setting], Figures]


@dataclass(frozen=True)
class Outcome:
    """What became of a check, and in how many wall seconds; `why` says what was skipped or failed."""

    name: str
    what: str
    outcome: Literal["passed", "failed", "skipped", "not reached"] = "not reached"
    why: str = ""
    seconds: float = 0.0
    figures: Figures = field(default_factory=dict)


def run_steps(
    steps: Sequence[Step],
    setting: Setting,
    out: Path | None,
    *,
    limit: float,
    say: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run all steps that begin within `limit` seconds; no exception of a step ends the run."""
    outcomes = [Outcome(step.name, step.what) for step in steps]
    began = time.perf_counter()
    facts = {**machine.facts(), "size": setting.size}
    for i, step in enumerate(steps):
        _write(out, facts, outcomes)
        if time.perf_counter() - began > limit:
            continue
        outcomes[i] = replace(outcomes[i], **_outcome(step, setting))
        say(outcomes[i])
    _write(out, facts, outcomes)
    return outcomes


def _outcome(step: Step, setting: Setting) -> dict[str, Any]:
    began = time.perf_counter()
    found: dict[str, Any]
    try:
        found = {"outcome": "passed", "figures": dict(step.run(setting))}
    except SkippedError as reason:
        found = {"outcome": "skipped", "why": str(reason)}
    except FailedCheckError as reason:
        found = {"outcome": "failed", "why": str(reason), "figures": dict(reason.figures)}
    except Exception as error:
        # the last frame and the message: enough to find the place, and no path of this machine
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found = {"outcome": "failed", "why": f"{type(error).__name__} in {frame.name}: {error}"[:2000]}
    return {**found, "seconds": round(time.perf_counter() - began, 3)}


def _write(out: Path | None, facts: Figures, outcomes: Sequence[Outcome]) -> None:
    if out is None:
        return
    body = {"geneb_type": TYPE, "geneb_version": VERSION, "machine": facts, "steps": [asdict(o) for o in outcomes]}
    partial = out.with_name(out.name + ".part")
    partial.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(out)
