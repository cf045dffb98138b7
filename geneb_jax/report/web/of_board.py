"""The official board as content: points for its models, over all of its tasks or over those that runs have too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from geneb_jax import published
from geneb_jax.published import PublishedModel, SizeVersion
from geneb_jax.report.web.content import MACRO, MICRO, OF_BOARD, Cell, Entrant, Place, TaskEntry, key_of
from geneb_jax.stats.aggregate import category_means, macro_micro
from geneb_jax.stats.rankings import ranks


def board_entrants(size_version: SizeVersion) -> list[Entrant]:
    """The models of the board."""
    return [_entrant(model, size_version) for model in published.models().values()]


def board_tasks() -> list[TaskEntry]:
    """The tasks of the board; their sizes are stated nowhere."""
    return [
        TaskEntry(key_of(t.id), t.id, t.label, t.category, (("Source", t.source_suite),)) for t in published.tasks()
    ]


def board_cells(regime: str, tasks: Collection[str] | None = None) -> dict[Place, dict[str, Cell]]:
    """Scores of every model in one regime, over these tasks of the board alone; without ranks."""
    categories = {t.id: t.category for t in published.tasks() if tasks is None or t.id in tasks}
    sizes = {name: sum(c == name for c in categories.values()) for name in categories.values()}
    found: dict[Place, dict[str, Cell]] = {}
    for model, values in published.task_mcc(regime).items():
        held = {task: values[task] for task in categories}
        key = key_of(model)
        for task, value in held.items():
            found.setdefault(("task", task), {})[key] = Cell(value)
        for name, value in category_means(held, categories).items():
            found.setdefault(("category", name), {})[key] = Cell(value, num_tasks=sizes[name], num_in_suite=sizes[name])
        both = macro_micro(held, categories)
        for place, value in zip((MACRO, MICRO), both or (), strict=False):
            found.setdefault(place, {})[key] = Cell(value, num_tasks=len(held), num_in_suite=len(held))
    return found


def with_ranks(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """The same scores with their ranks among each other, where a comparison has given none."""
    values = np.array([np.nan if c.value is None else c.value for c in cells.values()])
    found = ranks(values)
    return {
        key: replace(cell, rank=float(rank)) if cell.rank is None and np.isfinite(rank) else cell
        for (key, cell), rank in zip(cells.items(), found, strict=True)
    }


def _entrant(model: PublishedModel, version: SizeVersion) -> Entrant:
    size = model.size(version)
    limit = f"{model.max_tokens:,} {model.length_unit}" if model.max_tokens else ""
    facts = {
        "Parameters": f"{size:,}" if size else "",
        "Architecture": model.architecture_board or model.architecture,
        "Tokenization": model.tokenizer_actual or model.tokenization_board,
        "Pretraining data": model.pretraining_board or model.pretraining,
        "Embedding width": f"{model.width:,}",
        "Input limit": limit,
        "Pooling": model.pooling,
        "Layer": model.layer,
        "Weights": " @ ".join(filter(None, (model.hub_id, model.hub_revision))),
        "Licence of the weights": model.licence or "not stated",
        "Status": "official" if model.official else "self-reported, not rescored by the board's authors",
    }
    return Entrant(
        key_of(model.model),
        model.display,
        OF_BOARD,
        model.architecture or "not stated",
        size,
        tuple((name, text) for name, text in facts.items() if text),
        (*(f"Known defect of the official extractor: {d}." for d in model.defects),
         *((f"Version: {model.version_note}.",) if model.version_note else ())),
    )  # fmt: skip
