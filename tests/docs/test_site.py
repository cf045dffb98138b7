"""The site of the documentation: built strictly without a network, complete, and sufficient to itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geneb_jax.cli.main import COMMANDS
from tests.docs.pages import PAGES, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("docs")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, ROOT / "docs" / "build.py", into],
        env={**os.environ, **nowhere, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    assert "Warning" not in built.stdout + built.stderr
    return into / "site"


def test_every_page_and_every_command_is_there(site: Path) -> None:
    for page in PAGES:
        at = page.relative_to(ROOT).with_suffix(".html")
        assert (site / ("index.html" if page.name == "README.md" else at)).is_file(), at
    commands = (site / "docs" / "reference" / "commands.html").read_text(encoding="utf-8")
    assert set(re.findall(r'id="geneb-([a-z]+)"', commands)) >= set(COMMANDS)


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loads = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*\shref=\"(?:https?:)?//")
    outside = {page.name: found for page in site.rglob("*.html") if (found := loads.findall(page.read_text("utf-8")))}
    assert not outside
