"""Every code block of README.md and docs/ is run, in order, page by page: ``docs/writing-docs.md`` says how."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, SHOWN, blocks
from tests.docs.prepared import Prepared
from tests.docs.shell import Shell

# blocks whose commands are read but not run; each says why in its mark. Raise it only for what cannot run anywhere
MOST_PARSED_ONLY = 22


@pytest.fixture(scope="session")
def shell() -> Iterator[Shell]:
    with Shell() as running:
        yield running


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_code_of_a_page_runs(
    page: Path, shell: Shell, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = blocks(page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENEB_DATA", str(tmp_path / "geneb"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    prepared.put("\n".join(e.parsed for e in examples if e.region.lexemes["language"] not in SHOWN), tmp_path)
    for example in examples:
        example.namespace["shell"] = shell
        example.evaluate()
    # two pages may write a module of the same name
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def test_few_blocks_are_only_parsed() -> None:
    only = [(page.name, e.line) for page in PAGES for e in blocks(page) if "parsed only" in e.region.lexemes["marks"]]
    assert len(only) <= MOST_PARSED_ONLY, only
