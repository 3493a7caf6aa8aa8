"""The Align tab: three stages from one press, a wrong value at its field, base and stages answering side by side; and a reward
model that scores what is typed and can be chosen to pay."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.payloads import LINES, MARKUP


def knob(page: Page, name: str) -> Locator:
    return page.locator(f"#align-{name}").locator("input, textarea").first


def done(page: Page, stage: str) -> None:
    expect(page.locator("#align-status")).to_contain_text(f"{stage}: done", timeout=240_000)


def alone(room, plan: str, objective: str, steps: int, stage: str) -> Page:
    """One objective, chosen by its title, trained for so many steps on the two-layer model."""
    page = room.page
    room.tab("Align")
    page.locator("#align-model").get_by_label("tiny", exact=True).check()
    page.locator("#align-plan").get_by_label(plan).check()
    knob(page, f"{objective}-steps").fill(str(steps))
    page.locator("#align-start").click()
    done(page, stage)
    return page


def test_the_path_trains_three_stages_that_answer_side_by_side(visit):
    room = visit()
    page = room.page
    room.tab("Calculate")
    page.locator(".calc-form").get_by_label("Rank", exact=True).fill("4")
    page.wait_for_url("**calc=**")
    room.tab("Align")
    expect(page.locator("#align-words")).to_contain_text("data it needs")
    page.locator("#align-model").get_by_label("tiny", exact=True).check()
    for objective in ("sft", "dpo", "grpo"):
        knob(page, f"{objective}-steps").fill("2")
    expect(page.locator("#align-cost")).to_contain_text("MB of memory, in GRPO")
    beta = knob(page, "dpo-beta")
    beta.fill("0")
    expect(page.locator("#align-cost")).to_contain_text("Beta must be more than 0.")
    page.locator("#align-start").click()
    expect(page.locator("#align-dpo-beta")).to_contain_text("Beta must be more than 0.")
    expect(page.locator("#align-status")).to_contain_text("Nothing was started.")
    beta.fill("0.2")
    page.locator("#align-start").click()
    done(page, "GRPO")
    expect(page.locator("#align-answers .card")).to_have_count(10, timeout=120_000)
    expect(page.locator("#align-answers .card").first.locator(".column")).to_have_count(4)
    expect(page.locator('#align-table tr[data-method="dpo"]')).to_contain_text(
        re.compile(r"tied|of \d"), timeout=120_000
    )
    expect(page.locator("#align-curves-1 .lab-legend")).to_contain_text("better answer")
    expect(page.locator("#align-group li")).to_have_count(8)
    path = page.locator("#align-link input")
    expect(path).to_have_value(re.compile(r"\?path=[0-9a-f]{12}(,[0-9a-f]{12}){2}$"))
    assert "path=" in page.url and "calc=" not in page.url  # a reload comes back here, not to the tab of before


def test_thumbs_are_learnt_alone_and_their_drift_is_drawn(visit):
    page = alone(visit(), "Thumbs up and down (KTO)", "kto", 12, "KTO")
    expect(page.locator('#align-table tr[data-method="kto"]')).to_contain_text(
        re.compile(r"tied|of \d"), timeout=120_000
    )
    expect(page.locator("#align-curves-0 .lab-legend")).to_contain_text("worse answer")
    expect(page.locator("#align-curves-2 .lab-legend")).to_contain_text("drift (KL)")
    expect(page.locator("#align-status")).to_contain_text("log-probability")
    expect(page.locator("#align-answers .card").first.locator(".column")).to_have_count(2, timeout=120_000)


def test_a_reward_model_scores_what_is_typed_and_can_pay(visit):
    room = visit()
    page = alone(room, "Score answers (reward model)", "reward", 2, "Reward model")
    expect(page.locator("#align-status")).to_contain_text(re.compile("rank correlation of [+-]"))
    knob(page, "score-answers").fill(f"Gladly: at nine.\n{LINES[0]}")
    page.locator("#align-score-go").click()
    expect(page.locator("#align-score-table tbody tr")).to_have_count(2, timeout=60_000)
    expect(page.locator("#align-score-table")).to_contain_text(LINES[0])
    assert page.evaluate("window.hit") is None and not page.locator("#align-score-table").locator(MARKUP).count()
    page.locator("#align-plan").get_by_label("Earn a reward (GRPO)").check()
    judge = knob(page, "grpo-judge")
    judge.click()
    page.get_by_role("option", name=re.compile("Reward model, .*2 steps")).click()
    expect(judge).to_have_value(re.compile("Reward model, .*2 steps"))
    room.reload()  # its address opens the same again
    done(page, "Reward model")
