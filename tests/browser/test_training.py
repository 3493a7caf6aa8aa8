"""Train, stop, come back: what a visitor does, on the real app with the bundled model and a two-layer one."""

from __future__ import annotations

import re

from playwright.sync_api import expect


def test_two_methods_train_and_both_curves_move(visit):
    room = visit()
    room.choose("LoRA", "Prompt", steps=12, seed=101, model="Lab Nano")
    expect(room.page.locator("#cost")).to_contain_text(re.compile(r"LoRA trains [\d,]+ of [\d,]+ parameters"))
    room.start()
    room.wait_for_points("lora", 3)
    for method in ("lora", "prompt"):
        room.wait_for_points(method, min(room.points(method) + 3, 12))
    room.wait_for_end("lora", "prompt")
    assert room.points("lora") == room.points("prompt") == 12
    assert room.chart.locator('g[data-method="lora"] circle.held').count() >= 2
    expect(room.page.locator("#answers .column").first).to_be_visible()
    expect(room.page.locator("#table")).to_contain_text(re.compile(r"\d → \d"))
    expect(room.status).to_contain_text("reached")


def test_the_first_paint_is_never_empty(visit):
    room = visit()
    assert room.page.locator("#status").inner_text().strip()
    assert room.chart.locator("figcaption").inner_text().strip()


def test_stop_acts_and_says_so(visit):
    room = visit()
    room.choose("LoRA", steps=3000, seed=102)
    room.start()
    room.wait_for_points("lora", 3)
    room.stop_button.click()
    expect(room.status).to_contain_text(re.compile(r"Stopped by you at step \d+"))
    expect(room.stop_button).to_be_disabled()
    assert room.points("lora") >= 3


def test_reload_closed_tab_second_tab_and_bare_address_find_the_run(visit, watch):
    room = visit()
    room.choose("LoRA", steps=3000, seed=103)
    room.start()
    room.wait_for_points("lora", 3)
    link = room.link()
    room.page.wait_for_url(re.compile(r"run=[0-9a-f]{12}"))
    room.fill("train-seed", "1030")
    room.reload()
    room.wait_for_points("lora", 5)
    expect(room.field("train-seed").locator("input")).to_have_value("1030")  # what was typed stays, too
    seen = room.points("lora")
    with watch.cut():
        room.page.close()  # nobody looks on; it trains all the same
    back, second = visit(context=room.context), visit(context=room.context)  # the bare address, in two tabs
    for tab in (back, second):
        tab.wait_for_points("lora", seen + 1)
    second.stop_button.click()  # the same visitor, so it is theirs to stop
    expect(back.status).to_contain_text("Stopped by you")
    (steps,) = re.findall(r"at step (\d+)", back.status.inner_text())
    back.wait_for_points("lora", int(steps))  # every one, those too that nobody saw
    stranger = visit(link.partition("/?")[2] and "?" + link.partition("/?")[2])
    expect(stranger.status).to_contain_text("Stopped by the one who started it")
    assert stranger.points("lora") >= 5


def test_two_visitors_cannot_stop_each_other(visit):
    anna, ben = visit(), visit()
    anna.choose("LoRA", steps=3000, seed=104)
    anna.start()
    anna.wait_for_points("lora", 3)
    ben.open("?run=" + anna.link().partition("run=")[2])
    ben.wait_for_points("lora", 3)
    expect(ben.stop_button).to_be_disabled()
    ben.page.evaluate("document.querySelector('#stop').disabled = false")
    ben.stop_button.click(force=True)  # what the page forbids, the handler forbids, too
    count = anna.points("lora")
    anna.wait_for_points("lora", count + 10)
    ben.choose("LoRA", steps=3000, seed=104)  # the same spec: one training for both
    ben.start()
    expect(ben.status).to_contain_text("you watch it together")
    anna.stop_button.click()
    expect(anna.status).to_contain_text("others who started the same run still want it")
    count = ben.points("lora")
    ben.wait_for_points("lora", count + 10)
    ben.stop_button.click()
    expect(ben.status).to_contain_text("Stopped by you")


def test_the_queue_shows_a_place_and_lets_a_waiting_run_go(visit):
    first, second = visit(), visit()
    first.choose("LoRA", steps=3000, seed=105)
    first.start()
    first.wait_for_points("lora", 2)
    second.choose("LoRA", steps=3000, seed=106)
    second.start()
    expect(second.status).to_contain_text("Waiting: 1 before you.")
    expect(second.page.locator("#machine")).to_contain_text("1 waiting")
    second.stop_button.click()
    expect(second.status).to_contain_text("Stopped by you at step 0")
    first.stop_button.click()
    expect(first.status).to_contain_text("Stopped by you")


