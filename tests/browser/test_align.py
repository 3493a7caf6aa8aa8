"""The path on the Align tab: three stages from one press, a wrong value at its field, and base and stages answering side by side."""

from __future__ import annotations

import re

from playwright.sync_api import expect


def test_the_path_trains_three_stages_that_answer_side_by_side(visit):
    room = visit()
    page = room.page
    room.tab("Align")
    expect(page.locator("#align-words")).to_contain_text("data it needs")
    page.locator("#align-model").get_by_label("tiny", exact=True).check()
    for objective in ("sft", "dpo", "grpo"):
        page.locator(f"#align-{objective}-{objective} input").fill("2")
    beta = page.locator("#align-dpo-beta").locator("input, textarea").first
    beta.fill("0")
    page.locator("#align-start").click()
    expect(page.locator("#align-dpo-beta")).to_contain_text("Beta must be more than 0.")
    expect(page.locator("#align-status")).to_contain_text("Nothing was started.")
    beta.fill("0.2")
    page.locator("#align-start").click()
    expect(page.locator("#align-status")).to_contain_text("GRPO: done", timeout=240_000)
    expect(page.locator("#align-answers .card")).to_have_count(10, timeout=120_000)
    expect(page.locator("#align-answers .card").first.locator(".column")).to_have_count(4)
    expect(page.locator('#align-table tr[data-method="dpo"]')).to_contain_text(
        re.compile(r"tied|of \d"), timeout=120_000
    )
    expect(page.locator("#align-dpo .lab-legend")).to_contain_text("better answer")
    expect(page.locator("#align-group li")).to_have_count(8)
    room.reload()
    room.tab("Align")  # the visitor's last path is found again
    expect(page.locator("#align-status")).to_contain_text("GRPO: done", timeout=60_000)
