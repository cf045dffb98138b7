"""The official board and runs on four of its tasks, as reports and sites, and a browser that looks at them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geneb_jax.cli.main import main
from geneb_jax.published import tasks
from geneb_jax.run import Run, probe
from tests.analysis.conftest import WANTED, write_board_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RESAMPLES = ("--resamples", "200")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

Command = Callable[..., tuple[int, str]]


def geneb_once(*arguments: object) -> None:
    """Run a command that must succeed."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert not stop.value.code


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run directories: "pair" has the encoders strong and weak, "late" one that comes later."""
    folder = tmp_path_factory.mktemp("runs")
    held = {t.id: t.category for c in WANTED for t in [t for t in tasks() if t.category == c][:2]}
    for name, strength in (("pair", {"strong": 1.5, "weak": 0.2}), ("late", {"late": 0.6})):
        write_board_store(folder / f"{name}-store", strength, held)
        probe(
            [folder / f"{name}-store"],
            None,
            folder / name,
            regimes=("full", "10shot"),
            engine="sklearn",
            progress=False,
        )
    return {name: folder / name for name in ("pair", "late")}


@pytest.fixture(scope="session")
def pair(runs: dict[str, Path]) -> Run:
    return Run.open(runs["pair"])


@pytest.fixture(scope="session")
def board_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board-report")
    geneb_once("report", "--published", "--out", folder)
    return folder / "report.html"


@pytest.fixture(scope="session")
def small_report(pair: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair-report")
    geneb_once("report", pair.path, "--out", folder, *RESAMPLES)
    return folder / "report.html"


@pytest.fixture(scope="session")
def small_site(pair: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair-site")
    geneb_once("site", pair.path, "--out", folder, "--no-intervals")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra test)")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file, wait until it is drawn; at the end no message was logged and nothing asked of the network."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    said: list[str] = []

    def load(file: Path, anchor: str = "") -> Page:
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else said.append(asked.url))
        page.goto(f"{file.as_uri()}{anchor}")
        page.wait_for_selector("html[data-charts=drawn]", state="attached")
        return page

    yield load
    context.close()
    assert said == []
