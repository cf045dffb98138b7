"""A report as one HTML file: opened by a double click, with no network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from geneb_jax.plain import write_whole
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
    path = out / REPORT
    write_whole(path, report_page(content))
    return path
