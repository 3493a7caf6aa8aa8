"""A comparison from the page: the plan, Stop that keeps, going on, the table with its intervals, a link, the report as a file."""

from __future__ import annotations

import re
import secrets

from playwright.sync_api import expect


def test_a_comparison_runs_stops_goes_on_and_is_taken_away(visit):
    room, seed = visit(), secrets.randbelow(10**6) + 10_000
    page = room.page
    room.tab("Compare")
    expect(page.locator("#compare-found .cp-table tbody tr").first).to_be_visible()  # a newcomer sees a real one
    expect(page.locator("#compare-status")).to_contain_text("recorded")
    page.locator("#compare-model").get_by_label("tiny", exact=True).check()
    page.locator("#compare-methods").get_by_label("Full", exact=True).uncheck()
    page.locator("#compare-amount input").fill("many")
    expect(page.locator("#compare-amount")).to_contain_text("must be a number")
    page.locator("#compare-amount input").fill("6")
    page.locator("#compare-seeds input").fill(str(seed))
    page.locator("#compare-rates input").fill("1")
    expect(page.locator("#compare-plan")).to_contain_text("2 methods, equal steps: 6")
    page.locator("#compare-start").click()
    expect(page.locator("#compare-status")).to_contain_text(re.compile("measured|race|seeds"), timeout=60_000)
    page.locator("#compare-stop").click()
    expect(page.locator("#compare-status")).to_contain_text("Stopped by you", timeout=60_000)
    link = page.locator("#compare-link input").input_value()
    stranger = visit(link[link.index("?") :])
    expect(stranger.page.locator("#compare-status")).to_contain_text("Somebody else's comparison", timeout=60_000)
    expect(stranger.page.locator("#compare-on")).to_be_hidden()

    page.locator("#compare-on").click()
    expect(page.locator("#compare-status")).to_contain_text("Finished in", timeout=200_000)
    rows = page.locator("#compare-found .cp-table tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text(re.compile(r"\d\.\d{3} ± \d"))
    expect(page.locator("#compare-found .cp-verdict, #compare-found .sw-verdict")).to_contain_text(
        "lowest held-out loss"
    )
    expect(page.locator("#compare-found .cp-plane .cp-trail")).to_have_count(2)
    expect(page.locator("#compare-found .cp-front circle")).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#compare-found").get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("method,settings,rate,state,held_out,held_out_half_width")
    room.reload()  # its address opens it
    expect(page.locator("#compare-status")).to_contain_text("Finished in", timeout=60_000)
