"""Train longer and clone with one change, from Train and from Runs: the page asks, the run is the asker's, bad values stay at the field."""

from __future__ import annotations

import json
import secrets

from playwright.sync_api import expect

from experiments.store import Store


def specs_of(app, seed: int) -> list[dict]:
    """The specs of the runs with this seed, the newest first."""
    found = [json.loads(entry.spec) for entry in Store(app.home / "lab.sqlite").entries(limit=20)]
    return [spec for spec in found if spec["seed"] == seed]


def test_train_longer_then_clone_with_one_change(visit, app):
    room, seed = visit(), secrets.randbelow(10**6) + 10_000
    room.choose("LoRA", steps=4, seed=seed)
    room.start()
    room.wait_for_end("lora")
    part = room.page.locator("#anew")
    steps = part.locator("#anew-steps")
    expect(steps.locator("input")).to_have_value("8")
    steps.locator("input").fill("3")
    part.get_by_role("button", name="Train longer").click()
    expect(steps).to_contain_text("has 4 steps already; ask for more.")
    expect(steps.locator("input")).to_have_value("3")  # nothing typed is lost
    steps.locator("input").fill("7")
    part.get_by_role("button", name="Train longer").click()
    room.wait_for_points("lora", 7)  # from where the first one ended
    expect(steps).to_contain_text("more than 7", timeout=240_000)
    first, short = specs_of(app, seed)
    assert first["train"]["steps"] == 7 and first["start"] and short["train"]["steps"] == 4

    room.tab("Runs")
    room.page.locator(".rs-filter").fill(f"seed={seed}")
    rows = room.page.locator("#shelf tr[data-run]")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("checkbox").check()
    part = room.page.locator("#run-anew")
    part.get_by_label("What is to differ").select_option("settings.rank")
    value = part.locator("#run-anew-value")
    value.locator("input").fill("0")
    part.get_by_role("button", name="Clone with this change").click()
    expect(value).to_contain_text("Rank must be at least 1.")
    value.locator("input").fill("2")
    part.get_by_role("button", name="Clone with this change").click()
    expect(room.page.locator("#shelf-status")).to_contain_text("1 run asked for")
    expect(rows).to_have_count(3)
    chosen = room.page.locator('#shelf tr[aria-selected="true"]')
    expect(chosen).to_contain_text("rank 2")
    expect(chosen).to_contain_text("finished", timeout=240_000)
    clone = specs_of(app, seed)[0]
    assert clone["settings"]["rank"] == 2 and clone.get("start", "") == "" and clone["train"]["steps"] == 7
    assert part.locator("img, script").count() == 0


def test_anothers_run_is_cloned_as_ones_own(visit, app):
    room, seed = visit(), secrets.randbelow(10**6) + 10_000
    room.choose("LoRA", steps=2, seed=seed)
    room.start()
    room.wait_for_end("lora")
    stranger = visit(room.link()[room.link().index("?") :])
    part = stranger.page.locator("#anew")
    part.get_by_label("What is to differ").select_option("train.steps")
    part.locator("#anew-value input").fill("3")
    part.get_by_role("button", name="Clone with this change").click()
    expect(stranger.status).not_to_contain_text("Nothing was started")
    stranger.wait_for_points("lora", 3)
    store = Store(app.home / "lab.sqlite")
    clone, first = (e for e in store.entries(limit=20) if json.loads(e.spec)["seed"] == seed)
    owners = lambda key: set(store.connection.execute("SELECT owner FROM wanted WHERE run_id = ?", (key.run_id,)))  # noqa: E731
    assert owners(first.key) and owners(clone.key) and not owners(first.key) & owners(clone.key)
