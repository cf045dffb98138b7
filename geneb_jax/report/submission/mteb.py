"""Results as MTEB's ``ResultCache`` reads them: ``MODEL/REVISION/TASK.json``, each a ``TaskResult``, and model facts.

MTEB has no regimes: each is a subset of the split ``test``. Its readers ask for the version that wrote a file, so
`LAYOUT_VERSION` stands there: the version whose layout this is, not one that computed anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from geneb_jax.paths import confined
from geneb_jax.plain import write_whole
from geneb_jax.report.submission.build import Entry

LAYOUT_VERSION: Final = "1.12.48"
NO_LANGUAGE: Final = "zxx-Zzzz"
"""ISO 639 and 15924 for "no linguistic content" and "uncoded script"."""

_KEYS: Final = {"MCC": "mcc", "Acc": "accuracy", "F1": "f1"}


def task_results(entry: Entry) -> Iterator[dict[str, Any]]:
    """A ``TaskResult`` of every task that has a score in some regime."""
    held = dict.fromkeys(task for own in entry.results.values() for task in own)
    for task in held:
        yield {
            "dataset_revision": entry.runs.meta.suite.version or "not stated",
            "task_name": task,
            "mteb_version": LAYOUT_VERSION,
            "scores": {"test": [_scores(own[task], regime) for regime, own in entry.results.items() if task in own]},
            "evaluation_time": None,
            "kg_co2_emissions": None,
        }


def write_mteb(entry: Entry, out: Path) -> list[Path]:
    """Write all files below `out`, in a folder of the model's revision; returns them."""
    revision = re.sub(r"[^\w.-]+", "_", entry.encoder.revision) or "no_revision_available"
    model = re.sub(r"[^\w.=-]+", "_", entry.encoder.name.replace("/", "__"))
    folder = confined(out, f"{model}/{revision}", what="name of an encoder and its revision")
    folder.mkdir(parents=True, exist_ok=True)
    unknown = dict.fromkeys(("languages", "n_parameters", "max_tokens", "license", "release_date"))
    meta = {"name": entry.encoder.name, "revision": revision, "embed_dim": entry.encoder.width, **unknown}
    files = {
        folder / "model_meta.json": meta,
        **{confined(folder, f"{one['task_name']}.json", what="task's name"): one for one in task_results(entry)},
    }
    for file, content in files.items():
        write_whole(file, json.dumps(content, indent=2) + "\n")
    return list(files)


def _scores(own: dict[str, float], regime: str) -> dict[str, Any]:
    values = {_KEYS[key]: round(value, 6) for key, value in own.items()}
    return {**values, "main_score": values["mcc"], "hf_subset": regime, "languages": [NO_LANGUAGE]}
