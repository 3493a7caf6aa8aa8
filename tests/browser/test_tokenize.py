"""The Tokenize tab as a person uses it: typing, comparing, stepping, training, searching; and text that tries to be markup."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.browser.payloads import LINES, MARKUP

PAYLOAD = " ".join(line for line in LINES if line.isascii())  # to ByT5 a token a character


@pytest.fixture
def room(visit):
    """A visitor on the tab, with ByT5 and the tiny model's tokenizer: nothing has to be fetched for them."""
    room = visit()
    room.tab("Tokenize")
    expect(box(room, "byt5")).to_be_visible()
    only(room, "byt5", "tiny")
    return room


def box(room, key: str):
    return room.page.locator(f'.tk-choose input[data-key="{key}"]')


def only(room, *keys: str) -> None:
    for key in keys:
        if not box(room, key).is_checked():
            box(room, key).click()  # the boxes are drawn anew then, so there is nothing to wait for in this one
    chosen = room.page.locator(".tk-choose input:checked").evaluate_all("boxes => boxes.map((b) => b.dataset.key)")
    for key in set(chosen) - set(keys):
        box(room, key).click()
    expect(room.page.locator(".tk-choose input:checked")).to_have_count(len(keys))


def type_text(room, text: str) -> None:
    room.page.locator("#tokens textarea").fill(text)


def row(room, lane: int):
    return room.page.locator(f'.tk-row[data-lane="{lane}"] .tk')


def cells(room, line: int):
    return room.page.locator("#tokens .tk-lanes ~ .lab-scroll tbody tr").nth(line).locator("th, td")


def unfold(room, part: str):
    found = room.page.locator(f'details[data-part="{part}"]')
    found.locator("summary").click()
    return found


def test_tokens_follow_the_typing_and_are_counted(room):
    type_text(room, "né  x\n")
    order = [cells(room, i).first.inner_text() for i in range(2)]
    byt5 = order.index("ByT5")
    expect(cells(room, byt5).nth(2)).to_have_text("7")
    expect(cells(room, byt5).nth(6)).to_have_text("exactly")
    expect(row(room, byt5)).to_have_text(["n", "C3", "A9", "·", "·", "x", "⏎"])
    room.page.locator("#tokens textarea").press_sequentially("ab")
    expect(cells(room, byt5).nth(2)).to_have_text("9")
    row(room, byt5).nth(1).hover()
    tip = room.page.locator(".tk-tip")
    expect(tip).to_contain_text("ByT5")
    for says in ("198", "C3", "1 to 2", "part of é"):
        expect(tip).to_contain_text(says)
    room.page.locator(".tk-lanes").focus()
    room.page.keyboard.press("ArrowRight")
    expect(room.page.locator(".tk-read")).to_contain_text("id")


def test_what_is_typed_is_shown_and_never_run(room):
    type_text(room, PAYLOAD)
    expect(cells(room, 0).nth(2)).to_have_text(str(len(PAYLOAD)))
    shown = "".join(room.page.locator('.tk-row[data-lane="0"] .tk').all_inner_texts())
    assert shown.replace("·", " ") == PAYLOAD
    steps = unfold(room, "steps")
    steps.locator("select").select_option("byt5")
    steps.locator('input[type="text"]').fill(PAYLOAD)
    steps.get_by_role("button", name="Show").click()
    expect(steps.locator(".tk-note")).to_contain_text(re.compile("At most|no steps"))
    chat = unfold(room, "chat")
    chat.get_by_label("User").fill(PAYLOAD)
    chat.get_by_label("User").press("Tab")
    expect(chat.locator(".tk-chat")).to_contain_text("onerror")
    search = unfold(room, "vocabulary")
    search.locator('input[type="text"]').fill(PAYLOAD)
    search.get_by_role("button", name="Search").click()
    expect(search.locator(".tk-note")).to_contain_text("0 of")
    search.locator("select").last.select_option("never")  # slow, and answered after what is asked next
    search.locator("select").last.select_option("regex")
    search.locator('input[type="text"]').fill("(((")
    search.get_by_role("button", name="Search").click()
    expect(search.locator(".tk-note")).to_contain_text("regular expression")
    assert room.page.evaluate("window.hit") is None
    assert room.page.locator("#tokens").locator(MARKUP).count() == 0


