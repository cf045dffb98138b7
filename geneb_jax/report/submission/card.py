"""The model card that goes with a submission: what the run knows is filled in, the rest is marked TODO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from geneb_jax import __version__
from geneb_jax.published import SOURCE, PublishedModel, board_model
from geneb_jax.report.submission.build import Entry

TODO: Final = "TODO"


def model_card(entry: Entry, submission: Mapping[str, Any]) -> str:
    """Markdown with every field that GENEB asks for, under its headings."""
    encoder, meta = entry.encoder, submission["meta"]
    published = board_model(encoder.name)
    sections = {
        "": {
            "Display name": meta["display"],
            "Parameters": f"{meta['params']:,}",
            "Architecture": published.architecture if published else TODO,
            "Weights / URL": meta["url"] or TODO,
            "Weights, SHA-256 or revision": encoder.revision or TODO,
            "Licence of the weights": (published.licence if published else None) or f"{TODO}: not stated",
            "Tokenizer / input": f"{published.tokenizer_actual} tokens" if published else TODO,
            "Pooling": encoder.settings.get("pooling", TODO),
            "Sequences longer than the limit": _longer(published),
            "Precision": encoder.settings.get("dtype", TODO),
            "Width of the embedding": encoder.width or TODO,
        },
        "Settings that change a vector": {
            key: held for key, held in sorted(encoder.settings.items()) if held is not None
        },
        "Runtime": _versions(entry),
        "Training data": {"Corpus": meta["training_data"] or TODO},
        "Disclosure": {
            "Zero-shot relative to benchmark tasks": "yes" if meta["zero_shot"] else "not claimed",
            "Known train/test overlap with benchmark data": f"{TODO}: what is known, or none known",
            "Defect of the embedding rule": encoder.settings.get("defect", "none known"),
            "Harness version": submission["harness_version"],
            "Scores": _scores(entry),
            "Submitted by": meta["submitted_by"] or TODO,
        },
    }
    lines = [f"# {submission['model_id']}"]
    for heading, facts in sections.items():
        lines += ["", *([f"## {heading}", ""] if heading else [])]
        lines += [f"- **{name}:** {held}" for name, held in facts.items()] or ["None."]
    return "\n".join([*lines, ""])


def open_fields(card: str) -> list[str]:
    """The fields that are still to be filled in."""
    return [line.split("**")[1].rstrip(":") for line in card.splitlines() if TODO in line]


def _longer(published: PublishedModel | None) -> str:
    if published is None or published.max_tokens is None:
        return TODO
    return f"cut at {published.max_tokens:,} {published.length_unit} ({TODO}: check against the settings below)"


def _versions(entry: Entry) -> dict[str, str]:
    sessions = entry.runs.meta.sessions
    return {**(sessions[-1].versions if sessions else {}), **entry.encoder.libraries}


def _scores(entry: Entry) -> str:
    return (
        f"computed by geneb_jax {__version__}, engine {entry.series.engine} in {entry.series.dtype}, on "
        f"{entry.runs.meta.suite.source}, by the protocol of {SOURCE.repository}; encoder {entry.encoder.digest[:16]}"
    )
