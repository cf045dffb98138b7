"""How large the report of the whole official board is, and how long a browser takes to open it.

::

    python -m benchmarks.page_load [--times 5]

Prints the file's size, and medians until the page is there ("load") and until its charts are drawn: seconds on the
clock, and processor time of the page's main thread, which other work on the machine changes little. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from geneb_jax.report.web.gather import board_content
from geneb_jax.report.web.html import write_report


def open_once(browser: str, address: str) -> dict[str, float]:
    """Open a page in a fresh browser and return its seconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page()
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def processor() -> float:
            metrics = devtools.send("Performance.getMetrics")["metrics"]
            return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")

        start = time.perf_counter()
        page.goto(address)
        found = {"load": time.perf_counter() - start, "load, processor": processor()}
        page.wait_for_selector("html[data-charts=drawn]", state="attached")
        found |= {"charts": time.perf_counter() - start, "charts, processor": processor()}
        opened.close()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    browser = shutil.which("chromium") or parser.error("chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        file = write_report(board_content(), Path(folder))
        print(f"size {file.stat().st_size / 1e6:.2f} MB")
        found = [open_once(browser, file.as_uri()) for _ in range(times)]
    for name in found[0]:
        print(f"{name:18} {median(one[name] for one in found):.2f} s")


if __name__ == "__main__":
    main()
