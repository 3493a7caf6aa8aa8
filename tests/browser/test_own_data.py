"""Rows of one's own on the page: brought, shown token by token, trained on; text stays text; nobody else's."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import requests
from playwright.sync_api import expect

from tests.browser.payloads import LINES, MARKUP


def sheet(**columns: str) -> str:
    """A CSV of thirty rows: each column's text with a payload and the row's number put in. Every payload is a column's name, too."""
    out = io.StringIO()
    wide = csv.writer(out, lineterminator="\n")
    wide.writerow([*columns, *LINES])
    for i in range(30):
        payload = LINES[i % len(LINES)]
        wide.writerow([*(text.replace("X", payload).replace("#", str(i)) for text in columns.values()), *LINES])
    return out.getvalue()


def bring(room, text: str) -> None:
    page = room.page
    page.locator("#task").get_by_label("Your own").check()
    page.set_input_files("#own-file", {"name": "rows.csv", "mimeType": "text/csv", "buffer": text.encode()})


def paste(room, text: str) -> None:
    if not room.page.locator("#own-paste").is_visible():
        room.page.get_by_text("Paste rows").click()
    room.page.locator("#own-paste").fill(text)
    room.page.locator("#own-use").click()


def stays_text(room) -> bool:
    """Whether a payload stands in a shown row, and nothing of any became part of the page or ran."""
    shown = room.page.locator(".own-row p").all_inner_texts()
    page = room.page.evaluate("window.hit") is None and not room.page.locator(".lab-own").locator(MARKUP).count()
    return page and any(payload in text for payload in LINES for text in shown)


def test_rows_are_shown_as_they_are_trained_on_and_trained(visit):
    room = visit()
    room.choose("LoRA", steps=2)
    bring(room, sheet(question="X #", answer="It is X"))
    row = room.page.locator(".own-row").first
    expect(row).to_contain_text("tokens are learnt", timeout=30_000)
    expect(room.page.locator("#own-facts")).to_contain_text("26 to train on, 4 held out")
    learnt = "".join(row.locator(".own-learnt").all_text_contents())
    assert learnt.startswith("It is ") and row.locator(".own-read").count() > 3
    assert any(payload in row.locator("p").inner_text() for payload in LINES)
    assert room.page.locator("#own-prompt option").all_text_contents() == ["none", "question", "answer", *LINES]
    assert stays_text(room)
    for _ in range(3):  # none of quick presses is lost
        room.page.get_by_role("button", name="Later rows").click()
    expect(row).to_contain_text("Row 10:")
    room.page.locator("#own-longest").fill("9")
    room.page.locator("#own-longest").blur()
    expect(row).to_contain_text("Cut after 9 tokens")
    room.page.locator("#own-longest").fill("2")
    room.page.locator("#own-longest").blur()
    expect(room.page.locator(".lab-own .problem")).to_contain_text("at least 8")
    room.page.locator("#own-longest").fill("256")
    room.page.locator("#own-longest").blur()
    expect(row).to_contain_text("Row 10:")
    for _ in range(3):
        room.page.get_by_role("button", name="Earlier rows").click()
    expect(row).to_contain_text("Row 1:")
    expect(room.page.get_by_role("button", name="Earlier rows")).to_be_disabled()
    room.page.locator("#own-template").select_option("")
    room.page.locator("#own-text").fill(f"{LINES[6]} {{prompt}}\n{{{LINES[1]}}} {{completion}}{{end}}")
    room.page.locator("#own-text").blur()
    expect(row.locator("p")).to_contain_text(LINES[6])
    expect(row.locator("p")).to_contain_text(f"{LINES[1]} It is ")  # the column of that name
    expect(room.page.locator("#own-warnings")).to_contain_text("The template names {constructor")
    assert stays_text(room)
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
    assert stays_text(room) and not room.page.locator("#answers").locator(MARKUP).count()
    stranger = visit(room.link()[room.link().index("?") :])  # a link does not open rows of somebody else's
    expect(stranger.status).to_contain_text("This lab has no run of that address.")
    expect(stranger.page.locator("#results")).not_to_contain_text("It is")


def test_a_bad_file_is_one_sentence_and_pairs_pasted_next_are_preferred(visit):
    room = visit()
    page = room.page
    room.choose("LoRA", steps=2)
    bring(room, "a,b\n1,2,3\n")
    expect(page.locator(".lab-own .problem")).to_contain_text("Line 2 has 3 cells")
    paste(room, sheet(prompt="What is #?", chosen="Gladly: #.", rejected="X #"))
    rows = page.locator(".own-row")
    expect(rows.nth(1)).to_contain_text("the worse answer", timeout=30_000)
    assert any(payload in rows.nth(1).locator("p").inner_text() for payload in LINES)
    assert stays_text(room)
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
    assert stays_text(room)


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
