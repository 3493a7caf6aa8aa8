"""Rows of one's own on the page: brought, shown token by token, trained on; text stays text; nobody else's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import requests
from playwright.sync_api import expect

PAYLOADS = [
    "<img src=x onerror=window.hit=1>",
    "<script>window.hit=1</script>",
    "${window.hit=1}",
    "{{7*7}}",
    "=cmd|' /C calc'!A0",
]
ROWS = "question,answer\n" + "".join(f'"{PAYLOADS[i % 5]} {i}","It is {PAYLOADS[i % 5]}"\n' for i in range(30))


def bring(room, text: str = ROWS) -> None:
    page = room.page
    page.locator("#task").get_by_label("Your own").check()
    page.set_input_files("#own-file", {"name": "rows.csv", "mimeType": "text/csv", "buffer": text.encode()})


def test_rows_are_shown_as_they_are_trained_on_and_trained(visit):
    room = visit()
    room.choose("LoRA", steps=2)
    bring(room)
    row = room.page.locator(".own-row").first
    expect(row).to_contain_text("tokens are learnt", timeout=30_000)
    expect(room.page.locator("#own-facts")).to_contain_text("26 to train on, 4 held out")
    learnt = "".join(row.locator(".own-learnt").all_text_contents())
    assert learnt.startswith("It is ") and row.locator(".own-read").count() > 3
    assert any(payload in row.locator("p").inner_text() for payload in PAYLOADS)
    room.page.locator("#own-template").select_option("alpaca")
    room.page.locator("#own-prompt").select_option("answer")  # before the first of the two is answered: neither is lost
    expect(room.page.locator(".lab-own")).to_contain_text("both the column “answer”")
    expect(room.page.locator("#own-template")).to_have_value("alpaca")
    room.page.locator("#own-prompt").select_option("question")
    expect(row).to_contain_text("tokens are learnt")
    expect(row.locator("p")).to_contain_text("### Response:")
    room.start()
    room.wait_for_end("lora")
    expect(room.page.locator("#table")).to_contain_text("rouge-l")
    assert room.page.evaluate("window.hit") is None
    stranger = visit(room.link()[room.link().index("?") :])  # a link does not open rows of somebody else's
    expect(stranger.status).to_contain_text("This lab has no run of that address.")
    expect(stranger.page.locator("#results")).not_to_contain_text("It is")


def test_a_bad_file_is_one_sentence_and_pairs_brought_next_are_preferred(visit):
    room = visit()
    page = room.page
    room.choose("LoRA", steps=2)
    bring(room, "a,b\n1,2,3\n")
    expect(page.locator(".lab-own .problem")).to_contain_text("Line 2 has 3 cells")
    bring(
        room,
        "prompt,chosen,rejected\n" + "".join(f"What is {i}?,Gladly: {i}.,{PAYLOADS[i % 3]} {i}\n" for i in range(30)),
    )
    rows = page.locator(".own-row")
    expect(rows.nth(1)).to_contain_text("the worse answer", timeout=30_000)
    assert any(payload in rows.nth(1).locator("p").inner_text() for payload in PAYLOADS)
    expect(page.locator("#own-objective")).to_have_value("dpo")
    cost = page.locator("#cost")
    expect(cost).not_to_contain_text("Put right")  # the form has the rows
    page.locator("#own-rejected").select_option("")  # nothing is worse than nothing: it is said, and nothing is lost
    expect(cost).to_contain_text("Put right")
    expect(rows.nth(1)).not_to_contain_text("the worse answer")
    page.locator("#own-rejected").select_option("rejected")
    expect(rows.nth(1)).to_contain_text("the worse answer")
    expect(cost).not_to_contain_text("Put right")
    room.start()
    room.wait_for_end("lora")
    expect(page.locator("#table")).to_contain_text("pairs learnt")
    assert page.evaluate("window.hit") is None


def test_a_file_over_the_limit_is_refused_while_it_arrives(visit, app):
    """The page refuses it unsent; a client that sends it all the same is cut off by the server, and nothing is kept."""
    room = visit()
    room.choose("LoRA")
    room.page.locator("#task").get_by_label("Your own").check()
    large = tempfile.NamedTemporaryFile(suffix=".csv")  # noqa: SIM115 - as long as the page may read it
    large.truncate(21_000_000)
    room.page.set_input_files("#own-file", large.name)
    expect(room.page.locator(".lab-own .own-wrong")).to_have_text("The file has 21.0 MB; at most 20 MB can be read.")
    before = len(list(Path(tempfile.gettempdir(), "gradio").rglob("*")))
    answer = requests.post(
        f"{app.url}gradio_api/upload", files={"files": ("rows.csv", b"a,b\n" * 6_000_000)}, timeout=60
    )
    assert answer.status_code == 413, answer.text
    assert len(list(Path(tempfile.gettempdir(), "gradio").rglob("*"))) == before