def test_a_megabyte_is_counted_whole_and_drawn_in_part(room):
    only(room, "tiny")
    text = "The quick brown fox, number 7, jumps over it. " * 22_000
    room.page.locator("#tokens textarea").evaluate(
        "(area, text) => { area.value = text; area.dispatchEvent(new Event('input')); }", text
    )
    expect(room.page.locator(".tk-note").first).to_contain_text(
        "Only the first 4,000 of 1,012,000 characters are drawn"
    )
    assert int(cells(room, 0).nth(2).inner_text().replace(",", "")) > 200_000
    type_text(room, "short again")
    expect(cells(room, 0).nth(2)).to_have_text(re.compile(r"^\d$"))


def test_half_a_surrogate_pair_is_told(room):
    room.page.locator("#tokens textarea").evaluate(
        "(area) => { area.value = 'a\\ud83db'; area.dispatchEvent(new Event('input')); }"
    )
    expect(cells(room, 0).nth(6)).to_contain_text("Half of a surrogate pair stood alone")


def test_own_files_and_unknown_ids(room):
    upload = room.page.locator(".tk-file input")
    upload.set_input_files({"name": "bad.json", "mimeType": "application/json", "buffer": b'{"model": 1}'})
    expect(room.page.locator(".tk-said")).to_contain_text("describes no tokenizer")
    made = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    good = {"name": "<b>mine.json", "mimeType": "application/json", "buffer": made.to_str().encode()}
    upload.set_input_files(good)
    expect(room.page.locator(".tk-choose")).to_contain_text("<b>mine.json")
    type_text(room, "a b a")
    expect(room.page.locator("#tokens tbody").first).to_contain_text("whole words")
    room.page.locator(".tk-hub").fill("../etc/passwd")
    room.page.locator(".tk-add").click()
    expect(room.page.locator(".tk-said")).to_contain_text("A hub id looks like owner/name.")


def test_merges_an_own_bpe_and_the_loss_mask(room):
    steps = unfold(room, "steps")
    steps.locator("select").select_option("tiny")
    expect(steps.locator(".tk-steps")).to_contain_text("merge number")
    slider = steps.get_by_label("step")
    slider.fill("0")
    expect(steps.locator(".tk-units .tk")).to_have_text(list("unbelievably"))
    own = unfold(room, "own")
    own.locator("select").select_option("pirate")
    own.get_by_role("button", name="Train").click()
    expect(own.locator(".tk-note")).to_contain_text("characters a token on held-out text", timeout=240_000)
    with room.page.expect_download() as got:
        own.get_by_role("link", name="Save as tokenizer.json").click()
    source = got.value.path().read_text("utf8")
    assert got.value.suggested_filename == "tokenizer.json" and Tokenizer.from_str(source).get_vocab_size() > 300
    assert json.loads(source)["model"]["type"] == "BPE"
    chat = unfold(room, "chat")
    expect(chat.locator(".learnt").first).to_be_visible()
    learnt = "".join(chat.locator(".learnt").all_inner_texts())
    assert learnt.replace("·", " ").startswith("Arr, that be Vienna, matey!<|end|>")


def test_the_model_reads_and_a_candidate_is_appended(room):
    part = unfold(room, "model")
    part.locator("select").first.select_option("tiny")
    part.get_by_role("button", name="Read").click()
    expect(part.locator(".tk-candidate")).to_have_count(20, timeout=240_000)
    expect(part).to_contain_text("int64 of shape [1, 5]")
    expect(part.locator(".tk-bit")).to_have_count(5)
    part.locator(".tk-candidate").first.click()
    expect(part).to_contain_text("int64 of shape [1, 6]", timeout=240_000)


def test_a_tuned_run_is_read_beside_its_base(visit):
    room = visit()
    room.choose("Prompt", steps=2, seed=77)
    room.start()
    room.wait_for_end("prompt")
    room.tab("Tokenize")
    part = unfold(room, "model")
    run = part.locator("select").nth(1)
    expect(run.locator("option")).to_have_count(2)
    run.select_option(index=1)
    expect(part.locator(".tk-strip")).to_have_count(3, timeout=240_000)
    expect(part).to_contain_text("tuned − base")
