"""What the command lists and tables: every row, and in the README what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.rows import BENCHES
from benchmarks.tables import BEGIN, END, RESULTS, split_at_results, tables, write_into
from geneb_jax.errors import DataError


def test_the_pages_tables_are_those_of_the_committed_results(tmp_path: Path) -> None:
    readme = RESULTS.parent / "README.md"
    text = tables(sorted(RESULTS.glob("*.json")))
    assert split_at_results(readme)[1].strip() == text.strip(), "run: python -m benchmarks table --into " + readme.name
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    write_into(page, "| new |\n")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n| new |\n\n{END}after\n"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(DataError, match="no place for results"):
        write_into(page, "")
    page.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="no benchmark results, not results"):
        tables([page])


@pytest.mark.parametrize("size", ["toy", "real"])
def test_every_row_is_listed(size: str) -> None:
    done = CliRunner().invoke(app, ["list", "--size", size, "--json"], catch_exceptions=False)
    assert [fact["name"] for fact in json.loads(done.stdout)] == list(BENCHES)
