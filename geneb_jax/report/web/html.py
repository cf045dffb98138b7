"""A report as one HTML file: opened by a double click, with no network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from geneb_jax.report.web.content import Content
from geneb_jax.report.web.pages import InFile, content_policy, inline_assets, overview, page_texts

REPORT: Final = "report.html"


def report_page(content: Content) -> str:
    """The whole report."""
    assets, links = inline_assets(), InFile()
    return overview(
        "report.html.j2", content, links, assets,
        pages=page_texts(content, links), policy=content_policy(assets.js, assets.vega),
    )  # fmt: skip


def write_report(content: Content, out: Path) -> Path:
    """Write ``report.html`` into a folder, which is made where it is missing."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / REPORT
    path.write_text(report_page(content), encoding="utf-8")
    return path
