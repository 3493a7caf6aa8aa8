"""Generate: several prompts at once, again with another seed, kept, taken away; and nothing that was typed or said is markup."""

from __future__ import annotations

import csv
import re

import pytest
from playwright.sync_api import expect

from tests.browser.payloads import LINES, MARKUP, PAYLOADS

ROOM = "#side-by-side"


@pytest.fixture
def asking(visit):
    """A visitor on the Generate tab who asks the base alone, for few tokens."""
    room = visit()
    room.tab("Generate")
    expect(room.page.locator("#go")).to_be_visible()
    room.page.get_by_text("How to sample").click()
    room.fill("ask-max_new_tokens", "3")
    return room


def ask(room, text: str) -> None:
    room.fill("ask-prompt", text)
    room.page.locator("#go").click()


def cards(room):
    return room.page.locator(f"{ROOM} article")


def is_text(room) -> bool:
    """Nothing of a prompt or an answer became part of the page or ran."""
    return room.page.evaluate("window.hit") is None and not room.page.locator(ROOM).locator(f"{MARKUP}, svg").count()


def test_several_prompts_again_keep_and_take_away(asking, tmp_path):
    room = asking
    ask(room, "Name a fish.\n---\nName a bird.")
    expect(cards(room)).to_have_count(2, timeout=240_000)
    for i in range(2):
        expect(cards(room).nth(i).locator(".state").first).to_contain_text(
            re.compile(r"\d+ tokens, [\d.]+ s, \d+ tokens/s"), timeout=240_000
        )
    cards(room).nth(0).get_by_role("button", name="Regenerate").click()
    expect(room.page.locator("#ask-status")).to_contain_text("At temperature 0 the likeliest token is always taken")
    cards(room).nth(1).get_by_role("button", name="Keep").click()
    expect(cards(room).nth(1).get_by_role("button", name="Kept")).to_have_attribute("aria-pressed", "true")
    room.fill("ask-temperature", "1")
    ask(room, PAYLOADS[0])
    expect(cards(room)).to_have_count(2)  # the new one, and the one that was kept
    expect(cards(room).nth(0).locator("h3")).to_have_text(PAYLOADS[0])
    expect(cards(room).nth(0).locator(".state").first).to_contain_text("tokens/s", timeout=240_000)
    cards(room).nth(0).get_by_role("button", name="Regenerate").click()
    expect(cards(room).nth(0).locator(".note")).to_have_text("Temperature 1, seed 1.")
    expect(cards(room)).to_have_count(2)
    for kind, name in (("csv", "answers.csv"), ("md", "answers.md")):
        with room.page.expect_download() as waiting:
            room.page.locator(f'{ROOM} [data-as="{kind}"]').click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["prompt", "base"] and [row[0] for row in rows[1:]] == [PAYLOADS[0], "Name a bird."]
    assert "<img" not in (tmp_path / "answers.md").read_text()
    cards(room).nth(1).get_by_role("button", name="Copy").first.click()
    expect(cards(room).nth(1).get_by_role("button", name="Copied")).to_be_visible()
    assert is_text(room)


def test_no_prompt_is_markup(asking):
    room = asking
    ask(room, "\n---\n".join(LINES))
    expect(cards(room).locator("h3")).to_have_text(list(LINES), timeout=240_000)
    assert is_text(room)


def test_wrong_values_are_told_at_their_fields(asking):
    room = asking
    room.fill("ask-repetition_penalty", "9")
    ask(room, "Hello")
    expect(room.field("ask-repetition_penalty")).to_contain_text("Repetition penalty must be at most 2.")
    room.fill("ask-repetition_penalty", "1.2")
    ask(room, "Hello\n---\n   \n---\nBye")
    expect(room.page.locator("#ask-status")).to_contain_text("Prompt 2 is empty.")
    ask(room, "\n---\n".join(["Hi"] * 17))
    expect(room.page.locator("#ask-status")).to_contain_text("at most 15")
    room.page.locator("#along").click()
    expect(room.page.locator("#ask-status")).to_contain_text("Choose a tuned run that gave answers while it trained.")


def test_a_run_is_asked_as_it_was_on_its_way(visit):
    room = visit()
    room.choose("LoRA", "Prompt", steps=8)
    room.start()
    room.wait_for_end("lora", "prompt")
    room.tab("Generate")
    runs = room.page.locator("#runs input")
    expect(runs).to_have_count(2)
    room.page.get_by_text("How to sample").click()
    room.fill("ask-max_new_tokens", "3")
    room.fill("ask-prompt", PAYLOADS[0])
    room.page.locator("#ask-along").click()
    expect(room.page.locator("#runs")).to_contain_text("Choose one run")
    room.page.locator("#runs label", has_text="LoRA").locator("input").uncheck()
    room.page.locator("#ask-along").click()
    heads = cards(room).first.locator("h4")
    expect(heads).to_have_text([re.compile(f"^{t}") for t in ("base", "Prompt, step 0", "Prompt, step 2", "Prompt, step 4",
                                                             "Prompt, step 6", "Prompt, end")], timeout=240_000)  # fmt: skip
    expect(heads.last.locator(".state")).to_contain_text("tokens/s", timeout=240_000)
    expect(cards(room).first.locator("h3")).to_have_text(PAYLOADS[0])
    assert is_text(room)


def test_two_loras_are_mixed_and_each_gets_its_loss(visit):
    room = visit()
    room.choose("LoRA", steps=2)
    room.start()
    room.wait_for_end("lora")
    first = room.link()
    room.choose("LoRA", steps=2, seed=1)
    room.start()
    expect(room.page.locator("#link").locator("input, textarea")).not_to_have_value(first)
    room.reload()  # from here on only the second is in view
    room.wait_for_end("lora")
    room.tab("Generate")
    expect(room.page.locator("#runs").get_by_role("checkbox")).to_have_count(2)
    for box in room.page.locator("#runs").get_by_role("checkbox").all():
        box.check()
    room.page.locator("#mix").get_by_text("Mix LoRA runs into one").click()
    room.fill("mix-shares", PAYLOADS[0])
    room.page.locator("#mix-go").click()
    expect(room.field("mix-shares")).to_contain_text("Weights are numbers with commas between them")
    room.fill("mix-shares", "1, 0.5")
    room.page.locator("#mix-go").click()
    expect(room.page.locator("#mix-status")).to_contain_text("Lowest of the mixes on the task", timeout=240_000)
    rows = room.page.locator("#mix-table tbody tr")
    expect(rows).to_have_count(8)  # the base, two runs, five ways
    expect(rows.first.locator("td").first).to_have_text(re.compile(r"^\d+\.\d{3}$"))
    room.page.locator("#mix-keep").click()
    expect(room.page.locator("#mix-status")).to_contain_text("Kept as a run", timeout=120_000)
    expect(room.page.locator("#runs").get_by_role("checkbox")).to_have_count(3)
    expect(room.page.locator("#runs").get_by_role("checkbox", checked=True)).to_have_count(1)
    ask(room, "Ahoy?")
    expect(cards(room).first.locator(".column")).to_have_count(2)  # the base and the mix