def test_the_same_spec_is_served_from_the_store(visit):
    room = visit()
    room.choose("Prompt", steps=2, seed=107)
    room.start()
    room.wait_for_end("prompt")
    first = room.link()
    other = visit()
    other.choose("Prompt", steps=2, seed=107)
    other.start()
    expect(other.status).to_contain_text(re.compile(r"Same as a run of \d\d:\d\d, shown again"))
    assert other.link() == first
    other.page.locator("#again").click()
    expect(other.status).not_to_contain_text("shown again")
    expect(other.stop_button).to_be_enabled()
    other.stop_button.click()
    expect(other.status).to_contain_text("Stopped by you")


def test_an_address_of_no_run_says_so(visit):
    room = visit("?run=0123456789ab")
    expect(room.status).to_contain_text("This lab has no run of that address.")


def test_a_cut_network_loses_nothing(visit, watch):
    """The browser's own: it says at once that it is offline. A line that breaks is in test_survival."""
    room = visit()
    room.choose("LoRA", steps=3000, seed=108)
    room.start()
    room.wait_for_points("lora", 3)
    with watch.cut():
        room.context.set_offline(True)
        room.page.wait_for_timeout(3000)
        room.context.set_offline(False)
        room.wait_for_points("lora", room.points("lora") + 1)
        room.stop_button.click()
        expect(room.status).to_contain_text("Stopped by you")


def test_another_start_changes_the_view_and_leaves_the_first_run_alone(visit):
    room = visit()
    room.choose("LoRA", steps=3000, seed=109)
    room.start()
    room.wait_for_points("lora", 2)
    room.fill("train-seed", "110")
    room.start()
    expect(room.status).to_contain_text("Waiting: 1 before you.")
    room.fill("train-seed", "109")
    room.start()
    expect(room.status).to_contain_text("you watch it together")
    room.wait_for_points("lora", 4)
    room.stop_button.click()
    expect(room.status).to_contain_text("Stopped by you")
    room.fill("train-seed", "110")
    room.start()
    room.wait_for_points("lora", 1)
    room.stop_button.click()
    expect(room.status).to_contain_text("Stopped by you")


def test_two_steps_say_time_and_memory_before_the_start(visit):
    room = visit()
    room.choose("LoRA", "Prompt", steps=9, seed=111)
    cost, press = room.page.locator("#cost"), room.page.locator("#measure")
    expect(cost).to_contain_text("MB of memory at its highest (calculated)")
    press.click()
    expect(room.page.locator("#measuring")).to_have_text("Measure again", timeout=120_000)  # and no word of a failure
    expect(cost).to_contain_text(re.compile(r"About \d+ s: LoRA \d+ s, Prompt \d+ s \(from two steps of it here\)"))
    expect(cost).to_contain_text("MB of memory at its highest (measured in two steps)")
    other = visit()
    other.choose("Prompt", steps=12, seed=112)  # kept for whoever asks
    expect(other.page.locator("#cost")).to_contain_text("(from two steps of it here)")
    other.choose("LoRA", "Prompt", "Prefix", steps=12, seed=112)
    expect(other.page.locator("#measure")).to_have_text("Measure two steps")
    expect(other.page.locator("#measure")).to_be_enabled()  # and nothing was started for what nobody asked for


def test_a_named_comparison_keeps_the_model_that_was_chosen(visit):
    room = visit()
    room.choose("IA³")
    room.page.locator("#presets").select_option(label="LoRA against prompt against prefix on pirate")
    expect(room.page.locator("#methods").get_by_label("Prefix", exact=True)).to_be_checked()
    expect(room.page.locator("#model").get_by_label("tiny", exact=True)).to_be_checked()
    expect(room.page.locator("#task").get_by_label("Talk like a pirate", exact=True)).to_be_checked()


def test_a_preset_starts_with_one_click(visit):
    room = visit()
    room.page.get_by_role("button", name="LoRA against prompt against prefix on pirate").click()
    for method in ("lora", "prompt", "prefix"):
        room.wait_for_points(method, 2)
    expect(room.page.locator("#task").get_by_label("Talk like a pirate", exact=True)).to_be_checked()
    expect(room.page.locator("#model").get_by_label("Lab Nano", exact=True)).to_be_checked()
    room.stop_button.click()
    room.wait_for_end("lora", "prompt", "prefix", state="stopped at")
