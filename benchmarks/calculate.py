"""The Calculate tab: one change of the rank until the server's whole answer is there, over HTTP, idle and while two methods train."""

from __future__ import annotations

import copy
import json
import sys
import time
import urllib.request
from typing import Any

from benchmarks.page import Server, percentiles, serving
from benchmarks.tokenize import TRAINED, training

ARCHS = ("smollm2-135m", "llama-2-70b")
CHANGES = 60


def measure(quick: bool) -> list[str]:
    """A Markdown table."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import launch

    with serving([sys.executable, "app.py"]) as lab, sync_playwright() as p:
        browser = launch(p)
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.post_data or "") if "component_server" in r.url else None)
        page.goto(lab.url)
        page.get_by_role("tab", name="Calculate").click()
        page.wait_for_function(
            "() => document.querySelector('.calc-out') && document.querySelector('.calc-out').children.length > 3",
            timeout=120_000,
        )
        seen = next(json.loads(body) for body in asked if '"calculate"' in body)
        count = 10 if quick else CHANGES
        idle = {arch: changes(lab, seen, arch, count) for arch in ARCHS}
        with training(browser, lab):
            busy = {arch: changes(lab, seen, arch, count) for arch in ARCHS}
        browser.close()
    return [
        "## Calculate",
        "",
        f"One change of the rank until the whole answer is there, over HTTP, milliseconds, p50 / p95 of {count}.",
        "",
        f"| architecture | idle | while {' and '.join(TRAINED)} train on the bundled model |",
        "|---|---|---|",
        *(f"| {arch} | {percentiles(idle[arch])} | {percentiles(busy[arch])} |" for arch in ARCHS),
    ]


def changes(lab: Server, seen: dict[str, Any], arch: str, count: int) -> list[float]:
    """Milliseconds of each answer. Raises `RuntimeError` where one is a complaint."""
    spent = []
    for rank in range(1, count + 1):
        body = copy.deepcopy(seen)
        body["data"] = {**(body["data"] or {}), "arch": arch, "method": "lora", "settings": {"rank": rank}}
        request = urllib.request.Request(
            lab.url + "gradio_api/component_server", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        spent.append(1e3 * (time.perf_counter() - began))
        if answer["problems"] or answer["state"]["settings"].get("rank") != rank or not answer["count"]["trainable"]:
            raise RuntimeError(f"This is no answer to rank {rank}: {answer['problems'] or answer['state']}.")
        time.sleep(0.1)
    return spent
