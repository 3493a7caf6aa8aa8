"""A bad value gets one sentence at its field; nothing is started, nothing else is lost."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from experiments.store import Store
from tests.browser.payloads import LINES, PAYLOADS

CASES = [
    ("lora-rank", "0", "Rank must be at least 1."),
    ("lora-rank", "2.5", "Rank must be a whole number."),
    ("lora-learning_rate", "nan", "Learning rate must be a number, not infinite or NaN."),
    ("lora-learning_rate", "fast", "Learning rate must be a number."),
    ("lora-targets", "wings", "This model has no module “wings”; it has "),
    ("lora-targets", LINES[1], f"This model has no module “{LINES[1]}”"),
    ("lora-layers", "last 99", "This model has 2 layers; “last 99” asks for 99."),
    ("train-steps", "-1", "Steps must be at least 0."),
    ("train-seed", "", "Seed must be a whole number."),
]


def value(room, field: str) -> str:
    return room.field(field).locator("input, textarea").first.input_value()


def marked(room, field: str):
    """The field, marked as the one with the problem."""
    return room.page.locator(f"#{field}.problem, .problem #{field}, #{field} .problem")


def test_the_sentence_is_at_the_field(visit, app):
    room = visit()
    room.choose("LoRA", "Prompt", seed=901)
    room.unfold("Prompt")
    room.unfold("LoRA")
    room.fill("prompt-init_text", "Speak well.")
    store = Store(app.home / "lab.sqlite")
    before = len(store.entries())
    for field, wrong, sentence in CASES:
        good = value(room, field)
        room.fill(field, wrong)
        expect(room.field(field)).to_contain_text(sentence)  # at once, before any start
        expect(marked(room, field)).not_to_have_count(0)
        room.start()
        expect(room.status).to_contain_text("Nothing was started.")
        expect(room.status).to_contain_text(sentence)
        expect(room.field(field)).to_contain_text(sentence)
        assert value(room, field) == wrong
        room.fill(field, good)
        expect(room.field(field)).not_to_contain_text(sentence)
    assert value(room, "prompt-init_text") == "Speak well."
    assert len(store.entries()) == before
    assert room.page.evaluate("window.hit") is None


def test_an_unknown_model(visit, app):
    room = visit()
    room.choose("LoRA", seed=902)
    room.page.locator("#model").get_by_label("Another, from the hub").check()
    store = Store(app.home / "lab.sqlite")
    before = len(store.entries())
    for name in ("gpt-9", "../../etc/passwd", "/etc/passwd", LINES[0]):
        room.fill("hub-id", name)
        expect(marked(room, "hub-id")).not_to_have_count(0)
        room.start()
        expect(room.status).to_contain_text("Nothing was started.")
        expect(room.status).to_contain_text(name[:60])
    for name in LINES:
        room.fill("hub-id", name)
        expect(room.field("hub-id")).to_contain_text(f"There is no model “{name[:60]}”")
    assert len(store.entries()) == before
    assert room.page.evaluate("window.hit") is None


def test_no_method_chosen(visit):
    room = visit()
    room.choose()
    room.start()
    expect(room.page.locator("#methods")).to_contain_text("Choose at least one method.")


def test_a_start_text_of_markup_is_text_to_the_model_and_to_the_page(visit):
    room = visit()
    room.choose("Prompt", steps=2000, seed=903)
    room.unfold("Prompt")
    room.fill("prompt-init_text", PAYLOADS[0])
    expect(room.page.locator(".method", has_text="Prompt:").first).to_contain_text("<img src=x")
    room.start()
    room.wait_for_points("prompt", 1)
    room.stop_button.click()
    expect(room.status).to_contain_text(re.compile("Stopped by you"))
    assert room.page.evaluate("window.hit") is None
    assert room.page.locator("img[src=x]").count() == 0


def test_the_usual_rates_are_drawn_with_the_typed_one_on_them(visit):
    room = visit()
    room.choose("LoRA")
    room.unfold("LoRA")
    mark = room.field("lora-learning_rate").locator(".lab-usual")
    expect(mark.locator("text")).to_have_text(["0.0001", "0.002"])
    expect(mark.locator("circle")).to_have_attribute("visibility", "hidden")  # an empty one takes the model's own
    room.fill("lora-learning_rate", "0.5")
    expect(mark.locator("circle")).to_have_class("outside")
    expect(mark).to_have_attribute("aria-label", "0.5, above the usual range of 0.0001 to 0.002")
    room.fill("lora-learning_rate", "fast")
    expect(mark.locator("circle")).to_have_attribute("visibility", "hidden")
    room.fill("lora-learning_rate", "1e-4")
    expect(mark.locator("circle")).to_have_class("inside")
    left, band = (mark.locator(part).bounding_box() for part in ("circle", ".band"))
    assert abs(left["x"] + left["width"] / 2 - band["x"]) < 5  # on a log axis, at the low end of the band
