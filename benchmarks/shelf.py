"""The Runs tab with two thousand runs: from the click on it until its first rows and their number are on the screen.

The runs are stored as a training stores them, event by event; the first opening after them makes what is kept of each run.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.page import serving
from experiments import events, specs
from experiments.specs import RunSpec
from experiments.store import Key, Store
from tests.browser.chromium import launch

RUNS, STEPS = 2000, 40
METHODS = ("lora", "prompt", "prefix", "partial", "full")


def fill(path: Path, runs: int = RUNS, owner: str = "command line 1") -> None:
    """So many finished runs of forty steps, in one transaction."""
    store, now = Store(path), time.time()
    db = store.connection
    db.execute("BEGIN")
    for i in range(runs):
        method = METHODS[i % len(METHODS)]
        settings = {"rank": 2 ** (i % 7), "alpha": 16.0} if method == "lora" else {}
        spec = specs.build(
            RunSpec, {"model": "smollm2-135m", "task": "pirate", "method": method, "settings": settings, "seed": i}
        )
        key, at = Key(spec.run_id, 1), now - 60 * (runs - i)
        db.execute("INSERT INTO runs VALUES (?, ?, 'train', ?, ?, '1:1.0')", (*key, spec.model_dump_json(), at))
        db.execute("INSERT INTO wanted VALUES (?, ?, ?, 1)", (*key, owner))
        rows = [(*key, n, at + n, e.kind, e.model_dump_json(exclude_none=True)) for n, e in enumerate(told(i))]
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.execute("COMMIT")


def told(i: int) -> list[events.Event]:
    """What a run of forty steps tells, with the answers it gave on the way."""
    said = tuple(events.Answer(prompt=f"Question {n}?", answer="Arr, matey! " * 8) for n in range(6))
    found: list[events.Event] = [
        events.Queued(),
        events.Started(trainable=460_800 + i, total=134_975_808, rows=140, device="cpu", threads=2, resting_mb=700, versions={}),
        events.Evaluated(subject="base", step=0, held_out_loss=4.5, general_loss=2.9, metrics={"style": 0.0, "facts": 62.0}),
        events.Sampled(subject="base", step=0, answers=said),
    ]  # fmt: skip
    for n in range(1, STEPS + 1):
        found.append(events.Stepped(
            step=n, loss=4.5 / (1 + n / (8 + i % 9)), gradient_norm=1.0, learning_rate=1e-3, tokens=360 * n, train_s=0.9 * n
        ))  # fmt: skip
        if n % 10 == 0:
            found.append(events.Evaluated(subject="tuned", step=n, held_out_loss=4.5 / (1 + n / 20) + i % 7 / 10))
            found.append(events.Sampled(subject="tuned", step=n, answers=said))
    last = events.Evaluated(
        subject="tuned",
        step=STEPS,
        held_out_loss=2.1 + i % 11 / 10,
        general_loss=2.95,
        metrics={"style": float(i % 100)},
    )
    return [
        *found,
        last,
        events.Finished(elapsed_s=70, train_s=36, peak_mb=1240, adapter_path="x", adapter_bytes=9_800_000),
    ]


def opened(browser: Any, url: str) -> float:
    """Seconds from the click on the tab to the first rows, in a browser that has the page open."""
    page = browser.new_context().new_page()
    page.goto(url)
    page.wait_for_selector("#chart svg .axes", state="attached")
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    page.get_by_role("tab", name="Runs").click()
    page.wait_for_function("window.__opened", timeout=60_000)
    taken = page.evaluate("window.__opened")
    page.context.close()
    return taken / 1e3


WATCH = """() => {
  const tab = [...document.querySelectorAll('[role=tab]')].find((t) => t.innerText.trim() === 'Runs');
  const drawn = () => document.querySelectorAll('#shelf tr[data-run]').length > 5
    && /[12],\\d{3} runs/.test(document.querySelector('#shelf').innerText);
  tab.addEventListener('click', () => {
    const pressed = performance.now();
    const look = () => requestAnimationFrame(drawn() ? () => (window.__opened = performance.now() - pressed) : look);
    look();
  }, {capture: true, once: true});
}"""


def measure(quick: bool) -> list[str]:
    """A Markdown list: the first opening, and the later ones."""
    import sys

    from playwright.sync_api import sync_playwright

    with serving([sys.executable, "app.py"]) as lab, sync_playwright() as p:
        fill(lab.home / "lab.sqlite")
        browser = launch(p)
        times = [opened(browser, lab.url) for _ in range(3 if quick else 8)]
        browser.close()
    return [
        "## The Runs tab",
        "",
        f"- {RUNS:,} runs of {STEPS} steps, from the click to the first rows: **{statistics.median(times[1:]):.2f} s** "
        f"(median of {len(times) - 1}, at most {max(times[1:]):.2f} s); the first opening, which makes what is kept of each run, "
        f"{times[0]:.2f} s.",
    ]
