"""The table of coverage in docs/uncertainty.md: what its command prints, and what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.coverage import BALANCES, coverage, population
from geneb_jax.stats.intervals import METHODS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "uncertainty.md").read_text()
ROW = re.compile(r"^\| (\d) \| (.+?) \| (0\.\d+) \| ([\d,]+) \|" + r" ([\d.]+) \|" * len(METHODS) + "$", re.MULTILINE)


def table() -> dict[tuple[int, str, float, int], dict[str, float]]:
    """Coverage in percent by method, by classes, balance, accuracy and rows."""
    found = {}
    for k, balance, accuracy, rows, *shares in ROW.findall(PAGE):
        key = int(k), balance, float(accuracy), int(rows.replace(",", ""))
        found[key] = dict(zip(METHODS, map(float, shares), strict=True))
    return found


def test_a_row_is_what_the_command_prints() -> None:
    k, balance, accuracy, n = key = 2, "9 : 1", 0.9, 100
    made = re.search(r"benchmarks\.coverage --splits (\d+) --resamples (\d+)", PAGE)
    assert made is not None
    splits, resamples = map(int, made.groups())
    cells = population(k, BALANCES[balance], accuracy)
    found = coverage(cells, n, "mcc", splits=splits, resamples=resamples, seed=n)
    assert {method: round(100 * share, 1) for method, (share, _) in found.items()} == table()[key]


def test_the_page_sums_its_table_up() -> None:
    bca = [shares["bca"] for (*_, n), shares in table().items() if n >= 100]
    assert len(bca) == 32
    said = re.search(r"between ([\d.]+) and ([\d.]+) %, once below 93", PAGE)
    assert said is not None
    assert (min(bca), max(bca)) == tuple(map(float, said.groups()))
    assert sum(share < 93 for share in bca) == 1
