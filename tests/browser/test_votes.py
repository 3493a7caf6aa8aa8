"""Vote your own on the Align tab: a vote is kept over a reload and counted, and from twenty on an ordinary DPO run is trained on them."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from experiments import votes
from experiments.store import Store
from experiments.votes import Vote


def fold(room):
    """The fold of votes, opened, with its questions."""
    room.tab("Align")
    room.page.locator("#vote").get_by_text("Vote your own").click()
    expect(room.page.locator("#vote-prompt textarea")).not_to_have_value("")
    return room.page


def vote(page, side: str) -> None:
    expect(page.locator(f"#vote-{side}")).to_be_enabled(timeout=120_000)
    expect(page.locator("#vote-answers .column")).to_have_count(2)
    page.locator(f"#vote-{side}").click()


def test_votes_are_kept_and_trained_on(visit, app):
    room, store = visit(), Store(app.home / "lab.sqlite")
    page = fold(room)
    page.locator("#vote-ask").click()
    vote(page, "left")
    expect(page.locator("#vote-count")).to_contain_text("1 of 20 votes.")
    ((owner, body),) = store.connection.execute("SELECT owner, body FROM votes").fetchall()
    first = Vote.model_validate_json(body)
    for i in range(18):  # as if they had gone on voting
        votes.cast(store, owner, first.model_copy(update={"asked": f"s{i}", "left": f"{first.left} {i}"}))
    room.reload()
    page = fold(room)
    expect(page.locator("#vote-count")).to_contain_text("19 of 20 votes.")
    expect(page.locator("#vote-train")).to_be_disabled()
    page.locator("#vote-ask").click()
    vote(page, "right")
    expect(page.locator("#vote-count")).to_contain_text("20 of 20 votes. That is enough")
    page.locator("#vote-steps input").fill("2")
    page.locator("#vote-train").click()
    expect(page.locator("#vote-table")).to_contain_text("finished", timeout=240_000)
    expect(page.locator("#vote-table")).to_contain_text("pairs learnt")
    spec = next(spec for entry in store.entries(limit=5) if (spec := json.loads(entry.spec)).get("objective") == "dpo")
    assert spec["task"].startswith("data:") and spec["data"]["rejected"] == "rejected" and spec["train"]["steps"] == 2
    stranger = fold(visit())
    expect(stranger.locator("#vote-count")).to_contain_text("0 of 20 votes.")
    page.locator("#vote-forget").click()  # asked once more before they are gone
    expect(page.locator("#vote-forget")).to_contain_text("Press again")
    expect(page.locator("#vote-count")).to_contain_text("20 of 20 votes.")
    page.locator("#vote-forget").click()
    expect(page.locator("#vote-count")).to_contain_text("0 of 20 votes.")
    expect(page.locator("#vote-forget")).to_have_text("Forget my votes")
    assert not votes.of(store, owner)
