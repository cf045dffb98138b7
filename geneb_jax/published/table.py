"""Reading a packaged table, and the one sign for "not stated"."""

from __future__ import annotations

import csv
from importlib.resources import files


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of ``data/NAME.csv``."""
    text = files("geneb_jax.published").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def whole_number(cell: str) -> int | None:
    """The number in a cell; None where it is empty: not stated."""
    return int(cell) if cell else None
