"""How the page reads: dark, on a phone, by keyboard, by a screen reader; and a chart that keeps what the reader set."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from experiments import events
from experiments.store import Store
from tests.unit.records import record, step

TABS = {
    "Calculate": ".calc-first", "Train": "#start", "Generate": "#go", "Sweep": "#sweep-map .sw-cell",
    "Compare": "#compare-found .cp-table tbody tr", "Align": "#align-start", "Tokenize": ".tk-row .tk",
    "Runs": "#shelf tr[data-run]",
}  # fmt: skip
"""Each with what says that it is drawn."""
WRONG = """async () => {
  const settled = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.type !== 'hidden' && e.checkVisibility());
  const folds = () => seen('details:not([open]) > summary, button.label-wrap:not(.open)').find((e) => !opened.has(e)), opened = new Set();
  for (let fold; (fold = folds()); await settled()) opened.add(fold) && fold.click();
  await settled();
  const words = (node) => { // without what it holds or lets one choose
    const copy = node.cloneNode(true);
    copy.querySelectorAll('select, textarea').forEach((e) => e.remove());
    return copy.matches('select, textarea') ? '' : copy.textContent;
  };
  const unnamed = seen('input, textarea, select, button, [role=tab], svg[tabindex], progress').filter((e) => {
    const labelled = (e.getAttribute('aria-labelledby') || '').split(' ').map((id) => document.getElementById(id)?.textContent);
    const names = [e.getAttribute('aria-label'), e.title, words(e), ...labelled, ...[...(e.labels || [])].map(words)];
    return !names.some((name) => name && name.trim());
  });
  const scrolls = (e) => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const beyond = (e) => e instanceof HTMLElement && e.getBoundingClientRect().right > innerWidth + 1;
  const cut = seen('.gradio-container *').filter((e) => beyond(e) && !scrolls(e)); // the container clips: nothing scrolls there
  const wide = document.documentElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : [];
  const told = (what, found) => found.map((e) => what + e.outerHTML.slice(0, 200));
  return [...wide, ...told('no name: ', unnamed), ...told('cut off: ', cut)];
}"""
"""With everything unfolded: the controls in sight that have no name, whether the page scrolls sideways, and what is cut off at its side."""


def wrong(room) -> list[str]:
    """What stays wrong: what is still being drawn has five seconds for it."""
    for _ in range(10):
        if not (found := room.page.evaluate(WRONG)):
            break
        room.page.wait_for_timeout(500)
    return found


@pytest.fixture
def training(visit):
    """A visitor whose run goes on for as long as the test reads."""
    room = visit()
    room.choose("LoRA", steps=3000, seed=401)
    room.start()
    room.wait_for_points("lora", 4)
    yield room
    if room.stop_button.is_enabled():
        room.stop_button.click()
        expect(room.status).to_contain_text("Stopped by you")


def test_every_tab_names_its_controls_and_scrolls_in_one_direction(visit):
    """On a phone in light and dark, then wide in dark, with everything unfolded; the first tab by a link, its name being folded away."""
    room = visit("?calc=e30", viewport={"width": 390, "height": 844}, has_touch=True)
    for title, drawn in TABS.items():
        if title != "Calculate":
            room.tab(title)
        expect(room.page.locator(drawn).first).to_be_visible(timeout=120_000)
        if title == "Runs":
            room.page.locator(f"{drawn} input").first.check()
            expect(room.page.locator("#run-detail")).to_contain_text("All settings")
        for _ in ("light", "dark"):
            assert wrong(room) == [], title
            room.page.locator("#theme").click()
    room.page.set_viewport_size({"width": 1400, "height": 1000})
    room.page.locator("#theme").click()
    tabs = room.page.get_by_role("tab")
    expect(tabs).to_have_count(len(TABS))
    for tab in tabs.all():
        tab.click()
        assert wrong(room) == [], tab.inner_text()


def test_dark_and_light_by_button_and_by_address(visit):
    room = visit("?__theme=dark")
    fill = "getComputedStyle(document.body).backgroundColor"
    dark = room.page.evaluate(fill)
    room.page.locator("#theme").click()
    room.page.wait_for_function(f"{fill} !== '{dark}'")
    assert "__theme=light" in room.page.evaluate("location.href")


def test_axis_zoom_and_legend_survive_updates(training):
    room, chart = training, training.chart
    chart.get_by_label("x axis").select_option("tokens")
    chart.get_by_label("log scale").check()
    expect(chart.locator("svg")).to_contain_text("tokens read")
    chart.get_by_label("x axis").select_option("steps")
    chart.locator("svg").focus()
    for key in ("ArrowRight", "ArrowRight", "+"):
        room.page.keyboard.press(key)
    reset = chart.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_enabled()
    expect(chart.locator(".lc-read")).to_contain_text(re.compile(r"step \d+: LoRA \d"))
    shown = chart.locator(".lab-legend button").first
    before = shown.inner_text()
    expect(shown).not_to_have_text(before)  # two updates later …
    expect(reset).to_be_enabled()  # … the zoom is still there
    expect(chart.get_by_label("log scale")).to_be_checked()
    reset.click()
    shown.click()
    expect(shown).to_have_attribute("aria-pressed", "false")
    expect(chart.locator('g[data-method="lora"] path.curve')).to_have_count(0)
    shown.click()


def test_dragging_zooms_and_hovering_reads_values(training):
    room, chart = training, training.chart
    chart.locator("svg").scroll_into_view_if_needed()
    box = chart.locator("svg").bounding_box()
    room.page.mouse.move(box["x"] + 80, box["y"] + 100)
    expect(chart.locator(".tip")).to_contain_text(re.compile(r"step \d+"))
    room.page.mouse.down()
    room.page.mouse.move(box["x"] + 300, box["y"] + 100, steps=4)
    room.page.mouse.up()
    expect(chart.get_by_role("button", name="Reset zoom")).to_be_enabled()
    chart.get_by_role("button", name="Reset zoom").click()
    chart.get_by_text("The numbers behind the chart").click()
    expect(chart.locator("table tbody tr")).not_to_have_count(0)


def test_a_start_by_keyboard_alone(visit):
    room = visit()
    room.choose("LoRA", steps=3000, seed=402)
    room.start_button.focus()
    room.page.keyboard.press("Enter")
    room.wait_for_points("lora", 2)
    room.stop_button.focus()
    room.page.keyboard.press("Enter")
    expect(room.status).to_contain_text("Stopped by you")


def test_a_diverged_run_is_drawn_with_a_gap_and_a_mark(visit, app):
    store, spec = Store(app.home / "lab.sqlite"), record("lora", steps=9).spec
    key, _ = store.open(spec.run_id, "train", spec.model_dump_json(), "a test")
    for number, loss in enumerate([3.0, 2.5, None, None, 2.0, 1.5], start=1):
        store.append(key, step(number, loss))
    store.append(key, events.Failed(cause="Diverged at step 6.", advice="<i>Try</i> a lower rate."))
    room = visit(f"?run={spec.run_id}")
    path = room.chart.locator('g[data-method="lora"] > path.curve')
    expect(path).to_have_attribute("d", re.compile("^M.*L.*M.*L"))  # two strokes
    expect(room.chart.locator(".lost")).to_be_visible()
    expect(room.status).to_contain_text("<i>Try</i> a lower rate.")
    assert "NaN" not in (path.get_attribute("d") or "")
