"""The page against an empty Gradio page in the same run, and how it stays quick while a model trains.

Real servers, a real Chromium. The empty page, of one field, is served by the same Gradio.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from experiments import analysis
from experiments.catalog.cache import lab_home
from experiments.store import Store
from tests.browser.chromium import launch

ROOT = Path(__file__).parents[1]
EMPTY = "import gradio as gr\nwith gr.Blocks(title='empty') as b: gr.Textbox(label='empty')\nb.launch(ssr_mode=False)"
KEYS = 60


def measure(quick: bool) -> list[str]:
    """A Markdown table: answer, page drawn, memory, first point, key presses."""
    from playwright.sync_api import sync_playwright

    rounds = 3 if quick else 9
    begun = alternate(
        2 if quick else 5, lambda: start_of([sys.executable, "app.py"]), lambda: start_of([sys.executable, "-c", EMPTY])
    )
    with (
        serving([sys.executable, "-c", EMPTY]) as empty,
        serving([sys.executable, "app.py"]) as lab,
        sync_playwright() as p,
    ):
        browser = launch(p)
        html = alternate(rounds, lambda: answer(lab.url), lambda: answer(empty.url))
        drawn = alternate(
            rounds, lambda: draw(browser, lab.url, "#start"), lambda: draw(browser, empty.url, "textarea")
        )
        idle = keys(open_page(browser, lab.url))
        first_s, step_s, busy = train(browser, lab)
        mb, torch = lab.memory_mb(), lab.has("libtorch")
        open_every_tab(browser, lab.url)
        all_mb = lab.memory_mb()
        browser.close()
    return [
        "## The page",
        "",
        "| what | the lab | an empty Gradio page | ratio |",
        "|---|---|---|---|",
        f"| from starting the process to its first answer, s | {begun[0]:.2f} | {begun[1]:.2f} | **{begun[2]:.2f}** |",
        f"| the HTML, once it runs, ms | {html[0] * 1e3:.0f} | {html[1] * 1e3:.0f} | **{html[2]:.2f}** |",
        f"| page drawn and usable, ms | {drawn[0] * 1e3:.0f} | {drawn[1] * 1e3:.0f} | **{drawn[2]:.2f}** |",
        "",
        f"- Memory of the page's process after all this: {mb:.0f} MB; torch in it: {'yes' if torch else 'no'}. With every tab "
        f"open, Tokenize with its three vocabularies: {all_mb:.0f} MB (wish 300).",
        f"- First point on the chart {first_s:.2f} s after Start (warm worker); a step took {step_s:.2f} s.",
        f"- A key press until it is on the screen, p50 / p95 of {KEYS}: {percentiles(idle)} idle, {percentiles(busy)} while training.",
    ]


class Server:
    """A process that serves a page, in a lab home of its own but with what was fetched already."""

    def __init__(self, command: list[str]):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self.home = Path(tempfile.mkdtemp())
        (self.home / "cache").symlink_to(lab_home() / "cache")
        environment = {
            **os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "LAB_HOME": str(self.home),
        }  # fmt: skip
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        for _ in range(600):
            try:
                answer(self.url)
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"{command} did not serve a page within a minute.")

    def memory_mb(self) -> float:
        """Resident memory of the page's own process, without its worker."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def newest(self) -> str:
        return Store(self.home / "lab.sqlite").entries(limit=1)[0].key.run_id

    def has(self, library: str) -> bool:
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()


@contextmanager
def serving(command: list[str]) -> Iterator[Server]:
    server = Server(command)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)
        shutil.rmtree(server.home)


def answer(url: str) -> float:
    """Seconds to the whole HTML."""
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=10) as reply:
        reply.read()
    return time.perf_counter() - began


def start_of(command: list[str]) -> float:
    """Seconds from starting a server to its first answer."""
    began = time.perf_counter()
    with serving(command):
        return time.perf_counter() - began


