"""Generate: base and tuned side by side, and what is refused."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture
def trained(visit):
    """A visitor with a finished LoRA and prompt run (served from the store where another test trained them)."""
    room = visit()
    room.choose("LoRA", "Prompt", steps=12, seed=101)
    room.start()
    room.wait_for_end("lora", "prompt")
    return room


def columns(room):
    return room.page.locator("#side-by-side .column")


def test_base_and_tuned_answer_side_by_side(trained):
    room = trained
    room.tab("Generate")
    expect(room.page.locator("#runs").get_by_role("checkbox")).to_have_count(2)
    expect(room.page.locator("#runs input:checked")).to_have_count(2)  # the runs just trained are chosen already
    room.page.locator("#probes button").first.click()
    expect(room.field("ask-prompt").locator("textarea, input")).to_have_value(re.compile(r"\w"))
    room.page.get_by_text("How to sample").click()
    room.fill("ask-max_new_tokens", "12")
    room.page.locator("#go").click()
    expect(columns(room)).to_have_count(3)
    for i in range(3):
        expect(columns(room).nth(i).locator(".answer").first).to_contain_text(re.compile(r"\S"))
    expect(room.page.locator("#stop-asking")).to_be_disabled()  # all of them are written
    assert columns(room).nth(0).locator("mark").count() == 0
    first = columns(room).locator(".answer").all_inner_texts()
    room.page.locator("#go").click()
    expect(columns(room)).to_have_count(3)
    expect(columns(room).locator(".answer")).to_have_text(first)  # the same seed


def test_an_empty_prompt_is_answered_at_its_field(trained):
    room = trained
    room.tab("Generate")
    expect(room.page.locator("#runs input:checked")).to_have_count(2)
    room.fill("ask-prompt", "   ")
    room.page.locator("#go").click()
    expect(room.field("ask-prompt")).to_contain_text("Prompt must not be empty.")
    expect(room.page.locator("#ask-status")).to_contain_text("Prompt must not be empty.")
    expect(room.page.locator("#stop-asking")).to_have_text("Stop")
    expect(room.page.locator("#ask-prompt.problem, .problem #ask-prompt, #ask-prompt .problem")).not_to_have_count(0)
