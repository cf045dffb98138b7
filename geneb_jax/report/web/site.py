"""The leaderboard as a static site: an index, a page for every model, task and category, and one for the method.

::

    OUT/
      index.html  method.html  models/*.html  tasks/*.html  categories/*.html
      assets/     report.css, report.js, vega.js: shared by all pages
      README.md   the front matter of a static Hugging Face Space
      .nojekyll   so that GitHub Pages serves the files as they are
      site.json   geneb_type "site", geneb_version 1; `files`: what the site made; `scripts`: versions within vega.js

Links are relative, so the folder may stand anywhere. Building again writes the files whose content has changed, and
removes those of models and tasks that are gone. A file that the site did not make is never written or removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from geneb_jax.errors import DataError
from geneb_jax.paths import confined
from geneb_jax.plain import write_whole
from geneb_jax.report.web.content import Content, Entrant, TaskEntry, key_of
from geneb_jax.report.web.pages import (
    Assets,
    Sections,
    asset,
    overview,
    render,
    section_names,
    vega_bundle,
    vega_version,
)

SITE_TYPE: Final = "site"
SITE_VERSION: Final = 1
MANIFEST: Final = "site.json"
VEGA: Final = "assets/vega.js"
OFTEN_THERE: Final = ("README.md", ".nojekyll")
"""A new Space or branch has its own: those are kept."""
_OUTSIDE: Final = Assets(inline=False)


@dataclass(frozen=True)
class SiteReport:
    """What building did, by the names of the files."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


class OnSite:
    """Links of a site, seen from a page that lies `depth` folders below the index."""

    has_pages = True

    def __init__(self, depth: int) -> None:
        self.root = "../" * depth
        self.home = f"{self.root}index.html"

    def section(self, name: str) -> str:
        """A section of the index, or of the page about the method."""
        if name == "method":
            return f"{self.root}method.html"
        return f"{self.root}method.html#provenance" if name == "provenance" else f"{self.home}#{name}"

    def model(self, entrant: Entrant) -> str:
        """The page of an entrant."""
        return f"{self.root}models/{entrant.key}.html"

    def task(self, task: TaskEntry) -> str:
        """The page of a task."""
        return f"{self.root}tasks/{task.key}.html"

    def category(self, name: str) -> str:
        """The page of a category."""
        return f"{self.root}categories/{key_of(name)}.html"

    def sections(self, content: Content) -> Sections:
        """What the navigation lists."""
        return [(name, self.section(key)) for name, key in section_names(content)]


@dataclass(frozen=True)
class Site:
    """A folder, the files in it that the site made, and the versions within its chart script."""

    folder: Path
    files: frozenset[str] = frozenset()
    scripts: str = ""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The site in a folder; one without files where none was built yet. Nothing is written.

        Raises:
            DataError: its description is damaged, or of a newer version.
        """
        path = folder / MANIFEST
        if not path.exists():
            return cls(folder)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            kind, version, names, scripts = (
                found["geneb_type"], found["geneb_version"], frozenset(map(str, found["files"])), str(found["scripts"])
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("the description of the site is damaged", where=str(path),
                            cure="remove the folder and build the site anew") from error  # fmt: skip
        if kind != SITE_TYPE or version > SITE_VERSION:
            raise DataError(f"this describes a {kind} of version {version}, not a site of version {SITE_VERSION}",
                            where=str(path), cure="install a newer geneb_jax, or name another folder")  # fmt: skip
        for name in sorted(names):
            confined(folder, name, what="name in the site's list of its own files")
        return cls(folder, names, scripts)

    def build(self, content: Content) -> SiteReport:
        """Write what has changed, and remove what is gone.

        Raises:
            DataError: a file of the same name is there that the site did not make.
        """
        made = {name: make for name, make in _files(content) if name in self.files or not self._is_kept(name)}
        if foreign := sorted(name for name in made if name not in self.files and (self.folder / name).exists()):
            raise DataError(f"{foreign[0]} is there already, and no site made it", where=str(self.folder),
                            cure="give --out a folder of its own, or move that file away")  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        # an interrupted build leaves no file that the next one does not know
        self._describe(self.files | set(made), "")
        written = [name for name, make in made.items() if self._write(name, make)]
        removed = sorted(name for name in self.files - set(made) if (self.folder / name).exists())
        for name in removed:
            (self.folder / name).unlink()
        self._describe(set(made), vega_version())
        return SiteReport(tuple(written), tuple(name for name in made if name not in written), tuple(removed))

    def _is_kept(self, name: str) -> bool:
        return name in OFTEN_THERE and (self.folder / name).exists()

    def _write(self, name: str, make: Callable[[], str]) -> bool:
        """Write a file where it is new or different, and say whether it was."""
        path = confined(self.folder, name, what="name of a page")
        if name == VEGA and self.scripts == vega_version() and path.exists():
            return False  # a second's work to make, and it follows from its versions
        data = make().encode()
        if path.exists() and path.read_bytes() == data:
            return False
        write_whole(path, data)
        return True

    def _describe(self, names: frozenset[str] | set[str], scripts: str) -> None:
        text = json.dumps(
            {"geneb_type": SITE_TYPE, "geneb_version": SITE_VERSION, "scripts": scripts, "files": sorted(names)},
            indent=1,
        )
        write_whole(self.folder / MANIFEST, text + "\n")  # the next build goes by it


def _files(content: Content) -> Iterator[tuple[str, Callable[[], str]]]:
    """The name of every file, and how it is made."""
    top, below = OnSite(0), OnSite(1)

    def page(kind: str, subject: object, heading: str, links: OnSite) -> Callable[[], str]:
        return partial(render, "page.html.j2", content, links, _OUTSIDE, kind=kind, subject=subject, heading=heading)

    yield "index.html", partial(overview, "index.html.j2", content, top, _OUTSIDE)
    yield "method.html", page("method", None, "Method", top)
    for entrant in content.entrants:
        yield top.model(entrant), page("model", entrant, entrant.name, below)
    for task in content.tasks:
        yield top.task(task), page("task", task, task.label, below)
    for name in content.categories:
        yield top.category(name), page("category", name, name, below)
    for name in ("report.css", "report.js"):
        yield f"assets/{name}", partial(asset, name)
    yield VEGA, vega_bundle
    yield "README.md", partial(_readme, content)
    yield ".nojekyll", str


def _readme(content: Content) -> str:
    """Front matter that a static Hugging Face Space reads; elsewhere it is a readme."""
    title = json.dumps(content.title, ensure_ascii=False)
    return (
        f"---\ntitle: {title}\nsdk: static\nemoji: 🧬\ncolorFrom: blue\ncolorTo: gray\npinned: false\n---\n\n"
        f"{content.title}: {content.subtitle}. Made by `geneb site`; do not edit by hand.\n"
    )
