"""The Tokenize tab: from a key press to coloured tokens, a megabyte, and thirty people at once, on a real server and Chromium."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.page import Server, percentiles, serving
from tests.browser.room import Room

PEOPLE, PRESSES = 30, 10
KEYS = ["gpt2", "o200k", "smollm2"]
TRAINED = ("LoRA", "Prefix")
TEXT = (
    "The harbour was quiet when the last boat came in, and nobody had expected it so late: naïve, 東京, 1,234.50. " * 30
)[:2000]
WATCH = """() => { const area = document.querySelector('#tokens textarea'), root = document.querySelector('.lab-tokens');
window.__spent = []; let pressed = 0;
area.addEventListener('input', () => { pressed = performance.now(); }, true);
new MutationObserver(() => { if (+root.dataset.drawn === area.value.length && pressed) {
  const from = pressed; pressed = 0; requestAnimationFrame(() => window.__spent.push(performance.now() - from)); } })
  .observe(root, { attributes: true, attributeFilter: ['data-drawn'] }); }"""


def measure(quick: bool) -> list[str]:
    """A Markdown list: key presses, a megabyte, thirty people."""
    import sys

    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import launch

    with serving([sys.executable, "app.py"]) as lab, sync_playwright() as p:
        browser = launch(p)
        page = browser.new_page()
        page.goto(lab.url)
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.post_data or "") if "component_server" in r.url else None)
        page.get_by_role("tab", name="Tokenize").click()
        page.wait_for_function("() => document.querySelectorAll('.tk-key li').length === 3", timeout=120_000)
        page.evaluate(WATCH)
        spent = presses(page, 20 if quick else 60)
        megabyte_s = megabyte(page)
        seen = next(json.loads(body) for body in reversed(asked) if '"lanes"' in body)
        crowd, errors = people(lab, seen, 3 if quick else PRESSES)
        with training(browser, lab):
            busy = presses(page, 20 if quick else 60)
        browser.close()
    return [
        "## Tokenize",
        "",
        f"- A key press until the coloured tokens are on the screen, 2,000 characters, three tokenizers ({', '.join(KEYS)}), "
        f"p50 / p95 of {len(spent)}: {percentiles(spent)}; while {' and '.join(TRAINED)} train on the bundled model: "
        f"{percentiles(busy)}.",
        f"- A megabyte pasted until its first 4,000 characters are drawn and all of it is counted: {megabyte_s:.2f} s.",
        f"- {PEOPLE} people who each press {len(crowd) // PEOPLE} keys in a 2,000-character text at the same time, over the "
        f"loopback, p50 / p95: {percentiles(crowd)}; {errors} errors.",
    ]


@contextmanager
def training(browser: Any, lab: Server) -> Iterator[None]:
    """Two methods train on the bundled model throughout. Raises `RuntimeError` where they were not under way to the end."""
    room = Room(browser.new_page(), lab.url, None)
    room.page.goto(lab.url)
    room.ready()
    room.choose(*TRAINED, steps=3000, model="Lab Nano")
    room.start()
    room.page.wait_for_function("() => /step [2-9]/i.test(document.querySelector('#table').innerText)", timeout=120_000)
    yield
    if not re.search(r"step \d", room.page.locator("#table").inner_text()):
        raise RuntimeError("The training ended before the measuring did.")
    room.stop_button.click()
    room.page.close()


def presses(page: Any, count: int) -> list[float]:
    """Milliseconds from the input event to the frame after the lanes were drawn."""
    page.locator("#tokens textarea").fill(TEXT)
    page.wait_for_timeout(1500)
    page.evaluate("window.__spent.length = 0")
    page.locator("#tokens textarea").focus()
    page.keyboard.press("Control+Home")
    for i in range(count):
        page.keyboard.press("etaoin shrdlu"[i % 13])
        page.wait_for_timeout(200)
    return page.evaluate("window.__spent")


def megabyte(page: Any) -> float:
    """Seconds from the paste to the counts; the script's own wait of 0.4 s for more typing is in it."""
    text = (TEXT * 501)[:1_000_000]
    page.evaluate("window.__spent.length = 0")
    page.evaluate(
        "(t) => { const a = document.querySelector('#tokens textarea'); a.value = t; a.dispatchEvent(new Event('input')); }",
        text,
    )
    page.wait_for_function("() => window.__spent.length", timeout=60_000)
    return page.evaluate("window.__spent[0]") / 1e3


def people(lab: Server, seen: dict[str, Any], each: int) -> tuple[list[float], int]:
    """Milliseconds of each answer, and how many failed; every person waits a third of a second between two keys. `seen` is a
    request as the page makes it: the tab belongs to a session, so all of them speak as that one."""
    spent: list[float] = []
    wrong: list[str] = []

    def person(number: int) -> None:
        for i in range(each):
            body = {**seen, "data": {"what": "lanes", "text": f"{number} {TEXT}{'x' * i}", "keys": KEYS}}
            request = urllib.request.Request(
                lab.url + "gradio_api/component_server", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    answer = json.load(reply)
                if any("ids" not in lane for lane in answer["lanes"]):
                    wrong.append("a lane without ids")
            except (OSError, ValueError, KeyError) as error:
                wrong.append(str(error))
            spent.append(1e3 * (time.perf_counter() - began))
            time.sleep(0.33)

    threads = [threading.Thread(target=person, args=(i,)) for i in range(PEOPLE)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    return spent, len(wrong)
