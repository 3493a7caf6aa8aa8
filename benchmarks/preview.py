"""Ten thousand rows of one's own: from the file's choice until the first row stands there token by token, on a real server and Chromium."""

from __future__ import annotations

import statistics
import sys
import time

from benchmarks.page import serving
from tests.browser.chromium import launch

ROWS, OPENINGS = 10_000, 5


def measure(quick: bool) -> list[str]:
    """A Markdown paragraph. Every opening brings other rows, so that none is known."""
    from playwright.sync_api import sync_playwright

    spent = []
    with serving([sys.executable, "app.py"]) as lab, sync_playwright() as p:
        browser = launch(p)
        for opening in range(2 if quick else OPENINGS):
            page = browser.new_page()
            page.goto(lab.url)
            page.locator("#task").get_by_label("Your own").check()
            file = {"name": "rows.csv", "mimeType": "text/csv", "buffer": table(opening).encode()}
            page.locator("#own-file").wait_for(state="attached")
            began = time.perf_counter()
            page.set_input_files("#own-file", file)
            page.locator(".own-row", has_text="tokens are learnt").first.wait_for(timeout=60_000)
            spent.append(time.perf_counter() - began)
            page.close()
        browser.close()
    size = len(table(0)) / 1e6
    return [
        "## Rows of one's own",
        "",
        f"{ROWS:,} rows ({size:.1f} MB of CSV), from the file's choice until the first row stands there token by token: "
        f"**{statistics.median(spent):.2f} s** (median of {len(spent)}, at most {max(spent):.2f} s).",
    ]


def table(opening: int) -> str:
    """Questions and answers of some twenty words."""
    rows = (
        f'"What was number {i} of list {opening} called, when the harbour was still there?",'
        f'"It was called the {i % 97}th lantern of the street of {i % 89} gardens."'
        for i in range(ROWS)
    )
    return "question,answer\n" + "\n".join(rows) + "\n"
