"""A sweep from the page: rows of one's own, the plan, the map filling, Stop that keeps, a reload and a link that find it, a stranger who
cannot stop it, one run cut to smaller ranks."""

from __future__ import annotations

import re
import secrets

from playwright.sync_api import Page, expect

from experiments.store import Store
from experiments.sweeps import table


def bring_rows(page: Page) -> None:
    """Rows are brought in this form, too, and the plan counts on them."""
    page.locator("#sweep-task").get_by_label("Your own").check()
    expect(page.locator("#sweep-task")).to_contain_text("Bring your rows first")
    rows = "question,answer\n" + "".join(f"What is {i}?,It is {i}.\n" for i in range(20))
    page.set_input_files("#sweep-own-file", {"name": "rows.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    expect(page.locator("#sweep-own-facts")).to_contain_text("rows:", timeout=60_000)
    expect(page.locator("#sweep-plan")).to_contain_text("5 rank × 3 alpha × 3 seeds: 45 cells")


def test_a_sweep_fills_stops_and_is_found_again(visit, app):
    room, seed = visit(), secrets.randbelow(10**6) + 10_000
    page = room.page
    room.tab("Sweep")
    expect(page.locator("#sweep-status")).to_contain_text("recorded")  # a newcomer sees a real one
    expect(page.locator("#sweep-map .sw-cell").first).to_be_visible()
    bring_rows(page)
    page.locator("#sweep-task").get_by_label("Speak like a storyteller").check()
    expect(page.locator("#sweep-own-file")).to_be_hidden()
    page.locator("#sweep-model").get_by_label("tiny", exact=True).check()
    page.locator("#axis-0-name input").fill("rnak")
    expect(page.locator("#axis-0-name")).to_contain_text("did you mean “method.rank”")
    page.locator("#axis-0-name input").fill("rank")
    page.locator("#axis-0-values input").fill("1, 2")
    page.locator("#axis-1-values input").fill("2, 4")
    page.locator("#sweep-seeds input").fill(f"{seed}, {seed + 1}")
    page.locator("#sweep-steps input").fill("4")
    expect(page.locator("#sweep-plan")).to_contain_text("2 rank × 2 alpha × 2 seeds: 8 cells")
    page.locator("#sweep-start").click()
    cells = page.locator("#sweep-map .sw-cell")
    expect(cells).to_have_count(4, timeout=240_000)
    expect(page.locator("#sweep-status")).to_contain_text("of 8 cells")
    numbers = cells.filter(has_text=re.compile(r"\d\.\d{3}"))
    expect(numbers.first).to_be_visible(timeout=240_000)  # fills while it goes on

    link = page.locator("#sweep-link input").input_value()
    stranger = visit(link[link.index("?") :])
    expect(stranger.page.locator("#sweep-status")).to_contain_text("Somebody else's sweep", timeout=240_000)
    expect(stranger.page.locator("#sweep-stop")).to_be_disabled()
    page.locator("#sweep-stop").click()
    expect(page.locator("#sweep-status")).to_contain_text("Stopped by you", timeout=240_000)
    (row,) = (
        s
        for s in table.everybodys(Store(app.home / "lab.sqlite"), link.partition("sweep=")[2])
        if s.spec.seeds[0] == seed
    )
    assert row.state == "stopped"
    room.reload()
    expect(page.locator("#sweep-status")).to_contain_text("Stopped by you", timeout=240_000)
    expect(page.locator("#sweep-map .sw-cell").filter(has_text=re.compile(r"\d\.\d{3}")).first).to_be_visible()

    page.locator("#sweep-on").click()  # what is done is not done again
    expect(page.locator("#sweep-status")).to_contain_text("8 of 8 cells trained", timeout=240_000)
    expect(page.locator("#sweep-map .sw-verdict")).to_contain_text(re.compile("rank|settings"))
    expect(page.locator("#sweep-found tbody tr").filter(has_text="2 of 2")).to_have_count(4)
    page.locator("#sweep-map .sw-cell").first.click()
    expect(page.locator("#sweep-curve svg path.curve")).to_have_count(2)
    expect(page.locator("#sweep-map")).to_contain_text("Generate with it")
    expect(page.locator("#sweep-anew").get_by_role("button", name="Train longer")).to_be_visible()
    page.get_by_role("button", name="Cut one run to every smaller rank").click()
    expect(page.locator("#sweep-found .sr-cut-said")).to_contain_text("need not agree", timeout=120_000)
    expect(page.locator("#sweep-found .sr-cut-dot")).to_have_count(2)  # rank 1 and the whole of rank 2
    with page.expect_download() as download:
        page.get_by_role("button", name="Save every run as CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 9 and lines[0].startswith("settings.rank,settings.alpha,seed,run,status,held_out")