def draw(browser: Any, url: str, selector: str) -> float:
    """Seconds from an empty browser to an element that can be used."""
    context = browser.new_context()
    page = context.new_page()
    began = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(selector, state="visible")
    taken = time.perf_counter() - began
    context.close()
    return taken


def alternate(rounds: int, ours: Any, peer: Any) -> tuple[float, float, float]:
    """Medians of both, and the median of the ratios taken round by round; the first round warms up."""
    pairs = [(ours(), peer()) for _ in range(rounds + 1)][1:]
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs), statistics.median(a / b for a, b in pairs)


WATCH_KEYS = """() => {
  window.__taken = [];
  document.addEventListener('keydown', e => {
    const t = e.timeStamp;
    requestAnimationFrame(() => setTimeout(() => window.__taken.push(performance.now() - t)));
  }, true);
}"""
WATCH_FIRST_POINT = """() => {
  const begun = () => [...document.querySelectorAll('#chart g[data-method=lora] path.curve')]
    .some(p => (p.getAttribute('d') || '').startsWith('M') && p.getAttribute('d').split('L').length < 4);
  document.querySelector('#start').addEventListener('click', () => {
    const pressed = performance.now();
    const look = () => begun() ? (window.__first = performance.now() - pressed) : requestAnimationFrame(look);
    look();
  }, {capture: true, once: true});
}"""


def open_page(browser: Any, url: str) -> Any:
    page = browser.new_context().new_page()
    page.goto(url)
    page.wait_for_selector("#start")
    page.wait_for_timeout(1500)
    return page


def keys(page: Any) -> list[float]:
    """Milliseconds from key presses in the prompt field to the next drawn frame."""
    page.get_by_role("tab", name="Generate").click()
    page.evaluate(WATCH_KEYS)
    field = page.locator("#ask-prompt textarea")
    field.click()
    for i in range(KEYS):
        field.press("abcdefghij"[i % 10])
        page.wait_for_timeout(60)
    page.get_by_role("tab", name="Train").click()
    return list(page.evaluate("() => window.__taken"))


def start(page: Any, method: str) -> None:
    """One method alone on the first model."""
    for box in page.locator("#methods").get_by_role("checkbox").all():
        box.uncheck()
    page.locator("#methods").get_by_label(method, exact=True).check()
    page.wait_for_timeout(500)
    page.locator("#start button, button#start").first.click()


def train(browser: Any, lab: Server) -> tuple[float, float, list[float]]:
    """Seconds from Start to the first point (with a worker that has trained before), seconds a step, key presses meanwhile."""
    page = open_page(browser, lab.url)
    start(page, "Partial")
    page.wait_for_function("() => /step [1-9]/i.test(document.querySelector('#table').innerText)", timeout=300_000)
    page.locator("#stop").click()
    page.wait_for_function("() => /stopped at/i.test(document.querySelector('#table').innerText)", timeout=60_000)
    page.evaluate(WATCH_FIRST_POINT)
    start(page, "LoRA")
    page.wait_for_function("() => window.__first", timeout=120_000)
    page.wait_for_function("() => /step [2-9]/i.test(document.querySelector('#table').innerText)", timeout=120_000)
    taken = keys(page)
    record = analysis.load(Store(lab.home / "lab.sqlite"), lab.newest())
    page.locator("#stop").click()
    page.wait_for_function("() => /stopped at/i.test(document.querySelector('#table').innerText)", timeout=60_000)
    first_s = page.evaluate("() => window.__first") / 1e3
    page.context.close()
    return first_s, (record.seconds_per_step or 0.0) if record else 0.0, taken


def open_every_tab(browser: Any, url: str) -> None:
    page = open_page(browser, url)
    for title in ("Calculate", "Generate", "Sweep", "Compare", "Align", "Runs", "Tokenize"):
        page.get_by_role("tab", name=title, exact=True).click()
        page.wait_for_timeout(3000)
    page.wait_for_function("() => document.querySelectorAll('.lab-tokens table tr').length > 3", timeout=120_000)
    page.context.close()


def percentiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f} / {ordered[int(0.95 * (len(ordered) - 1))]:.0f} ms"
