"""Templates, the links between pages, and the files that pages need: the same for one file and for a site."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from geneb_jax import __version__
from geneb_jax.report.analysis import size_text
from geneb_jax.report.web.charts import charts, score_rows
from geneb_jax.report.web.content import (
    MACRO,
    MICRO,
    OF_RUN,
    Cell,
    Content,
    Entrant,
    Place,
    TaskEntry,
    key_of,
    regime_name,
    regime_words,
)
from geneb_jax.report.web.sensitivity import sensitivity_tables

VEGA_LITE: Final = "6.4"
"""The version that Altair 6 writes and vl-convert ships, with its Vega and the interpreter of expressions."""

Sections = Sequence[tuple[str, str]]


class Links(Protocol):
    """Where things are, seen from one page."""

    root: str
    home: str
    has_pages: bool

    def section(self, name: str) -> str:
        """A section of the overview."""

    def model(self, entrant: Entrant) -> str:
        """The page of an entrant."""

    def task(self, task: TaskEntry) -> str:
        """The page of a task."""

    def category(self, name: str) -> str:
        """The page of a category."""

    def sections(self, content: Content) -> Sections:
        """What the navigation lists."""


@dataclass(frozen=True)
class Assets:
    """Style and scripts, within the page or beside it."""

    inline: bool
    css: str = ""
    js: str = ""
    vega: str = ""


class InFile:
    """Links of a report, where everything is an anchor of one file."""

    root = ""
    home = "#leaderboard"
    has_pages = False

    def section(self, name: str) -> str:
        """A section of the overview."""
        return f"#{name}"

    def model(self, entrant: Entrant) -> str:
        """The page of an entrant."""
        return f"#model-{entrant.key}"

    def task(self, task: TaskEntry) -> str:
        """The page of a task."""
        return f"#task-{task.key}"

    def category(self, name: str) -> str:
        """The page of a category."""
        return f"#category-{key_of(name)}"

    def sections(self, content: Content) -> Sections:
        """What the navigation lists."""
        return [(name, self.section(key)) for name, key in section_names(content)]


def section_names(content: Content) -> list[tuple[str, str]]:
    """Sections of the overview that this content has: (name, anchor)."""
    found = [("Leaderboard", "leaderboard"), ("Charts", "charts")]
    found += [("Sensitivity", "sensitivity")] if content.sensitivity else []
    found += [("Tasks", "tasks")]
    found += [("Data", "data")] if content.audit else []
    return [*found, ("Method", "method"), ("Provenance", "provenance")]


def render(template: str, content: Content, links: Links, assets: Assets, **more: Any) -> str:
    """One page."""
    return _environment().get_template(template).render(
        content=content, links=links, assets=assets, **{**_helpers(content, links), "policy": "", **more}
    )  # fmt: skip


def page_texts(content: Content, links: Links) -> Markup:
    """The pages of every task, category and entrant as JSON: {anchor: HTML}."""
    parts = (
        _environment()
        .get_template("parts.html.j2")
        .make_module({"content": content, "links": links, **_helpers(content, links)})
    )
    makers: tuple[tuple[str, Callable[[Any], str], Iterable[Any]], ...] = (
        ("category_body", links.category, content.categories),
        ("task_body", links.task, content.tasks),
        ("model_body", links.model, content.entrants),
    )
    return _json({
        address(one).removeprefix("#"): str(getattr(parts, macro)(one)).replace("\n", "")
        for macro, address, things in makers for one in things
    })  # fmt: skip


def overview(template: str, content: Content, links: Links, assets: Assets, **more: Any) -> str:
    """A page with the leaderboards and the charts: the charts' data once, and their specifications, as JSON."""
    drawn = charts(content)
    payload = {
        "rows": score_rows(content),
        "charts": {
            c.name: {"spec": c.spec, "columns": c.columns, "every_regime": c.every_regime,
                     "every_category": c.every_category, "rows": c.rows}
            for c in drawn
        },
    }  # fmt: skip
    return render(template, content, links, assets, charts=drawn, payload=_json(payload), **more)


def asset(name: str) -> str:
    """A file of the package's own."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, from vl-convert; nothing is fetched."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # the stub forgets a default
    return bundle


def vega_version() -> str:
    """Of the script that `vega_bundle` makes, without making it."""
    import vl_convert

    return f"{vl_convert.get_vega_version()} {VEGA_LITE} {vl_convert.get_vega_embed_version()}"


def inline_assets() -> Assets:
    """Style and scripts for a page that stands alone."""
    return Assets(True, *(Markup(_closed(text)) for text in (asset("report.css"), asset("report.js"), vega_bundle())))


def content_policy(*scripts: str) -> str:
    """A policy for one page: these scripts alone run, and nothing is asked of any other place."""
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts
    )  # fmt: skip
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; font-src data:"


def _json(value: Any) -> Markup:
    """JSON for a script element, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("</", "<\\/").replace("<!--", "\\u003c!--"))


def _closed(text: str) -> str:
    """A script or style whose text cannot end its own element."""
    return re.sub(r"</(?=script|style)", r"<\\/", text, flags=re.IGNORECASE)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("geneb_jax.report.web"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _helpers(content: Content, links: Links) -> dict[str, Any]:
    """What the templates call."""

    def everyone(place: Place) -> list[Entrant]:
        best = content.ordered(content.regimes[0], place)
        return best + [e for e in content.entrants if e not in best and any(
            e.key in content.cells[regime].get(place, {}) for regime in content.regimes)]  # fmt: skip

    def leader_of(regime: str, task: TaskEntry) -> Entrant | None:
        order = content.ordered(regime, ("task", task.id))
        return order[0] if order and content.cell(regime, ("task", task.id), order[0].key).value is not None else None

    def profile(entrant: Entrant) -> list[tuple[str, str, str, Place]]:
        rows: list[tuple[str, str, str, Place]] = [("Macro", "", "", MACRO), ("Micro", "", "", MICRO)]
        rows += [(name, "", links.category(name), ("category", name)) for name in content.categories]
        return rows + [(t.label, t.category, links.task(t), ("task", t.id)) for t in content.tasks]

    def macros(regime: str) -> list[Cell]:
        return list(content.cells[regime].get(MACRO, {}).values())

    return {
        "MACRO": MACRO, "MICRO": MICRO, "version": __version__, "command": "report" if not links.has_pages else "site",
        "regime_name": regime_name, "regime_words": regime_words, "everyone": everyone, "leader_of": leader_of,
        "profile": profile, "sizes": any(e.params for e in content.entrants),
        "OF_RUN": OF_RUN,
        "gain_of": lambda regime: any(c.gain for c in macros(regime)),
        "spread_of": lambda regime: any(c.std is not None for c in macros(regime)),
        "partial_of": lambda regime: any(c.num_tasks < c.num_in_suite for c in macros(regime)),
        "value": _value, "interval": _interval,
        "gain": lambda value: "–" if value is None else "0" if value == 0 else f"{value:+.3f}".replace("-", "−"),
        "rank": lambda cell: "–" if cell.rank is None else f"{cell.rank:g}",
        "span": lambda cell: f"({cell.rank_low:g}–{cell.rank_high:g})",
        "size": lambda params: "–" if params is None else size_text(params),
        "sensitivity": sensitivity_tables(content.sensitivity),
    }  # fmt: skip


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def _interval(cell: Cell) -> str:
    """Both ends, set apart where a minus sign would run into the dash."""
    if cell.low is None:
        return ""
    dash = "–" if cell.low >= 0 else " – "
    return f"{_value(cell.low)}{dash}{_value(cell.high)}"
