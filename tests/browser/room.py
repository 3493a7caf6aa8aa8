"""The page as a visitor uses it: what to click for a training, and what can be read off."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect


class Room:
    """One open tab of the lab."""

    def __init__(self, page: Page, url: str, watch: Any):
        self.page, self.url, self.context, self.watch = page, url, page.context, watch
        self.status, self.chart = page.locator("#status"), page.locator("#chart")
        self.start_button, self.stop_button = page.locator("#start"), page.locator("#stop")

    def open(self, path: str = "") -> None:
        with self.watch.cut():  # a page that is left drops its streams
            self.page.goto(self.url + path)
            self.ready()

    def reload(self) -> None:
        with self.watch.cut():
            self.page.reload()
            self.ready()

    def ready(self) -> None:
        expect(self.chart.locator("svg .axes")).to_be_attached()
        expect(self.page.locator("#cost")).to_contain_text(re.compile(r"\w"))  # the form follows: the page is alive

    def choose(self, *methods: str, steps: int = 8, seed: int = 0, model: str = "tiny") -> None:
        """The two-layer model or another by its title, these methods (by title), so many steps."""
        self.page.locator("#model").get_by_label(model, exact=True).check()
        for box in self.page.locator("#methods").get_by_role("checkbox").all():
            box.uncheck()
        for method in methods:
            self.page.locator("#methods").get_by_label(method, exact=True).check()
        self.fill("train-steps", str(steps))
        self.fill("train-seed", str(seed))

    def fill(self, field: str, text: str) -> None:
        self.field(field).locator("input, textarea").first.fill(text)

    def field(self, name: str) -> Locator:
        """A setting by its element id, GROUP-NAME: lora-rank, train-steps."""
        return self.page.locator(f"#{name}")

    def unfold(self, title: str) -> None:
        self.page.locator(".method > summary", has_text=re.compile(f"^{title}")).click()

    def start(self) -> None:
        self.start_button.click()

    def points(self, method: str) -> int:
        """How many points the training curve of a method has on the screen."""
        path = self.chart.locator(f'g[data-method="{method}"] > path.curve')
        return len(re.findall("[ML]", path.first.get_attribute("d") or "")) if path.count() else 0

    def wait_for_view(self) -> None:
        """Until the recorded comparison of the first paint has made way for runs of one's own."""
        expect(self.chart.locator(".lab-chart-title")).not_to_contain_text("Recorded", timeout=240_000)

    def wait_for_points(self, method: str, count: int) -> None:
        """Until the curve of one's own run (the first paint shows a recorded one) has so many points."""
        self.page.wait_for_function(
            """([method, count]) => {
                const path = document.querySelector(`#chart g[data-method="${method}"] > path.curve`);
                const recorded = /Recorded/.test(document.querySelector('#chart .lab-chart-title')?.textContent);
                return path && !recorded && (path.getAttribute('d').match(/[ML]/g) || []).length >= count;
            }""",
            arg=[method, count],
            timeout=240_000,
        )

    def state(self, method: str) -> Locator:
        return self.page.locator(f'#table tr[data-method="{method}"] td').first

    def wait_for_end(self, *methods: str, state: str = "finished") -> None:
        self.wait_for_view()
        for method in methods:
            expect(self.state(method)).to_contain_text(state, timeout=240_000)

    def link(self) -> str:
        field = self.page.locator("#link").locator("input, textarea")
        expect(field).to_have_value(re.compile("run="))
        return field.input_value()

    def tab(self, title: str) -> None:
        """Open a tab; on a phone those that find no room are folded into a menu."""
        if not self.page.get_by_role("tab", name=title).count():
            self.page.locator(".overflow-menu > button").click()
            self.page.locator(".overflow-dropdown button", has_text=title).click()
            return
        self.page.get_by_role("tab", name=title).click()
