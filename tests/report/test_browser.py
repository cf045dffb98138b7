"""Reports and sites as a reader uses them, in a browser without a screen. What they show is compared with the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geneb_jax.published import leaderboard, models

pytest.importorskip("playwright")
Open = Callable[..., Any]


def column(page: Any, head: str, *, regime: str = "Full data") -> list[str]:
    """The shown cells of a column of the leaderboard, from the top."""
    return page.evaluate(
        """([regime, head]) => {
            const table = document.querySelector(`section.regime[data-regime="${regime}"] table`);
            const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === head);
            return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[at].innerText);
        }""",
        [regime, head],
    )


def by_score(regime: str, score: Callable[[Any], float]) -> list[str]:
    """The board's models, best first."""
    rows = leaderboard(regime)
    return [models()[name].display for name in sorted(rows, key=lambda name: -score(rows[name]))]


@pytest.fixture
def page(open_page: Open, board_report: Path) -> Any:
    return open_page(board_report)


def test_columns_sort_by_click_and_by_keyboard(page: Any):
    assert column(page, "Encoder") == by_score("full", lambda row: row.macro)
    shown = page.locator("section.regime:not([hidden]) table")
    shown.get_by_role("button", name="Enhancers").click()
    assert column(page, "Encoder") == by_score("full", lambda row: row.categories["Enhancers"])
    assert shown.locator("th[aria-sort]").all_inner_texts() == ["Enhancers"]

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert shown.locator("th[aria-sort=descending]").all_inner_texts() == ["Promoters"]
    page.keyboard.press("Space")
    assert shown.locator("th[aria-sort=ascending]").all_inner_texts() == ["Promoters"]
    assert column(page, "Encoder") == by_score("full", lambda row: -row.categories["Promoters"])


def test_regime_score_and_search_lead_the_whole_page(page: Any):
    heading = page.locator(".headline:not([hidden])")
    assert by_score("full", lambda row: row.macro)[0] in heading.inner_text()
    page.get_by_role("radio", name="10-shot").check()
    few = by_score("10shot", lambda row: row.macro)
    assert few[0] in heading.inner_text()
    assert column(page, "Encoder", regime="10-shot") == few
    assert page.locator("section.regime:visible").count() == 1

    page.get_by_role("combobox", name="Score").select_option("Splice Sites (7)")
    splice = by_score("10shot", lambda row: row.categories["Splice Sites"])
    assert column(page, "Encoder", regime="10-shot") == splice
    assert column(page, "Rank", regime="10-shot")[:2] == ["1", "2"]
    chart = page.locator("#chart-scale")
    chart.get_by_text("Data of this chart").click()
    assert set(chart.locator("tbody tr td:first-child").all_inner_texts()) == set(splice)
    assert chart.locator("tbody tr td:first-child").first.inner_text() == splice[0]

    page.get_by_role("searchbox", name="Find").fill("nt-v2")
    found = column(page, "Encoder", regime="10-shot")
    assert found == [name for name in splice if "nt-v2" in name.lower()]
    assert page.locator("#shown").inner_text() == f"{len(found)} of {len(splice)} encoders"


def test_a_task_opens_within_the_report_and_goes_back(page: Any):
    page.locator("#tasks .regime:visible tbody a").first.click()
    page.wait_for_selector("#page:focus")
    label = page.get_by_role("heading", level=1).inner_text()
    assert page.title().startswith(label)
    assert page.locator("#page tbody tr").count() == len(models())
    page.go_back()
    page.wait_for_selector("#overview:visible")
    assert not page.title().startswith(label)


def test_a_point_tells_what_it_is(open_page: Open, small_report: Path):
    page = open_page(small_report)
    # the best encoder is the first of the chart's points
    page.locator("#chart-ranks path[aria-roledescription='point']").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    told = dict(tip.locator("tr").evaluate_all("rows => rows.map((row) => [...row.cells].map((c) => c.textContent))"))
    best = column(page, "Encoder")[0]
    low, high = column(page, "Interval")[0].split("–")
    score = column(page, "Macro")[0].split("\n")[0]  # a mark may stand below it
    assert (told["Encoder"], told["MCC"]) == (best, score)
    assert (told["From"], told["To"]) == (low, high)


def colours(page: Any) -> tuple[str, str]:
    """Of the ground and of the charts' words."""
    return (
        page.evaluate("getComputedStyle(document.body).backgroundColor"),
        page.locator("#chart-scale svg text").first.get_attribute("fill"),
    )


def test_dark_is_chosen_and_kept(page: Any):
    light = colours(page)
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="Light").wait_for()
    page.wait_for_selector(f"#chart-scale svg text:not([fill='{light[1]}'])")
    dark = colours(page)
    assert dark[0] != light[0]
    page.reload()
    page.wait_for_selector("html[data-charts=drawn]", state="attached")
    assert colours(page) == dark


def addresses(site: Path) -> Iterator[Path]:
    """One page of each kind."""
    yield from sorted(site.glob("*.html"))
    for kind in ("models", "tasks", "categories"):
        yield min((site / kind).glob("*.html"))


def test_pages_fit_a_phone(open_page: Open, small_site: Path, small_report: Path):
    for file in (*addresses(small_site), small_report):
        page = open_page(file)
        page.set_viewport_size({"width": 360, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, file.name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(open_page: Open, small_site: Path, small_report: Path, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations"]}  # preloading asks for the style again
    if scheme == "dark":  # only colours differ
        options["runOnly"] = ["color-contrast"]
    files = addresses(small_site) if scheme == "light" else [min(small_site.glob("tasks/*.html"))]
    for file in (*files, small_report):
        page = open_page(file)
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options=options).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
        assert serious == [], file.name
