"""What is left when something is killed: the run's events, a sentence that says so, and a lab that goes on."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.line import Line


def test_a_killed_worker_fails_its_run_and_the_next_one_starts(visit, app):
    room, other = visit(), visit()
    room.choose("LoRA", steps=3000, seed=301)
    room.start()
    room.wait_for_points("lora", 3)
    other.choose("Prompt", steps=3000, seed=302)
    other.start()
    expect(other.status).to_contain_text("Waiting: 1 before you.")
    app.worker().kill()
    expect(room.status).to_contain_text(re.compile(r"Failed at step \d+: The worker process was killed"))
    assert room.points("lora") >= 3
    other.wait_for_points("prompt", 2)
    other.stop_button.click()
    expect(other.status).to_contain_text("Stopped by you")


def test_a_killed_app_shows_the_run_as_interrupted_after_its_restart(app, visit, watch):
    room = visit()
    room.choose("LoRA", steps=3000, seed=303)
    room.start()
    room.wait_for_points("lora", 3)
    worker = app.worker()
    with watch.cut():
        app.kill()
        try:
            worker.wait(10)  # it does not outlive its lab
        finally:
            app.start()
        room.open()
    expect(room.status).to_contain_text(re.compile(r"Interrupted at step \d+"))
    assert room.points("lora") >= 3
    room.page.locator("#again").click()
    room.wait_for_points("lora", 1)
    room.stop_button.click()
    expect(room.status).to_contain_text("Stopped by you")


def test_a_network_that_is_cut_for_three_seconds_loses_nothing(app, visit, watch):
    line = Line(app.port)
    room = visit(url=line.url)
    room.choose("LoRA", steps=3000, seed=304)
    room.unfold("LoRA")
    room.fill("lora-rank", "3")
    room.start()
    room.wait_for_points("lora", 3)
    points = room.points("lora")
    with watch.cut():
        line.cut(3)
        room.wait_for_points("lora", points + 10)
        expect(room.field("lora-rank").locator("input")).to_have_value("3")  # what was typed is there, too
        expect(room.stop_button).to_be_enabled()
        room.stop_button.click()
        expect(room.status).to_contain_text("Stopped by you")
        room.page.close()
        line.close()
