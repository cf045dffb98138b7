"""`geneb site`: what is written, left alone and taken away, and where its links lead."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

from geneb_jax.run import Run
from tests.report.conftest import RESAMPLES, Command

BEGINNING = ("models/strong-*.html", "models/weak-*.html")


def pages(site: Path, *patterns: str) -> dict[str, bytes]:
    return {str(p.relative_to(site)): p.read_bytes() for pattern in patterns for p in site.glob(pattern) if p.is_file()}


def test_a_model_comes_and_goes_with_its_run(runs: dict[str, Path], tmp_path: Path, geneb: Command):
    folder, site = tmp_path / "runs", tmp_path / "site"
    shutil.copytree(runs["pair"], folder / "pair")
    build = ("site", folder, "--out", site, *RESAMPLES)
    assert geneb(*build)[0] == 0
    (site / "CNAME").write_text("geneb.example.org")
    before = pages(site, "**/*.html")
    assert len(before) == 2 + 2 + 4 + 2  # index and method, encoders, tasks, categories

    shutil.copytree(runs["late"], folder / "late")
    assert geneb(*build)[0] == 0
    assert len(pages(site, "models/*.html")) == 3
    assert pages(site, *BEGINNING) == {name: data for name, data in before.items() if name.startswith("models/")}
    assert b">late</a>" in (site / "index.html").read_bytes()
    assert "0 files written" in geneb(*build)[1]

    shutil.rmtree(folder / "late")
    status, said = geneb(*build)
    assert (status, "1 removed" in said) == (0, True)
    assert pages(site, "**/*.html") == before
    assert (site / "CNAME").read_text() == "geneb.example.org"


def test_what_a_build_left_unfinished_the_next_one_knows(pair: Run, small_site: Path, tmp_path: Path, geneb: Command):
    site = tmp_path / "site"
    shutil.copytree(small_site, site)
    min(site.glob("models/*.html")).write_text("half a pa")
    (site / "tasks" / "gone.html").write_text("of a task that is gone")
    described = json.loads((site / "site.json").read_text())
    described["files"].append("tasks/gone.html")
    (site / "site.json").write_text(json.dumps(described))
    said = geneb("site", pair.path, "--no-intervals", "--out", site)[1]
    assert "1 files written, 14 unchanged, 1 removed" in said
    assert pages(site, "**/*") == pages(small_site, "**/*")


def test_files_of_others_are_refused_before_anything_is_written(runs: dict[str, Path], tmp_path: Path, geneb: Command):
    build = ("site", runs["pair"], "--no-intervals", "--out", tmp_path)
    (tmp_path / "README.md").write_text("my Space")  # a clone of a new Space has one
    (tmp_path / "index.html").write_text("mine")
    status, said = geneb(*build)
    assert (status, "index.html is there already" in said) == (3, True)
    assert {p.name for p in tmp_path.iterdir()} == {"README.md", "index.html"}
    (tmp_path / "index.html").unlink()
    assert geneb(*build)[0] == 0
    assert (tmp_path / "README.md").read_text() == "my Space"

    (tmp_path / "site.json").write_text('{"geneb_type": "site", "geneb_version": 1, "scripts": "", "files": ["../x"]}')
    assert "leads out of the folder: '../x'" in geneb(*build)[1]
    (tmp_path / "site.json").write_text("{")
    assert "is damaged" in geneb(*build)[1]
    assert "there is no run here" in geneb("site", tmp_path / "models", "--out", tmp_path / "new")[1]
    assert "there is nothing to report" in geneb("site", "--out", tmp_path / "new")[1]
    assert not (tmp_path / "new").exists()


class Addresses(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value and not value.startswith("data:"):
                self.targets.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


def test_every_link_is_relative_and_leads_somewhere(small_site: Path):
    folders = ("models", "tasks", "categories")
    shown = [*small_site.glob("*.html"), *(min(small_site.glob(f"{name}/*.html")) for name in folders)]
    found = {path.resolve(): Addresses(path.read_text()) for path in shown}
    for path, page in found.items():
        for target in page.targets:
            name, _, anchor = target.partition("#")
            at = (path.parent / name).resolve() if name else path
            assert at.is_file(), (path, target)
            assert at.is_relative_to(small_site.resolve())
            assert not anchor or anchor in found[at].anchors, (path, target)
    index = found[(small_site / "index.html").resolve()]
    for name in folders[:2]:
        linked = {Path(target).name for target in index.targets if target.startswith(name)}
        assert linked == {path.name for path in small_site.glob(f"{name}/*.html")}
